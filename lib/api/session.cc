// scout_session_*: argument checks and conversion. No logic.
#include "lib/api/edge.h"

using scout::api::CheckHandle;
using scout::api::Guard;
using scout::api::NullError;
using scout::api::WithSession;

namespace {

absl::StatusOr<scout_session*> MakeHandle(std::unique_ptr<scout::Session> session) {
  auto handle = std::make_unique<scout_session>();
  handle->impl = std::make_shared<scout_session_state>();
  handle->impl->session = std::move(session);
  return handle.release();
}

absl::Status ReadPrefill(const scout_prefill_options* options, int64_t vocab,
                         scout_prefill_options* o, scout::PrefillRequest* request) {
  scout_prefill_options_init(o);
  SCOUT_RETURN_IF_ERROR(scout::api::ReadOptions(options, "scout_prefill_options", sizeof *o, o));
  SCOUT_RETURN_IF_ERROR(scout::api::CheckReserved(o->reserved, "scout_prefill_options"));
  if (o->n_logit_rows < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("scout_prefill_options.n_logit_rows is ", o->n_logit_rows));
  }
  if (o->n_logit_rows > 0) {
    if (o->logit_rows == nullptr) return NullError("scout_prefill_options.logit_rows");
    if (o->logits == nullptr) return NullError("scout_prefill_options.logits");
    if (o->logits_capacity / vocab < o->n_logit_rows) {
      return absl::InvalidArgumentError(
          absl::StrCat("scout_prefill_options.logits has room for ", o->logits_capacity,
                       " floats, ", o->n_logit_rows, " rows of ", vocab, " are wanted"));
    }
  }
  if (o->progress != nullptr) {
    request->progress = [o](int64_t done, int64_t total) {
      return o->progress(o->progress_user, done, total) == 0;
    };
  }
  request->logit_rows = o->logit_rows;
  request->n_logit_rows = o->n_logit_rows;
  request->logits = o->logits;
  return absl::OkStatus();
}

// Prefill and sync differ in the member they call.
scout_status Feed(scout_session* handle, const int32_t* tokens, int64_t n_tokens,
                  const scout_prefill_options* options, scout_sync_result* result,
                  scout_error** error,
                  absl::Status (scout::Session::*call)(const int32_t*, int64_t,
                                                       const scout::PrefillRequest&,
                                                       scout::SyncResult*)) {
  return WithSession(handle, error, [&](scout::Session& session) -> absl::Status {
    if (n_tokens < 0) return absl::InvalidArgumentError(absl::StrCat("n_tokens is ", n_tokens));
    if (tokens == nullptr && n_tokens > 0) return NullError("tokens");
    scout_sync_result out{};
    if (result != nullptr) {  // refused before anything is computed
      SCOUT_RETURN_IF_ERROR(scout::api::CheckResult(result, "scout_sync_result", sizeof out));
    }
    scout_prefill_options o;
    scout::PrefillRequest request;
    SCOUT_RETURN_IF_ERROR(
        ReadPrefill(options, session.engine()->model().config().vocab, &o, &request));
    scout::SyncResult sync;
    SCOUT_RETURN_IF_ERROR((session.*call)(tokens, n_tokens, request, &sync));
    if (result == nullptr) return absl::OkStatus();
    out.kept = sync.kept;
    out.dropped = sync.dropped;
    out.computed = sync.computed;
    return scout::api::WriteResult(&out, "scout_sync_result", sizeof out, result);
  });
}

}  // namespace

extern "C" {

void scout_session_options_init(scout_session_options* options) {
  if (options == nullptr) return;
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

void scout_prefill_options_init(scout_prefill_options* options) {
  if (options == nullptr) return;
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

scout_status scout_session_create(scout_engine* engine, const scout_session_options* options,
                                  scout_session** session, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (session == nullptr) return NullError("session");
    *session = nullptr;
    SCOUT_RETURN_IF_ERROR(CheckHandle(engine, "engine"));
    scout_session_options o;
    scout_session_options_init(&o);
    SCOUT_RETURN_IF_ERROR(scout::api::ReadOptions(options, "scout_session_options", sizeof o, &o));
    SCOUT_RETURN_IF_ERROR(scout::api::CheckReserved(o.reserved, "scout_session_options"));
    SCOUT_ASSIGN_OR_RETURN(auto made, scout::Session::Create(engine->impl, o.max_tokens));
    SCOUT_ASSIGN_OR_RETURN(*session, MakeHandle(std::move(made)));
    return absl::OkStatus();
  });
}

void scout_session_free(scout_session* session) {
  if (session != nullptr && !session->forked()) delete session;
}

scout_status scout_session_prefill(scout_session* session, const int32_t* tokens, int64_t n_tokens,
                                   const scout_prefill_options* options, scout_sync_result* result,
                                   scout_error** error) {
  return Feed(session, tokens, n_tokens, options, result, error, &scout::Session::Prefill);
}

scout_status scout_session_sync(scout_session* session, const int32_t* tokens, int64_t n_tokens,
                                const scout_prefill_options* options, scout_sync_result* result,
                                scout_error** error) {
  return Feed(session, tokens, n_tokens, options, result, error, &scout::Session::Sync);
}

scout_status scout_session_rewind(scout_session* session, int64_t position, scout_error** error) {
  return WithSession(session, error, [&](scout::Session& s) { return s.Rewind(position); });
}

scout_status scout_session_fork(scout_session* session, int64_t max_tokens, scout_session** fork,
                                scout_error** error) {
  if (fork != nullptr) *fork = nullptr;
  return WithSession(session, error, [&](scout::Session& s) -> absl::Status {
    if (fork == nullptr) return NullError("fork");
    SCOUT_ASSIGN_OR_RETURN(auto made, s.Fork(max_tokens));
    SCOUT_ASSIGN_OR_RETURN(*fork, MakeHandle(std::move(made)));
    return absl::OkStatus();
  });
}

int64_t scout_session_position(const scout_session* session) {
  return session == nullptr ? 0 : session->impl->session->position();
}

int64_t scout_session_max_tokens(const scout_session* session) {
  return session == nullptr ? 0 : session->impl->session->max_tokens();
}

scout_status scout_session_tokens(scout_session* session, int32_t* tokens, int64_t capacity,
                                  int64_t* n_tokens, scout_error** error) {
  return WithSession(session, error, [&](scout::Session& s) {
    return scout::api::WriteArray(s.tokens().data(), s.position(), "tokens", tokens, capacity,
                                  n_tokens);
  });
}

scout_status scout_session_logits(scout_session* session, float* logits, int64_t capacity,
                                  scout_error** error) {
  return WithSession(session, error, [&](scout::Session& s) -> absl::Status {
    const int64_t vocab = s.engine()->model().config().vocab;
    if (capacity < vocab) {
      return absl::OutOfRangeError(
          absl::StrCat("logits has room for ", capacity, ", needed ", vocab));
    }
    if (logits == nullptr) return NullError("logits");
    SCOUT_ASSIGN_OR_RETURN(const float* row, s.Logits());
    std::memcpy(logits, row, static_cast<size_t>(vocab) * sizeof(float));
    return absl::OkStatus();
  });
}

scout_status scout_session_decode(scout_session* session, const scout_sampling_options* sampling,
                                  int32_t* token, scout_error** error) {
  return WithSession(session, error, [&](scout::Session& s) -> absl::Status {
    if (token == nullptr) return NullError("token");
    SCOUT_ASSIGN_OR_RETURN(const auto options, scout::api::ReadSampling(sampling));
    SCOUT_ASSIGN_OR_RETURN(*token, s.Decode(options));
    return absl::OkStatus();
  });
}

}  // extern "C"

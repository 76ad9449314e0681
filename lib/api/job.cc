// scout_job_*: argument checks and conversion. No logic.
#include <climits>

#include "lib/api/edge.h"

using scout::JobEvent;
using scout::api::CheckHandle;
using scout::api::Guard;
using scout::api::NullError;

namespace {

absl::Status CheckArray(const char* name, const void* data, int64_t n) {
  if (n < 0) {
    return absl::InvalidArgumentError(absl::StrCat("scout_job_options.n_", name, " is ", n));
  }
  if (n > 0 && data == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("scout_job_options.", name, " is NULL"));
  }
  return absl::OkStatus();
}

absl::StatusOr<scout::JobOptions> ReadJobOptions(const scout_job_options* in) {
  scout_job_options o;
  scout_job_options_init(&o);
  SCOUT_RETURN_IF_ERROR(scout::api::ReadOptions(in, "scout_job_options", sizeof o, &o));
  constexpr uint32_t kKnown = SCOUT_JOB_APPEND | SCOUT_JOB_IGNORE_END | SCOUT_JOB_SPECIAL_TEXT;
  if ((o.flags & ~kKnown) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("scout_job_options.flags is ", o.flags));
  }
  SCOUT_RETURN_IF_ERROR(CheckArray("stop_tokens", o.stop_tokens, o.n_stop_tokens));
  SCOUT_RETURN_IF_ERROR(CheckArray("stop_strings", o.stop_strings, o.n_stop_strings));
  SCOUT_RETURN_IF_ERROR(CheckArray("logit_rows", o.logit_rows, o.n_logit_rows));
  scout::JobOptions j;
  SCOUT_ASSIGN_OR_RETURN(j.sampling, scout::api::ReadSampling(o.sampling));
  j.append = (o.flags & SCOUT_JOB_APPEND) != 0;
  j.ignore_end = (o.flags & SCOUT_JOB_IGNORE_END) != 0;
  j.special_text = (o.flags & SCOUT_JOB_SPECIAL_TEXT) != 0;
  j.max_new_tokens = o.max_new_tokens;
  j.stop_tokens.assign(o.stop_tokens, o.stop_tokens + o.n_stop_tokens);
  for (int64_t i = 0; i < o.n_stop_strings; ++i) {
    if (o.stop_strings[i] == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("stop string ", i, " is NULL"));
    }
    j.stop_strings.emplace_back(o.stop_strings[i]);
  }
  j.logit_rows.assign(o.logit_rows, o.logit_rows + o.n_logit_rows);
  j.top_logprobs = o.top_logprobs;
  j.priority = o.priority;
  j.deadline_ms = o.deadline_ms;
  j.event_capacity = o.event_capacity;
  return j;
}

// The handle of a new job, the caller's to free.
absl::StatusOr<scout_job*> Submit(scout::Session& session, const int32_t* tokens, int64_t n_tokens,
                                  scout::JobOptions options) {
  auto handle = std::make_unique<scout_job>();
  handle->impl = std::make_shared<scout_job_impl>();
  if (options.top_logprobs > 0 && options.top_logprobs <= 1024) {
    handle->impl->top_ids.reserve(static_cast<size_t>(options.top_logprobs));
    handle->impl->top_logprobs.reserve(static_cast<size_t>(options.top_logprobs));
  }
  SCOUT_ASSIGN_OR_RETURN(handle->impl->job, session.Submit(tokens, n_tokens, std::move(options)));
  return handle.release();
}

// One reader at a time.
class Reading {
 public:
  explicit Reading(scout_job_impl* job) : job_(job) {
    std::thread::id none{};
    held_ = job_->reader.compare_exchange_strong(none, std::this_thread::get_id());
  }
  ~Reading() {
    if (held_) job_->reader.store(std::thread::id{});
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  absl::Status status() const {
    return held_ ? absl::OkStatus() : absl::AbortedError("another thread reads the job's events");
  }

 private:
  scout_job_impl* job_;
  bool held_;
};

// The event in the caller's terms. What it points to belongs to the state.
scout_event Convert(scout_job_impl* state) {
  const JobEvent& e = state->event;
  scout_event out{};
  out.kind = static_cast<int32_t>(e.kind);
  out.stop_index = -1;
  const bool token = e.kind == JobEvent::Kind::kToken;
  if (token || e.final()) {
    out.position = e.position;
    out.text = e.text.c_str();
    out.text_bytes = static_cast<int64_t>(e.text.size());
  }
  if (token) {
    out.token = e.token;
    out.logprob = e.logprob;
    out.n_top = static_cast<int32_t>(state->top_ids.size());
    out.top_tokens = state->top_ids.data();
    out.top_logprobs = state->top_logprobs.data();
  } else if (e.kind == JobEvent::Kind::kRow) {
    out.position = e.position;
    out.logits = e.logits;
  } else if (e.kind == JobEvent::Kind::kProgress) {
    out.done = e.done;
    out.total = e.total;
    out.seconds_left = e.seconds_left;
    out.kept = e.counts.kept;
  } else if (e.final()) {
    out.reason = static_cast<int32_t>(e.reason);
    out.stop_index = e.stop_index;
    out.error = state->error;
    out.kept = e.counts.kept;
    out.dropped = e.counts.dropped;
    out.computed = e.counts.computed;
    out.generated = e.counts.generated;
    out.seconds_queued = e.times.queued;
    out.seconds_prefill = e.times.prefill;
    out.seconds_decode = e.times.decode;
  }
  return out;
}

scout_status Read(scout_job* job, int64_t timeout_ms, scout_event* event, scout_error** error,
                  bool only_final) noexcept {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(job, "job"));
    SCOUT_RETURN_IF_ERROR(scout::api::CheckResult(event, "scout_event", sizeof *event));
    if (timeout_ms < -1) {
      return absl::InvalidArgumentError(absl::StrCat("timeout_ms is ", timeout_ms));
    }
    const std::shared_ptr<scout_job_impl> state = job->impl;
    const Reading reading(state.get());
    SCOUT_RETURN_IF_ERROR(reading.status());
    SCOUT_RETURN_IF_ERROR(only_final ? state->job->Wait(timeout_ms, &state->event)
                                     : state->job->Poll(timeout_ms, &state->event));
    state->SetPointers();
    const scout_event out = Convert(state.get());
    return scout::api::WriteResult(&out, "scout_event", sizeof out, event);
  });
}

}  // namespace

scout_job_impl::~scout_job_impl() { scout_error_free(error); }

void scout_job_impl::SetPointers() {
  if (event.kind == JobEvent::Kind::kError) scout::api::Fail(&error, event.status);
  if (event.kind != JobEvent::Kind::kToken) return;
  // Room was taken at submission: an event is never lost for want of memory.
  top_ids.clear();
  top_logprobs.clear();
  for (const scout::TokenLogProb& t : event.top) {
    top_ids.push_back(t.id);
    top_logprobs.push_back(t.logprob);
  }
}

extern "C" {

void scout_job_options_init(scout_job_options* options) {
  if (options == nullptr) return;
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->max_new_tokens = SCOUT_KEEP;
  options->top_logprobs = SCOUT_KEEP;
}

scout_status scout_job_submit(scout_session* session, const int32_t* tokens, int64_t n_tokens,
                              const scout_job_options* options, scout_job** job,
                              scout_error** error) {
  if (job != nullptr) *job = nullptr;
  return scout::api::WithSession(session, error, [&](scout::Session& s) -> absl::Status {
    if (job == nullptr) return NullError("job");
    if (tokens == nullptr && n_tokens > 0) return NullError("tokens");
    if (n_tokens < 0) return absl::InvalidArgumentError(absl::StrCat("n_tokens is ", n_tokens));
    SCOUT_ASSIGN_OR_RETURN(scout::JobOptions o, ReadJobOptions(options));
    SCOUT_ASSIGN_OR_RETURN(*job, Submit(s, tokens, n_tokens, std::move(o)));
    return absl::OkStatus();
  });
}

scout_status scout_job_submit_chat(scout_session* session, const scout_chat_options* chat,
                                   const scout_job_options* options, scout_job** job,
                                   scout_error** error) {
  if (job != nullptr) *job = nullptr;
  return scout::api::WithSession(session, error, [&](scout::Session& s) -> absl::Status {
    if (job == nullptr) return NullError("job");
    if (chat == nullptr) return NullError("chat");
    SCOUT_ASSIGN_OR_RETURN(scout::JobOptions o, ReadJobOptions(options));
    if (o.append) {
      return absl::InvalidArgumentError(
          "scout_job_options.flags has SCOUT_JOB_APPEND, but a dialog is all that a session holds");
    }
    const auto& tokenizer = s.engine()->model().tokenizer();
    if (tokenizer == nullptr) return absl::NotFoundError("the model has no tokenizer");
    SCOUT_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                           scout::api::EncodeChat(*tokenizer, chat));
    SCOUT_ASSIGN_OR_RETURN(
        *job, Submit(s, ids.data(), static_cast<int64_t>(ids.size()), std::move(o)));
    return absl::OkStatus();
  });
}

scout_status scout_job_poll(scout_job* job, int64_t timeout_ms, scout_event* event,
                            scout_error** error) {
  return Read(job, timeout_ms, event, error, false);
}

scout_status scout_job_wait(scout_job* job, int64_t timeout_ms, scout_event* event,
                            scout_error** error) {
  return Read(job, timeout_ms, event, error, true);
}

scout_status scout_job_cancel(scout_job* job, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(job, "job"));
    job->impl->job->Cancel();
    return absl::OkStatus();
  });
}

int32_t scout_job_state(const scout_job* job) {
  if (job == nullptr || job->forked()) return SCOUT_JOB_OVER;
  return static_cast<int32_t>(job->impl->job->phase());
}

void scout_job_free(scout_job* job) {
  if (job == nullptr || job->forked()) return;
  job->impl->job->Cancel();
  delete job;
}

}  // extern "C"

#include "lib/engine/session.h"

#include <algorithm>
#include <utility>

#include "lib/engine/scheduler.h"

namespace scout {
namespace {

// Wanted rows can be had only from tokens in [first, end), which the job computes.
absl::Status CheckRows(const int64_t* rows, int64_t n_rows, int64_t first, int64_t end) {
  for (int64_t i = 0; i < n_rows; ++i) {
    if (i > 0 && rows[i] <= rows[i - 1]) {
      return absl::InvalidArgumentError(
          absl::StrCat("logit_rows are not ascending: ", rows[i], " follows ", rows[i - 1]));
    }
    if (rows[i] < first || rows[i] >= end) {
      return absl::InvalidArgumentError(absl::StrCat(
          "logits of position ", rows[i], " are wanted, but this call computes [", first, ", ", end,
          "): logits are had with the prefill that computes their position"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Create(std::shared_ptr<Engine> engine,
                                                         int64_t max_tokens) {
  const int64_t context = engine->model().config().context_length;
  if (max_tokens < 0 || max_tokens > context) {
    return absl::InvalidArgumentError(absl::StrCat("session option max_tokens is ", max_tokens,
                                                   ", the model's context is ", context));
  }
  if (max_tokens == 0) max_tokens = engine->DefaultSessionTokens();
  if (max_tokens == 0) {
    const KvPools& pools = *engine->pools();
    return CapacityError(absl::StrCat(
        "there is no room for another session: of the engine's kv_tokens ",
        pools.global.capacity() - pools.global.committed(), " of ", pools.global.capacity(),
        " pages are left, of its max_sessions ",
        pools.chunked.capacity() - pools.chunked.committed(), " of ", pools.chunked.capacity(),
        "; a session without max_tokens takes half of what is free: give sessions one, or the "
        "engine more"));
  }
  SCOUT_ASSIGN_OR_RETURN(auto kv,
                         SequenceKv::Create(engine->pools(), engine->layout(), max_tokens));
  auto state = std::make_shared<SessionState>(std::move(engine), std::move(kv));
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

absl::Status Session::CheckIdle() const {
  if (!state_->busy.load(std::memory_order_acquire)) return absl::OkStatus();
  return absl::AbortedError("a job of the session is not over");
}

absl::Status Session::CheckTokens(const int32_t* tokens, int64_t n, int64_t position) const {
  if (n > max_tokens() - position) {
    return CapacityError(absl::StrCat(n, " tokens after position ", position,
                                      " pass the session's max_tokens of ", max_tokens()));
  }
  const int64_t vocab = engine()->model().config().vocab;
  for (int64_t i = 0; i < n; ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", i, " of the call is ", tokens[i], ", the vocabulary has ", vocab));
    }
  }
  return absl::OkStatus();
}

// Checks the job's tokens and makes the session hold them, not computed yet. An error changes
// nothing.
absl::Status Session::Begin(Job* job, const int32_t* tokens, int64_t n, bool append) {
  SessionState& s = *state_;
  SCOUT_RETURN_IF_ERROR(CheckTokens(tokens, n, append ? s.n_tokens() : 0));
  const int64_t held = s.n_tokens();
  int64_t common = held;
  if (!append) {
    const int64_t most = std::min(n, held);
    common =
        std::mismatch(s.tokens.begin(), s.tokens.begin() + most, tokens).first - s.tokens.begin();
    tokens += common;
    n -= common;
  }
  const int64_t kept = append ? s.kv->length() : s.kv->LengthAfterTruncate(common);
  const int64_t total = common + n;
  SCOUT_RETURN_IF_ERROR(CheckRows(job->rows_, job->n_rows_, kept, total));
  const JobOptions& o = job->options_;
  const int64_t room = s.max_tokens - total;
  job->max_new_ = o.max_new_tokens < 0 ? INT64_MAX : o.max_new_tokens;
  if (total == 0 && job->WantsLogits()) {
    return absl::FailedPreconditionError("the session holds no tokens, so there are no logits");
  }
  job->continues_ = append && n == 0;
  if (job->continues_) SCOUT_RETURN_IF_ERROR(job->ContinueText());
  // Room for what will be drawn, so that drawing allocates seldom.
  const size_t need = static_cast<size_t>(total + std::min({job->max_new_, room, int64_t{1024}}));
  if (s.tokens.capacity() < need) s.tokens.reserve(std::max(need, 2 * s.tokens.capacity()));
  if (common < held) SCOUT_RETURN_IF_ERROR(Rewind(common));
  s.tokens.insert(s.tokens.end(), tokens, tokens + n);
  job->answer_before_ = s.answer_start;
  if (!job->continues_) s.answer_start = total;
  job->keep_ = job->common_ = common;
  job->first_ = s.kv->length();
  job->prompt_ = total;
  job->counts_.kept = s.kv->length();
  job->counts_.dropped = held - common;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Job>> Session::Submit(const int32_t* tokens, int64_t n,
                                                     JobOptions options) {
  SCOUT_RETURN_IF_ERROR(CheckIdle());
  const bool append = options.append;
  SCOUT_ASSIGN_OR_RETURN(std::shared_ptr<Job> job,
                         Job::Create(std::move(options), nullptr, state_));
  Scheduler& scheduler = engine()->scheduler();
  SCOUT_ASSIGN_OR_RETURN(Scheduler::Place place, scheduler.Admit(job));
  SCOUT_RETURN_IF_ERROR(Begin(job.get(), tokens, n, append));
  scheduler.Submit(std::move(place));
  return job;
}

absl::Status Session::RunToEnd(std::shared_ptr<Job> job, const int32_t* tokens, int64_t n,
                               bool append, const Progress& progress, JobEvent* end) {
  Scheduler& scheduler = engine()->scheduler();
  SCOUT_ASSIGN_OR_RETURN(Scheduler::Place place, scheduler.Admit(job));
  SCOUT_RETURN_IF_ERROR(Begin(job.get(), tokens, n, append));
  const int64_t total = job->prompt_;
  *end = scheduler.Run(std::move(place), progress);
  if (end->kind == JobEvent::Kind::kError) return end->status;
  if (end->reason != DoneReason::kCancelled) return absl::OkStatus();
  return absl::CancelledError(absl::StrCat("cancelled at position ", end->position, " of ", total));
}

absl::Status Session::Feed(const int32_t* tokens, int64_t n, bool append,
                           const PrefillRequest& request, SyncResult* result) {
  SCOUT_RETURN_IF_ERROR(CheckIdle());
  Job::Direct direct;
  direct.progress = request.progress != nullptr;
  direct.logit_rows = request.logit_rows;
  direct.n_logit_rows = request.n_logit_rows;
  direct.logits = request.logits;
  JobOptions options;
  options.max_new_tokens = 0;
  SCOUT_ASSIGN_OR_RETURN(std::shared_ptr<Job> job,
                         Job::Create(std::move(options), &direct, state_));
  JobEvent end;
  SCOUT_RETURN_IF_ERROR(RunToEnd(std::move(job), tokens, n, append, request.progress, &end));
  *result = {end.counts.kept, end.counts.dropped, end.counts.computed};
  return absl::OkStatus();
}

absl::Status Session::Prefill(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                              SyncResult* result) {
  return Feed(tokens, n, true, request, result);
}

absl::Status Session::Sync(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                           SyncResult* result) {
  return Feed(tokens, n, false, request, result);
}

absl::Status Session::Rewind(int64_t to) {
  SCOUT_RETURN_IF_ERROR(CheckIdle());
  SessionState& s = *state_;
  if (to < 0 || to > s.n_tokens()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot rewind to ", to, ": the session holds ", s.n_tokens(), " tokens"));
  }
  SCOUT_RETURN_IF_ERROR(s.kv->Truncate(to));
  s.tokens.resize(static_cast<size_t>(to));
  s.answer_start = std::min(s.answer_start, to);
  if (s.logits_tokens > to) s.logits_tokens = -1;
  s.Publish();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Session>> Session::Fork(int64_t max_tokens) const {
  SCOUT_RETURN_IF_ERROR(CheckIdle());
  const SessionState& s = *state_;
  if (max_tokens == 0) max_tokens = this->max_tokens();
  const int64_t context = engine()->model().config().context_length;
  if (max_tokens < s.n_tokens() || max_tokens > context) {
    return absl::InvalidArgumentError(absl::StrCat("max_tokens of the fork is ", max_tokens,
                                                   ", the session holds ", s.n_tokens(),
                                                   " and the model's context is ", context));
  }
  SCOUT_ASSIGN_OR_RETURN(auto kv, s.kv->Fork(std::max<int64_t>(max_tokens, 1)));
  auto fork = std::make_shared<SessionState>(s.engine, std::move(kv));
  fork->tokens = s.tokens;
  fork->logits = s.logits;
  fork->logits_tokens = s.logits_tokens;
  fork->answer_start = s.answer_start;
  fork->Publish();
  return std::unique_ptr<Session>(new Session(std::move(fork)));
}

absl::StatusOr<const float*> Session::Logits() {
  SCOUT_RETURN_IF_ERROR(CheckIdle());
  SessionState& s = *state_;
  if (s.n_tokens() > 0 && s.logits_tokens == s.n_tokens()) return s.logits.data();
  const Job::Direct direct;
  JobOptions options;
  options.max_new_tokens = 0;
  SCOUT_ASSIGN_OR_RETURN(std::shared_ptr<Job> job,
                         Job::Create(std::move(options), &direct, state_));
  job->want_logits_ = true;
  JobEvent end;
  SCOUT_RETURN_IF_ERROR(RunToEnd(std::move(job), nullptr, 0, true, nullptr, &end));
  return s.logits.data();
}

absl::StatusOr<int32_t> Session::Decode(const SamplingOptions& sampling) {
  SCOUT_RETURN_IF_ERROR(CheckIdle());
  const Job::Direct direct;
  JobOptions options;
  options.max_new_tokens = 1;
  options.sampling = sampling;
  SCOUT_ASSIGN_OR_RETURN(std::shared_ptr<Job> job,
                         Job::Create(std::move(options), &direct, state_));
  if (state_->n_tokens() >= max_tokens()) {
    return CapacityError(absl::StrCat("the session holds its max_tokens of ", max_tokens()));
  }
  JobEvent end;
  SCOUT_RETURN_IF_ERROR(RunToEnd(std::move(job), nullptr, 0, true, nullptr, &end));
  return end.token;
}

}  // namespace scout

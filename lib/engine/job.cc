#include "lib/engine/job.h"

#include <algorithm>
#include <utility>

#include "lib/engine/scheduler.h"

namespace scout {
namespace {

constexpr int64_t kDefaultEvents = 256;
constexpr int64_t kRowBytes = int64_t{32} << 20;  // of a job's row buffers together

double Seconds(Job::Clock::duration d) { return std::chrono::duration<double>(d).count(); }

int64_t RowBuffers(const JobOptions& o, int64_t vocab) {
  const int64_t fit = std::max<int64_t>(1, kRowBytes / (vocab * 4));
  const int64_t events = o.event_capacity > 0 ? o.event_capacity : kDefaultEvents;
  return std::min({static_cast<int64_t>(o.logit_rows.size()), fit, events});
}

absl::Status CheckRange(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("job option ", name, " is ", value, ", not in [", low, ", ", high, "]"));
}

}  // namespace

absl::Status CheckJobOptions(const JobOptions& o, int64_t vocab) {
  SCOUT_RETURN_IF_ERROR(CheckRange("max_new_tokens", o.max_new_tokens, -1, INT64_MAX));
  SCOUT_RETURN_IF_ERROR(CheckRange("priority", o.priority, -8, 8));
  SCOUT_RETURN_IF_ERROR(CheckRange("deadline_ms", o.deadline_ms, 0, int64_t{1} << 40));
  SCOUT_RETURN_IF_ERROR(CheckRange("event_capacity", o.event_capacity, 0, 1 << 20));
  SCOUT_RETURN_IF_ERROR(CheckRange("top_logprobs", o.top_logprobs, -1, 1024));
  for (int32_t token : o.stop_tokens) {
    SCOUT_RETURN_IF_ERROR(CheckRange("stop_tokens", token, 0, vocab - 1));
  }
  return CheckSampling(o.sampling, vocab);
}

absl::StatusOr<std::shared_ptr<Job>> Job::Create(JobOptions options, const Direct* direct,
                                                 std::shared_ptr<SessionState> state) {
  SCOUT_RETURN_IF_ERROR(CheckJobOptions(options, state->engine->model().config().vocab));
  SCOUT_ASSIGN_OR_RETURN(StopMatcher matcher, StopMatcher::Create(options.stop_strings));
  auto job = std::make_shared<Job>(std::move(options), direct, std::move(state));
  const auto& tokenizer = job->state_->engine->model().tokenizer();
  if (!job->options_.stop_strings.empty() && tokenizer == nullptr) {
    return absl::InvalidArgumentError("stop strings need a tokenizer, and the model has none");
  }
  if (direct == nullptr && tokenizer != nullptr) {
    job->detokenizer_.emplace(tokenizer, !job->options_.special_text);
  }
  job->stop_matcher_ = std::move(matcher);
  return job;
}

Job::Job(JobOptions options, const Direct* direct, std::shared_ptr<SessionState> state)
    : options_(std::move(options)),
      direct_(direct != nullptr),
      progress_(direct == nullptr || direct->progress),
      rows_(direct != nullptr ? direct->logit_rows : options_.logit_rows.data()),
      n_rows_(direct != nullptr ? direct->n_logit_rows
                                : static_cast<int64_t>(options_.logit_rows.size())),
      direct_logits_(direct != nullptr ? direct->logits : nullptr),
      submitted_(Clock::now()),
      queue_(direct_ ? 0 : (options_.event_capacity > 0 ? options_.event_capacity : kDefaultEvents),
             direct_ ? 0 : RowBuffers(options_, state->engine->model().config().vocab),
             state->engine->model().config().vocab, direct_),
      state_(std::move(state)) {
  if (options_.deadline_ms > 0) {
    deadline_ = submitted_ + std::chrono::milliseconds(options_.deadline_ms);
  }
}

absl::Status Job::Poll(int64_t timeout_ms, JobEvent* event) {
  if (queue_.final_taken()) {
    return absl::FailedPreconditionError("the job is over and its final event was taken");
  }
  if (timeout_ms != 0) {
    std::lock_guard<std::mutex> lock(link_mutex_);
    if (scheduler_ != nullptr) SCOUT_RETURN_IF_ERROR(scheduler_->CheckMayWait());
  }
  if (queue_.Release()) Wake();
  if (queue_.Pop(timeout_ms, event)) Wake();
  return absl::OkStatus();
}

absl::Status Job::Wait(int64_t timeout_ms, JobEvent* event) {
  const Clock::time_point begin = Clock::now();
  for (int64_t left = timeout_ms;;) {
    SCOUT_RETURN_IF_ERROR(Poll(left, event));
    if (event->final() || event->kind == JobEvent::Kind::kNone) return absl::OkStatus();
    if (timeout_ms < 0) continue;
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    left = std::max<int64_t>(0, timeout_ms - passed.count());
  }
}

void Job::Cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  Wake(true);
}

void Job::Wake(bool ends) {
  std::shared_ptr<Scheduler> scheduler;
  {
    std::lock_guard<std::mutex> lock(link_mutex_);
    scheduler = scheduler_;
  }
  if (scheduler != nullptr) scheduler->Poke(ends);
}

int64_t Job::PendingRows() const {
  const int64_t n = state_->n_tokens(), length = state_->kv->length();
  if (length < n) return n - length;
  return WantsLogits() && state_->logits_tokens != n ? 1 : 0;
}

void Job::Draw(Sampler* sampler) {
  draw_status_ = absl::OkStatus();
  const SessionState& s = *state_;
  const int64_t vocab = static_cast<int64_t>(s.logits.size());
  const int64_t start = options_.sampling.answer_start;
  const TokenHistory history{s.tokens.data(), s.n_tokens(), start >= 0 ? start : s.answer_start};
  absl::StatusOr<int32_t> token =
      sampler->Sample(s.logits.data(), vocab, options_.sampling, history);
  if (!token.ok()) {
    draw_status_ = token.status();
    return;
  }
  token_ = *token;
  if (direct_) return;
  JobEvent& event = queue_.slot();
  event.logprob = 0;
  event.top.clear();
  if (options_.top_logprobs < 0) return;
  absl::StatusOr<float> logprob =
      sampler->LogProbs(s.logits.data(), vocab, token_, options_.top_logprobs, &event.top);
  if (logprob.ok()) event.logprob = *logprob;
  draw_status_ = logprob.status();
}

absl::StatusOr<DoneReason> Job::Accept() {
  SCOUT_RETURN_IF_ERROR(draw_status_);
  SessionState& s = *state_;
  DoneReason reason = DoneReason::kNone;
  if (!direct_) {
    JobEvent& event = queue_.slot();
    event.kind = JobEvent::Kind::kToken;
    event.token = token_;
    event.position = s.n_tokens();
    event.text.clear();
    // A hole of the vocabulary has no text.
    if (detokenizer_ && s.engine->model().tokenizer()->IsValid(token_)) {
      SCOUT_ASSIGN_OR_RETURN(const std::string_view text, detokenizer_->Push(token_));
      const int64_t found = stop_matcher_.Push(text, &event.text);
      if (found >= 0) {
        reason = DoneReason::kStopString;
        stop_index_ = static_cast<int32_t>(found);
      }
    }
    const auto& stops = options_.stop_tokens;
    const auto stop = std::find(stops.begin(), stops.end(), token_);
    if (stop != stops.end()) {
      reason = DoneReason::kStopToken;
      stop_index_ = static_cast<int32_t>(stop - stops.begin());
    }
    const auto& tokenizer = s.engine->model().tokenizer();
    if (!options_.ignore_end && tokenizer != nullptr && tokenizer->IsEnd(token_)) {
      reason = DoneReason::kEndToken;
      stop_index_ = -1;
    }
  }
  s.tokens.push_back(token_);
  keep_ = s.n_tokens();
  s.Publish();
  if (++counts_.generated == 1) first_token_ = Clock::now();
  if (!direct_) queue_.Push();
  if (reason != DoneReason::kNone) return reason;
  if (counts_.generated >= max_new_) return DoneReason::kMaxTokens;
  return s.n_tokens() >= s.max_tokens ? DoneReason::kCapacity : DoneReason::kNone;
}

absl::Status Job::ContinueText() {
  if (!detokenizer_) return absl::OkStatus();
  const SessionState& s = *state_;
  const Tokenizer& tokenizer = *s.engine->model().tokenizer();
  const int64_t given = options_.sampling.answer_start;
  const int64_t start = given >= 0 ? given : s.answer_start;
  // What matters is the text that may begin a stop string, and half a character behind it; 8 bytes
  // more are room for a character that is cut at either end.
  size_t longest = 0;
  for (const std::string& stop : options_.stop_strings) longest = std::max(longest, stop.size());
  int64_t from = s.n_tokens();
  auto token = [&s](int64_t i) { return s.tokens[static_cast<size_t>(i)]; };
  for (size_t bytes = 0; from > start && bytes < longest + 8;) {
    if (tokenizer.IsValid(token(--from))) bytes += tokenizer.TokenBytes(token(from)).size();
  }
  std::string out;
  for (; from < s.n_tokens(); ++from) {
    if (!tokenizer.IsValid(token(from))) continue;
    SCOUT_ASSIGN_OR_RETURN(const std::string_view text, detokenizer_->Push(token(from)));
    out.clear();
    // The answer went on after a stop string.
    if (stop_matcher_.Push(text, &out) >= 0) stop_matcher_.Reset();
  }
  stop_matcher_.LetGo(&out);
  return absl::OkStatus();
}

void Job::FillFinal(DoneReason reason, absl::Status status, Clock::time_point now) {
  SessionState& s = *state_;
  counts_.computed = std::max<int64_t>(0, std::min(s.kv->length(), prompt_) - first_);
  s.kv->DropPrepared();
  s.tokens.resize(static_cast<size_t>(std::max(keep_, s.kv->length())));
  // One that was ended before it had added anything leaves the answer as it was.
  const bool ended =
      !status.ok() || reason == DoneReason::kCancelled || reason == DoneReason::kDeadline;
  const int64_t start = ended && s.n_tokens() <= common_ ? answer_before_ : s.answer_start;
  s.answer_start = std::min(start, s.n_tokens());
  s.Publish();
  JobEvent& event = queue_.final_slot();
  event.text.clear();
  try {
    if (detokenizer_ && stop_matcher_.found() < 0) {
      // Where the answer may go on, half a character is no text yet.
      if (reason == DoneReason::kEndToken || reason == DoneReason::kStopToken) {
        stop_matcher_.Push(detokenizer_->Flush(), &event.text);
      }
      stop_matcher_.Flush(&event.text);
    }
  } catch (const std::bad_alloc&) {
    event.text.clear();
    if (status.ok()) status = NoMemoryError();
  }
  event.kind = status.ok() ? JobEvent::Kind::kDone : JobEvent::Kind::kError;
  event.status = std::move(status);
  event.reason = event.status.ok() ? reason : DoneReason::kNone;
  event.stop_index = stop_index_;
  event.token = token_;
  event.position = s.n_tokens();
  event.counts = counts_;
  const bool started = started_ != Clock::time_point();
  const bool drawn = counts_.generated > 0;
  event.times.queued = Seconds((started ? started_ : now) - submitted_);
  event.times.prefill = started ? Seconds((drawn ? first_token_ : now) - started_) : 0;
  event.times.decode = drawn ? Seconds(now - first_token_) : 0;
}

}  // namespace scout

// One piece of work on a session: tokens in, events out. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/engine/events.h"
#include "lib/engine/session_state.h"
#include "lib/sample/stop_matcher.h"
#include "lib/tokenizer/tokenizer.h"

namespace scout {

class Scheduler;

struct JobOptions {
  bool append = false;          // the tokens follow what is held; else they are the whole prefix
  int64_t max_new_tokens = -1;  // -1: until the session is full; 0: prefill alone
  SamplingOptions sampling;
  std::vector<int32_t> stop_tokens;
  std::vector<std::string> stop_strings;
  bool ignore_end = false;    // tokens that end an answer do not end the job
  bool special_text = false;  // special tokens give their name as text, else nothing
  int64_t top_logprobs = -1;  // -1: no log-probabilities; else that many beside the token's own
  std::vector<int64_t> logit_rows;  // positions, strictly ascending, among what is computed
  int32_t priority = 0;             // in [-8, 8]: a share of 2^priority of the prefill
  int64_t deadline_ms = 0;          // after submission; 0: none
  int64_t event_capacity = 0;       // token and row events held for the reader; 0: 256
};
absl::Status CheckJobOptions(const JobOptions& options, int64_t vocab);

enum class JobPhase : int32_t { kQueued = 0, kPrefill = 1, kDecode = 2, kPaused = 3, kOver = 4 };

// Thread-safe, but for one reader at a time. Ended by the scheduler of its engine, with exactly one
// final event, which a Cancel hastens.
class Job {
 public:
  using Clock = std::chrono::steady_clock;

  // What the synchronous calls want of their job: no events but the end, and progress in lockstep.
  struct Direct {
    bool progress = false;
    const int64_t* logit_rows = nullptr;
    int64_t n_logit_rows = 0;
    float* logits = nullptr;  // (n_logit_rows, vocab), the caller's
  };
  // Throws std::bad_alloc. `direct` null: a job whose events are read.
  static absl::StatusOr<std::shared_ptr<Job>> Create(JobOptions options, const Direct* direct,
                                                     std::shared_ptr<SessionState> state);
  Job(JobOptions options, const Direct* direct, std::shared_ptr<SessionState> state);

  // The next event; kNone where none came within timeout_ms (-1: no limit). Once the final event
  // was taken, FailedPrecondition.
  absl::Status Poll(int64_t timeout_ms, JobEvent* event);
  // The final event, the others dropped; kNone where it did not come in time.
  absl::Status Wait(int64_t timeout_ms, JobEvent* event);
  // Wakes the scheduler; the final event comes soon (docs/engine.md). May be called at any time.
  void Cancel();
  // kOver exactly where the final event can be read or was.
  JobPhase phase() const {
    return queue_.ended() ? JobPhase::kOver : phase_.load(std::memory_order_relaxed);
  }

 private:
  friend class Scheduler;
  friend class Session;

  // ---- Of the driver of the scheduler, once submitted ----
  // Rows that have to be computed before anything else can be done; 0: none.
  int64_t PendingRows() const;
  bool WantsLogits() const { return want_logits_ || max_new_ > 0; }
  bool MayDraw() const { return counts_.generated < max_new_; }
  bool ShouldEnd(Clock::time_point now) const {
    return cancelled_.load(std::memory_order_relaxed) || now >= deadline_;
  }
  bool HasDeadline() const { return deadline_ != Clock::time_point::max(); }
  void SetPhase(JobPhase phase) { phase_.store(phase, std::memory_order_relaxed); }
  // Draws the next token into draw_status_ and token_, and its log-probabilities into the queue's
  // slot. Nothing of the session changes. Throws std::bad_alloc.
  void Draw(Sampler* sampler);
  // Appends token_ and tells it. The reason to end now, or kNone. Throws std::bad_alloc.
  absl::StatusOr<DoneReason> Accept();
  // Of a job that brings no tokens: its text goes on where that of the answer so far ended. Throws
  // std::bad_alloc.
  absl::Status ContinueText();
  // What the final event says. Drops half-computed tokens of the session.
  void FillFinal(DoneReason reason, absl::Status status, Clock::time_point now);
  void Wake(bool ends = false);

  // ---- Set before submission ----
  const JobOptions options_;
  const bool direct_;    // no token and row events
  const bool progress_;  // progress events
  const int64_t* rows_;  // wanted positions, (n_rows_)
  const int64_t n_rows_;
  float* const direct_logits_;
  bool want_logits_ = false;  // of the last token, even where nothing is drawn
  bool continues_ = false;    // brings no tokens: what it computes before it draws was drawn before
  int64_t max_new_ = 0;       // tokens to draw at most
  Clock::time_point submitted_, started_, first_token_, deadline_ = Clock::time_point::max();
  EventQueue queue_;

  // ---- Of the driver ----
  std::shared_ptr<SessionState> state_;  // null once over
  int64_t keep_ = 0;                     // tokens that stay whatever happens
  int64_t common_ = 0;                   // tokens held when it began, without what it dropped
  int64_t answer_before_ = 0;            // answer_start of the session then
  int64_t first_ = 0;                    // KV length at the start
  int64_t prompt_ = 0;                   // tokens of the prompt and all before it
  int64_t next_row_ = 0;                 // of rows_: the first not in a step yet
  double served_ = 0;                    // virtual time: prefill rows given
  bool away_ = true;                     // not among those who shared the last step's prefill
  bool over_ = false;
  int32_t token_ = -1;  // drawn last
  int32_t stop_index_ = -1;
  absl::Status draw_status_;
  JobCounts counts_;
  std::optional<Detokenizer> detokenizer_;
  StopMatcher stop_matcher_;
  bool in_step_ = false;   // has its part of it, or cannot have one now
  bool has_span_ = false;  // has its part of it

  std::atomic<bool> cancelled_{false};
  std::atomic<JobPhase> phase_{JobPhase::kQueued};
  std::mutex link_mutex_;
  std::shared_ptr<Scheduler> scheduler_;  // null before submission and once over
};

}  // namespace scout

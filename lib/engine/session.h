// One sequence of tokens, its KV, and the calls that change them. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/engine/engine.h"
#include "lib/engine/job.h"
#include "lib/engine/session_state.h"
#include "lib/util/log.h"

namespace scout {

struct PrefillRequest {
  Progress progress;                    // tokens of this call; may be null
  const int64_t* logit_rows = nullptr;  // positions, strictly ascending
  int64_t n_logit_rows = 0;
  float* logits = nullptr;  // (n_logit_rows, vocab)
};

struct SyncResult {
  int64_t kept = 0, dropped = 0, computed = 0;
};

// Used by one thread at a time. While a job that was submitted is not over, every call but position
// and max_tokens is Aborted (BUSY) and changes nothing. Errors and the state after them: see
// scout.h.
class Session {
 public:
  static absl::StatusOr<std::unique_ptr<Session>> Create(std::shared_ptr<Engine> engine,
                                                         int64_t max_tokens);

  // An asynchronous job. It keeps what it needs of the session alive.
  absl::StatusOr<std::shared_ptr<Job>> Submit(const int32_t* tokens, int64_t n, JobOptions options);

  // Jobs, too, that are waited for.
  absl::Status Prefill(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                       SyncResult* result);
  absl::Status Sync(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                    SyncResult* result);
  // Logits of the last token, (vocab), valid until the next call.
  absl::StatusOr<const float*> Logits();
  absl::StatusOr<int32_t> Decode(const SamplingOptions& sampling);

  absl::Status Rewind(int64_t position);
  absl::StatusOr<std::unique_ptr<Session>> Fork(int64_t max_tokens) const;

  absl::Status CheckIdle() const;
  // From any thread; what is held when no step is running.
  int64_t position() const { return state_->position.load(std::memory_order_relaxed); }
  int64_t max_tokens() const { return state_->max_tokens; }
  const std::vector<int32_t>& tokens() const { return state_->tokens; }  // of an idle session
  const std::shared_ptr<Engine>& engine() const { return state_->engine; }

 private:
  explicit Session(std::shared_ptr<SessionState> state) : state_(std::move(state)) {}
  absl::Status CheckTokens(const int32_t* tokens, int64_t n, int64_t position) const;
  absl::Status Begin(Job* job, const int32_t* tokens, int64_t n, bool append);
  absl::Status RunToEnd(std::shared_ptr<Job> job, const int32_t* tokens, int64_t n, bool append,
                        const Progress& progress, JobEvent* end);
  absl::Status Feed(const int32_t* tokens, int64_t n, bool append, const PrefillRequest& request,
                    SyncResult* result);

  std::shared_ptr<SessionState> state_;
};

}  // namespace scout

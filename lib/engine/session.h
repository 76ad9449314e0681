// One sequence of tokens, its KV, and the calls that change them. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/engine/engine.h"
#include "lib/sample/sampler.h"

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

// Used by one thread at a time. Errors and the state after them: see scout.h.
class Session {
 public:
  static absl::StatusOr<std::unique_ptr<Session>> Create(std::shared_ptr<Engine> engine,
                                                         int64_t max_tokens);

  absl::Status Prefill(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                       SyncResult* result);
  absl::Status Sync(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                    SyncResult* result);
  absl::Status Rewind(int64_t position);
  absl::StatusOr<std::unique_ptr<Session>> Fork(int64_t max_tokens) const;
  // Logits of the last token, (vocab), valid until the next call.
  absl::StatusOr<const float*> Logits();
  absl::StatusOr<int32_t> Decode(const SamplingOptions& sampling);

  int64_t position() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t max_tokens() const { return kv_->max_tokens(); }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::shared_ptr<Engine>& engine() const { return engine_; }

 private:
  Session(std::shared_ptr<Engine> engine, std::unique_ptr<SequenceKv> kv);
  absl::Status CheckTokens(const int32_t* tokens, int64_t n, int64_t position) const;
  absl::Status CheckRows(const PrefillRequest& request, int64_t first, int64_t end) const;
  absl::Status Extend(const int32_t* tokens, int64_t n, const PrefillRequest& request);
  absl::Status Compute(const PrefillRequest& request);
  absl::Status ComputeLastLogits();

  std::shared_ptr<Engine> engine_;
  std::unique_ptr<SequenceKv> kv_;
  std::vector<int32_t> tokens_;  // kv_->length() <= tokens_.size(): the rest is computed on demand
  int64_t answer_start_ = 0;     // where the last prefill or sync ended
  Sampler sampler_;              // scratch
  std::vector<float> logits_;    // (vocab) after the first logits_tokens_ tokens
  int64_t logits_tokens_ = -1;   // -1: none
  Step step_;                    // reused
};

}  // namespace scout

// What a session holds, shared by its handle and its job. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/engine/engine.h"
#include "lib/kv/sequence.h"

namespace scout {

// While `busy`, the session's job alone touches it (but for position and max_tokens); else one
// thread at a time.
struct SessionState {
  SessionState(std::shared_ptr<Engine> engine_in, std::unique_ptr<SequenceKv> kv_in)
      : engine(std::move(engine_in)),
        kv(std::move(kv_in)),
        max_tokens(kv->max_tokens()),
        logits(static_cast<size_t>(engine->model().config().vocab)) {}

  const std::shared_ptr<Engine> engine;
  const std::unique_ptr<SequenceKv> kv;
  const int64_t max_tokens;
  std::vector<int32_t> tokens;  // kv->length() <= tokens.size(): the rest is computed on demand
  std::vector<float> logits;    // (vocab) after the first logits_tokens tokens
  int64_t logits_tokens = -1;   // -1: none
  int64_t answer_start = 0;     // where the last prefill or sync ended
  std::atomic<int64_t> position{0};  // tokens held when no call or step changes them
  std::atomic<bool> busy{false};     // a job is not over

  int64_t n_tokens() const { return static_cast<int64_t>(tokens.size()); }
  void Publish() { position.store(n_tokens(), std::memory_order_relaxed); }
};

}  // namespace scout

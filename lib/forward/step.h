// A Step: plain data that says which rows of which sequences go through the model now.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "lib/kv/sequence.h"

namespace scout {

// A row whose logits are wanted, and where they go.
struct WantedRow {
  int64_t row = 0;          // relative to the span
  float* logits = nullptr;  // (vocab)
};

// Consecutive rows of one sequence, within one attention chunk. Its KV slots are prepared.
struct StepSpan {
  SequenceKv* kv = nullptr;
  int64_t position = 0;  // of its first row
  int64_t n_rows = 0;
  bool stored = false;  // K and V of its rows are in the pages: they are read, not written
  std::vector<WantedRow> wanted;  // ascending
};

struct Step {
  std::vector<int32_t> tokens;  // rows of all spans, one after another
  std::vector<StepSpan> spans;
  const std::atomic<bool>* abort = nullptr;  // looked at between layers; may be null
};

}  // namespace scout

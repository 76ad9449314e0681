// A Step: plain data that says which rows of which sequences go through the model now.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
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
  int64_t n_rows = 0;    // 0: the span has left the step
  bool stored = false;   // K and V of its rows are in the pages: they are read, not written
  int64_t wanted_begin = 0, n_wanted = 0;  // its part of Step::wanted
};

// Spans of different sequences.
struct Step {
  std::vector<int32_t> tokens;  // rows of all spans, one after another
  std::vector<StepSpan> spans;
  std::vector<WantedRow> wanted;  // of all spans, one after another, ascending in each
  // Called before every layer, between its halves and before the head, before `leaves` is asked.
  // May be null.
  std::function<void()> between;
  // Asked before every layer, between its halves and before the head for each span that is in the
  // step. True: the span leaves, the others go on without it. Nothing of the span or its sequence
  // is touched after that; its prepared slots hold rubbish and must not be declared stored. May be
  // null.
  std::function<bool(int64_t span)> leaves;
};

}  // namespace scout

// Reads what a WeightPlan has bound, on several threads, and the digest of its bytes.
// SPDX-License-Identifier: Apache-2.0
//
// The digest. A tensor's bytes, as its file has them, are cut into segments: whole rows of its last
// two dimensions, as many as fit in 4 MiB in multiples of 128 (128 at least), none across two of
// its matrices. XXH3-128 of each segment; XXH3-128 of those, one after another, is the tensor's
// digest. That of the weights is XXH3-128 of a text with a line "name type (shape) digest" per
// bound tensor in order of names. So it depends neither on threads nor on which file holds a tensor
// and where.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/model/weights.h"
#include "lib/util/log.h"

namespace scout {

struct ReadOptions {
  Progress progress;      // bytes of the bound tensors; on the calling thread; may be null
  int64_t n_threads = 0;  // 0: a core each, no more than the bytes are worth
  bool digest = true;
  // Matrices with blocks of integers are interleaved (kernels/quant/interleave.h) but for this one.
  bool interleave = false;
  const kernels::Matrix* in_rows = nullptr;
};

struct ReadResult {
  std::vector<Buffer> storage;
  int64_t bytes_held = 0;
  std::string digest;  // 32 hex digits; empty where it was not asked for
};

// Fills every target's data. On failure or cancellation the targets' data stays null and nothing
// remains allocated.
absl::StatusOr<ReadResult> ReadWeights(const WeightPlan& plan, const ReadOptions& options);
// The digest alone; the weights are read and not kept.
absl::StatusOr<std::string> DigestWeights(const WeightPlan& plan, const ReadOptions& options);

// What either reads: the total of their progress.
int64_t BytesToRead(const WeightPlan& plan);

// How a tensor's bytes are cut, see above.
struct Segments {
  int64_t n_matrices = 1, rows = 1, row_bytes = 0;  // (n_matrices, rows, row_bytes)
  int64_t step = 1;                                 // rows of a segment
  int64_t per_matrix = 1;                           // segments of a matrix
  int64_t count() const { return n_matrices * per_matrix; }
  // Segment i: matrix, first row and number of rows.
  int64_t matrix(int64_t i) const { return i / per_matrix; }
  int64_t first(int64_t i) const { return i % per_matrix * step; }
  int64_t height(int64_t i) const { return first(i) + step < rows ? step : rows - first(i); }
  int64_t offset(int64_t i) const { return (matrix(i) * rows + first(i)) * row_bytes; }
  int64_t bytes(int64_t i) const { return height(i) * row_bytes; }
};
Segments SegmentsOf(const TensorEntry& entry);

}  // namespace scout

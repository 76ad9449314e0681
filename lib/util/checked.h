// 64-bit arithmetic on numbers read from files: every operation says whether it fitted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

namespace scout {

// The result is written only where it is exact; false otherwise.
[[nodiscard]] inline bool CheckedAdd(int64_t a, int64_t b, int64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
[[nodiscard]] inline bool CheckedMul(int64_t a, int64_t b, int64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
// An unsigned number of a file as a non-negative int64.
[[nodiscard]] inline bool CheckedFromU64(uint64_t v, int64_t* out) {
  if (v > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return false;
  *out = static_cast<int64_t>(v);
  return true;
}
// Whether [offset, offset + size) lies in [0, total).
[[nodiscard]] inline bool RangeFits(int64_t offset, int64_t size, int64_t total) {
  return offset >= 0 && size >= 0 && total >= 0 && offset <= total && size <= total - offset;
}

}  // namespace scout

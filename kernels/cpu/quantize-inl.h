// Activations to 8 bits, in panels, with the rule and the bits of the reference backend.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

constexpr float kSmallestScale = 1.17549435e-38f;  // below it float32 loses bits: the block is zero

// n values of a row, a multiple of 16, and zeros up to `block`: words of 4 to q, one row of a panel
// of `rows`, and the sums of 16. Returns the scale.
SCOUT_INLINE float quantize_block(const float* x, int64_t n, int64_t block, int64_t rows, int8_t* q,
                                  int32_t* sums) {
  F32x16 largest = zero(), broken = zero();
  for (int64_t i = 0; i < n; i += kActSum) {
    const F32x16 v = load(x + i);
    largest = max(abs(v), largest);
    broken = broken + (v - v);  // NaN when a value is infinite or NaN
  }
  const bool is_broken = sum(broken) != 0.0f;
  const float most = max_lane(largest), scale = most / 127.0f;
  // A broken value must reach the output, not vanish in rounding.
  const bool is_zero = is_broken || scale < kSmallestScale;
  const F32x16 inverse = set1(is_zero ? 0.0f : 127.0f / most);
  // Adding 1.5 * 2^23 rounds to the nearest even integer.
  constexpr float kRound = 12582912.0f;
  constexpr int32_t kRoundBits = 0x4b400000;
  for (int64_t i = 0; i < block; i += kActSum) {
    int8_t bytes[kActSum] = {};
    int32_t total = 0;
    if (i < n && !is_zero) {
      const F32x16 rounded = load(x + i) * inverse + set1(kRound);
      store_i8(bytes, bits(rounded) - set1_i32(kRoundBits));
      total = static_cast<int32_t>(sum(rounded - set1(kRound)));
    }
    for (int64_t j = 0; j < kActSum / 4; ++j) {
      memcpy(q + (i / 4 + j) * 4 * rows, bytes + 4 * j, 4);
    }
    sums[i / kActSum * rows] = total;
  }
  return is_broken ? __builtin_nanf("") : is_zero ? 0.0f : scale;
}

void quantize(const QuantizeArgs& a) {
  for (int64_t p = a.panel_begin; p < a.panel_end; ++p) {
    const int64_t row = p * kPanelRows, rows = smaller(kPanelRows, a.n_rows - row);
    const QuantRows out = rows_from(a.out, row, a.cols);
    for (int64_t c = 0; c < act_padded(a.cols); c += out.block) {
      const int64_t n = smaller(out.block, a.cols - c);
      for (int64_t r = 0; r < rows; ++r) {
        out.scale[c / out.block * rows + r] =
            quantize_block(a.x + (row + r) * a.cols + c, n, out.block, rows,
                           out.q + c * rows + 4 * r, out.sum + c / kActSum * rows + r);
      }
    }
  }
}

}  // namespace
}  // namespace scout::kernels

// Activations to 8 bits in blocks of 16, with the rule and the bits of the reference backend.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

constexpr double kSmallestScale = 1.17549435e-38;  // below it float32 loses bits: the block is zero

SCOUT_INLINE void quantize_block(const float* x, int8_t* q, float* scale, float* sum_out) {
  const F32x16 v = load(x);
  const float broken = sum(v - v);  // 0, but NaN when any value is infinite or NaN
  const double step = static_cast<double>(max_lane(abs(v))) / 127.0;
  if (broken != 0.0f || step < kSmallestScale) {
    memset(q, 0, kActBlock);
    // A broken value must reach the output, not vanish in rounding.
    *scale = *sum_out = broken != 0.0f ? __builtin_nanf("") : 0.0f;
    return;
  }
  // In double, as x / step in float would now and then round across a tie. Adding 1.5 * 2^52 rounds
  // to the nearest even integer.
  constexpr double kRound = 6755399441055744.0;
  int32_t n[kActBlock];
  for (int i = 0; i < kActBlock; ++i) {
    n[i] = static_cast<int32_t>((static_cast<double>(x[i]) / step + kRound) - kRound);
  }
  int32_t total = 0;
  for (int i = 0; i < kActBlock; ++i) {
    q[i] = static_cast<int8_t>(n[i]);
    total += n[i];
  }
  *scale = static_cast<float>(step);
  *sum_out = *scale * static_cast<float>(total);
}

void quantize(const QuantizeArgs& a) {
  const int64_t blocks = a.cols / kActBlock;
  for (int64_t i = a.row_begin * blocks; i < a.row_end * blocks; ++i) {
    const int64_t at = i * kActBlock;
    quantize_block(a.x + at, a.out.q + at, a.out.scale + i, a.out.sum + i);
  }
}

}  // namespace
}  // namespace scout::kernels

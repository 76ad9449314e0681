// Activations to 8 bits, in blocks of kActBlock. SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/ref/ops.h"

namespace scout::kernels::ref {
namespace {

constexpr double kSmallestScale = 1.17549435e-38;  // below it float32 loses bits: the block is zero

void quantize_block(const float* x, int8_t* q, float* scale, float* sum) {
  double largest = 0.0;
  double total = 0.0;  // of magnitudes: infinite or NaN when any value is
  for (int64_t i = 0; i < kActBlock; ++i) {
    const double magnitude = std::fabs(static_cast<double>(x[i]));
    if (magnitude > largest) largest = magnitude;
    total += magnitude;
  }
  if (!std::isfinite(total)) {
    // A broken value must reach the output, not vanish in rounding.
    for (int64_t i = 0; i < kActBlock; ++i) q[i] = 0;
    *scale = *sum = NAN;
    return;
  }
  const double step = largest / 127.0;
  if (step < kSmallestScale) {
    for (int64_t i = 0; i < kActBlock; ++i) q[i] = 0;
    *scale = *sum = 0.0f;
    return;
  }
  int32_t q_sum = 0;
  for (int64_t i = 0; i < kActBlock; ++i) {
    q[i] = static_cast<int8_t>(std::nearbyint(x[i] / step));
    q_sum += q[i];
  }
  *scale = static_cast<float>(step);
  *sum = static_cast<float>(*scale * static_cast<double>(q_sum));
}

}  // namespace

void quantize(const QuantizeArgs& a) {
  const int64_t blocks = a.cols / kActBlock;
  for (int64_t i = a.row_begin * blocks; i < a.row_end * blocks; ++i) {
    const int64_t first = i * kActBlock;
    quantize_block(a.x + first, a.out.q + first, a.out.scale + i, a.out.sum + i);
  }
}

}  // namespace scout::kernels::ref

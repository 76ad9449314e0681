// Activations to 8 bits, in panels. SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/ref/ops.h"

namespace scout::kernels::ref {
namespace {

constexpr float kSmallestScale = 1.17549435e-38f;  // below it float32 loses bits: the block is zero

// n values of a row to 4-byte words `stride` bytes apart. Returns the scale.
float quantize_block(const float* x, int64_t n, int8_t* q, int64_t stride) {
  float largest = 0.0f;
  double total = 0.0;  // of magnitudes: infinite or NaN when any value is
  for (int64_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(x[i]);
    if (magnitude > largest) largest = magnitude;
    total += magnitude;
    q[i / 4 * stride + i % 4] = 0;
  }
  // A broken value must reach the output, not vanish in rounding.
  if (!std::isfinite(total)) return NAN;
  const float scale = largest / 127.0f;
  if (scale < kSmallestScale) return 0.0f;
  const float inverse = 127.0f / largest;
  for (int64_t i = 0; i < n; ++i) {
    q[i / 4 * stride + i % 4] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  }
  return scale;
}

void quantize_panel(const float* x, int64_t cols, int64_t t, const QuantRows& out) {
  const int64_t padded = act_padded(cols);
  for (int64_t r = 0; r < t; ++r) {
    const float* row = x + r * cols;
    int8_t* q = out.q + 4 * r;
    for (int64_t c = 0; c < padded; c += out.block) {
      const int64_t n = cols - c < out.block ? (cols - c > 0 ? cols - c : 0) : out.block;
      for (int64_t i = n; i < out.block; ++i) q[(c + i) / 4 * 4 * t + (c + i) % 4] = 0;
      out.scale[c / out.block * t + r] = quantize_block(row + c, n, q + c * t, 4 * t);
    }
    for (int64_t c = 0; c < padded; c += kActSum) {
      int32_t total = 0;
      for (int64_t i = c; i < c + kActSum; ++i) total += q[i / 4 * 4 * t + i % 4];
      out.sum[c / kActSum * t + r] = total;
    }
  }
}

}  // namespace

void quantize(const QuantizeArgs& a) {
  for (int64_t p = a.panel_begin; p < a.panel_end; ++p) {
    const int64_t row = p * kPanelRows;
    const int64_t t = a.n_rows - row < kPanelRows ? a.n_rows - row : kPanelRows;
    quantize_panel(a.x + row * a.cols, a.cols, t, rows_from(a.out, row, a.cols));
  }
}

}  // namespace scout::kernels::ref

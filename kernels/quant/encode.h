// What the block encoders share: rounding and the range of a float16 scale.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

// Nearest integer in [lo, hi], ties to even. Not a number: 0.
static inline int nearest_in(double v, int lo, int hi) {
  if (!(v == v)) return 0;
  if (v <= lo) return lo;
  if (v >= hi) return hi;
  return static_cast<int>(std::nearbyint(v));
}

// Infinite values at the largest float32, NaN at 0: what an encoder can work with.
static inline double finite(float v) {
  if (!(v == v)) return 0.0;
  if (v > 3.402823466e38f) return 3.402823466e38;
  if (v < -3.402823466e38f) return -3.402823466e38;
  return v;
}

// A scale as float16 bits, held below infinity.
static inline uint16_t scale_bits(double scale) {
  if (scale > 65504.0) scale = 65504.0;
  if (scale < -65504.0) scale = -65504.0;
  return f32_to_f16(static_cast<float>(scale));
}

// 1 / v, and 0 for 0: an all-zero block divides by nothing.
static inline double inverse_or_zero(double v) { return v != 0.0 ? 1.0 / v : 0.0; }

}  // namespace scout::kernels

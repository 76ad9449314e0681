// RMS normalisation of rows. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

// Squares in 16 sums of doubles (the compiler makes vectors of the inner loop): a float row of any
// magnitude neither overflows nor vanishes.
double mean_square(const float* x, int64_t dim) {
  double lanes[16] = {};
  const int64_t whole = dim / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16) {
    for (int j = 0; j < 16; ++j) {
      const double v = x[i + j];
      lanes[j] += v * v;
    }
  }
  for (int64_t i = whole; i < dim; ++i) {
    const double v = x[i];
    lanes[i - whole] += v * v;
  }
  for (int half = 8; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0] / static_cast<double>(dim);
}

void rmsnorm(const RmsNormArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* x = a.x + r * a.dim;
    float* y = a.y + r * a.dim;
    const double root = __builtin_sqrt(mean_square(x, a.dim) + static_cast<double>(a.eps));
    const F32x16 scale = set1(static_cast<float>(1.0 / root));
    for (int64_t i = 0; i < a.dim; i += 16) {
      const int64_t n = a.dim - i;
      const F32x16 scaled = load_part(x + i, n) * scale;
      store_part(y + i, a.weight ? scaled * load_part(a.weight + i, n) : scaled, n);
    }
  }
}

}  // namespace
}  // namespace scout::kernels

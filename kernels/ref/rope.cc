// Rotation of neighbouring pairs of each head. SPDX-License-Identifier: Apache-2.0
#include "kernels/ref/ops.h"

namespace scout::kernels::ref {

void rope(const RopeArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* cos_sin = a.cos_sin + r * a.head_dim;  // head_dim / 2 pairs
    for (int64_t h = 0; h < a.n_heads; ++h) {
      float* x = a.x + (r * a.n_heads + h) * a.head_dim;
      for (int64_t j = 0; j < a.head_dim; j += 2) {
        const double c = cos_sin[j];
        const double s = cos_sin[j + 1];
        const double even = x[j];
        const double odd = x[j + 1];
        x[j] = static_cast<float>(even * c - odd * s);
        x[j + 1] = static_cast<float>(even * s + odd * c);
      }
    }
  }
}

}  // namespace scout::kernels::ref

// Rotary position embedding of neighbouring pairs. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

void rope(const RopeArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* cos_sin = a.cos_sin + r * a.head_dim;
    for (int64_t h = 0; h < a.n_heads; ++h) {
      float* x = a.x + (r * a.n_heads + h) * a.head_dim;
      for (int64_t d = 0; d < a.head_dim; d += 16) {
        const int64_t n = a.head_dim - d;
        store_part(x + d, rotate_pairs(load_part(x + d, n), load_part(cos_sin + d, n)), n);
      }
    }
  }
}

}  // namespace
}  // namespace scout::kernels

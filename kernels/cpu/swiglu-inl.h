// silu(gate) * up. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

void swiglu(const SwigluArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* gate = a.gate + r * a.stride;
    const float* up = a.up + r * a.stride;
    float* y = a.y + r * a.dim;
    for (int64_t i = 0; i < a.dim; i += 16) {
      const int64_t n = a.dim - i;
      const F32x16 g = load_part(gate + i, n);
      const F32x16 silu = g / (set1(1.0f) + exp(zero() - g));
      store_part(y + i, silu * load_part(up + i, n), n);
    }
  }
}

}  // namespace
}  // namespace scout::kernels

// The gated activation of a feed-forward layer. SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/ref/ops.h"

namespace scout::kernels::ref {

void swiglu(const SwigluArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* gate = a.gate + r * a.stride;
    const float* up = a.up + r * a.stride;
    float* y = a.y + r * a.dim;
    for (int64_t i = 0; i < a.dim; ++i) {
      const double g = gate[i];
      y[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
    }
  }
}

}  // namespace scout::kernels::ref

// RMS normalisation of rows, with or without a weight. SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/ref/ops.h"

namespace scout::kernels::ref {

void rmsnorm(const RmsNormArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* x = a.x + r * a.dim;
    float* y = a.y + r * a.dim;
    double squares = 0.0;
    for (int64_t i = 0; i < a.dim; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double mean = squares / static_cast<double>(a.dim);
    const double inverse = 1.0 / std::sqrt(mean + a.eps);
    for (int64_t i = 0; i < a.dim; ++i) {
      const double weight = a.weight != nullptr ? a.weight[i] : 1.0;
      y[i] = static_cast<float>(x[i] * inverse * weight);
    }
  }
}

}  // namespace scout::kernels::ref

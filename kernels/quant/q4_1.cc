// Encoder of Q4_1 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q4_1.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {

void encode_q4_1(const float* src, BlockQ4_1* dst) {
  double least = finite(src[0]), largest = least;
  for (int i = 1; i < kQ4_1Elems; ++i) {
    least = std::fmin(least, finite(src[i]));
    largest = std::fmax(largest, finite(src[i]));
  }
  dst->d = scale_bits((largest - least) / 15.0);
  dst->m = scale_bits(least);
  const double inverse = inverse_or_zero(f16_to_f32(dst->d));
  const double m = f16_to_f32(dst->m);
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_in((finite(src[i]) - m) * inverse, 0, 15);
    const int high = nearest_in((finite(src[i + 16]) - m) * inverse, 0, 15);
    dst->n[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

}  // namespace scout::kernels

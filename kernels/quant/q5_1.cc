// Encoder of Q5_1 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q5_1.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {

void encode_q5_1(const float* src, BlockQ5_1* dst) {
  double least = finite(src[0]), largest = least;
  for (int i = 1; i < kQ5_1Elems; ++i) {
    least = std::fmin(least, finite(src[i]));
    largest = std::fmax(largest, finite(src[i]));
  }
  dst->d = scale_bits((largest - least) / 31.0);
  dst->m = scale_bits(least);
  const double inverse = inverse_or_zero(f16_to_f32(dst->d));
  const double m = f16_to_f32(dst->m);
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_in((finite(src[i]) - m) * inverse, 0, 31);
    const int high = nearest_in((finite(src[i + 16]) - m) * inverse, 0, 31);
    bits |= static_cast<uint32_t>(low >> 4) << i | static_cast<uint32_t>(high >> 4) << (i + 16);
    dst->n[i] = static_cast<uint8_t>((low & 15) | ((high & 15) << 4));
  }
  dst->high = bits;
}

}  // namespace scout::kernels

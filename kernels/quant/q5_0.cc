// Encoder of Q5_0 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q5_0.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {

void encode_q5_0(const float* src, BlockQ5_0* dst) {
  double extreme = 0.0;  // the value of largest magnitude, with its sign
  for (int i = 0; i < kQ5_0Elems; ++i) {
    const double v = finite(src[i]);
    if (std::fabs(v) > std::fabs(extreme)) extreme = v;
  }
  dst->d = scale_bits(extreme / -16.0);
  const double inverse = inverse_or_zero(f16_to_f32(dst->d));
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_in(finite(src[i]) * inverse, -16, 15) + 16;
    const int high = nearest_in(finite(src[i + 16]) * inverse, -16, 15) + 16;
    bits |= static_cast<uint32_t>(low >> 4) << i | static_cast<uint32_t>(high >> 4) << (i + 16);
    dst->n[i] = static_cast<uint8_t>((low & 15) | ((high & 15) << 4));
  }
  dst->high = bits;
}

}  // namespace scout::kernels

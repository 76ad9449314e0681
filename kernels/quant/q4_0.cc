// Encoder of Q4_0 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q4_0.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {

void encode_q4_0(const float* src, BlockQ4_0* dst) {
  double extreme = 0.0;  // the value of largest magnitude, with its sign
  for (int i = 0; i < kQ4_0Elems; ++i) {
    const double v = finite(src[i]);
    if (std::fabs(v) > std::fabs(extreme)) extreme = v;
  }
  const uint16_t bits = scale_bits(extreme / -8.0);
  const double inverse = inverse_or_zero(f16_to_f32(bits));
  dst->d = bits;
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_in(finite(src[i]) * inverse, -8, 7) + 8;
    const int high = nearest_in(finite(src[i + 16]) * inverse, -8, 7) + 8;
    dst->n[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

}  // namespace scout::kernels

// Encoder of Q8_0 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q8_0.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {

void encode_q8_0(const float* src, BlockQ8_0* dst) {
  double largest = 0.0;
  for (int i = 0; i < kQ8_0Elems; ++i) largest = std::fmax(largest, std::fabs(finite(src[i])));
  const uint16_t bits = scale_bits(largest / 127.0);
  // Against the stored scale, not the exact one: that is what the decoder multiplies by.
  const double inverse = inverse_or_zero(f16_to_f32(bits));
  dst->d = bits;
  for (int i = 0; i < kQ8_0Elems; ++i) {
    dst->q[i] = static_cast<int8_t>(nearest_in(finite(src[i]) * inverse, -127, 127));
  }
}

}  // namespace scout::kernels

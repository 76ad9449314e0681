// Encoder of Q3_K blocks: a small least-squares search per sub-block.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q3_k.h"

#include <cmath>

#include "kernels/quant/encode.h"
#include "kernels/quant/fit.h"

namespace scout::kernels {

void encode_q3_k(const float* src, BlockQ3_K* dst) {
  constexpr int kSub = 16;
  double x[kQ3_KElems];
  for (int i = 0; i < kQ3_KElems; ++i) x[i] = finite(src[i]);
  double scales[kQ3_KSubs];
  double top = 0.0;
  for (int j = 0; j < kQ3_KSubs; ++j) {
    scales[j] = fit_scale(x + kSub * j, kSub, 4);
    top = std::fmax(top, std::fabs(scales[j]));
  }
  memset(static_cast<void*>(dst), 0, sizeof(*dst));
  dst->d = scale_bits(top / 31.0);
  const double d = f16_to_f32(dst->d);
  for (int j = 0; j < kQ3_KSubs; ++j) {
    const int scale = nearest_in(scales[j] * inverse_or_zero(d), -31, 31);
    const int bits = scale + 32;
    dst->s[j % 8] = static_cast<uint8_t>(dst->s[j % 8] | (bits & 15) << (4 * (j / 8)));
    dst->s[8 + j % 4] = static_cast<uint8_t>(dst->s[8 + j % 4] | (bits >> 4) << (2 * (j / 4)));
    const double inverse = inverse_or_zero(d * scale);
    for (int i = kSub * j; i < kSub * (j + 1); ++i) {
      const int q = nearest_in(x[i] * inverse, -4, 3) + 4;
      uint8_t* low = dst->n + 32 * (i / 128) + i % 32;
      *low = static_cast<uint8_t>(*low | (q & 3) << (2 * (i / 32 % 4)));
      dst->high[i % 32] = static_cast<uint8_t>(dst->high[i % 32] | (q >> 2) << (i / 32));
    }
  }
}

}  // namespace scout::kernels

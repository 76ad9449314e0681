// Encoder of Q2_K blocks: a small least-squares search per sub-block.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q2_k.h"

#include <cmath>

#include "kernels/quant/encode.h"
#include "kernels/quant/fit.h"

namespace scout::kernels {
namespace {

constexpr int kSub = 16, kTop = 3;  // weights of a sub-block, largest integer

}  // namespace

void encode_q2_k(const float* src, BlockQ2_K* dst) {
  double x[kQ2_KElems];
  for (int i = 0; i < kQ2_KElems; ++i) x[i] = finite(src[i]);
  Fit fits[kQ2_KSubs];
  double top_scale = 0.0, top_min = 0.0;
  for (int j = 0; j < kQ2_KSubs; ++j) {
    fits[j] = fit_with_min(x + kSub * j, kSub, kTop);
    top_scale = std::fmax(top_scale, fits[j].scale);
    top_min = std::fmax(top_min, fits[j].min);
  }
  dst->d = scale_bits(top_scale / 15.0);
  dst->dmin = scale_bits(top_min / 15.0);
  const double d = f16_to_f32(dst->d);
  const double dmin = f16_to_f32(dst->dmin);
  memset(dst->s, 0, sizeof(dst->s));
  memset(dst->n, 0, sizeof(dst->n));
  for (int j = 0; j < kQ2_KSubs; ++j) {
    const int scale = nearest_in(fits[j].scale * inverse_or_zero(d), 0, 15);
    const int min = nearest_in(fits[j].min * inverse_or_zero(dmin), 0, 15);
    dst->s[j] = static_cast<uint8_t>(scale | min << 4);
    const double inverse = inverse_or_zero(d * scale);
    for (int i = 0; i < kSub; ++i) {
      const int q = nearest_in((x[kSub * j + i] + dmin * min) * inverse, 0, kTop);
      uint8_t* byte = dst->n + 32 * (j / 8) + 16 * (j % 2) + i;
      *byte = static_cast<uint8_t>(*byte | (q << (2 * (j / 2 % 4))));
    }
  }
}

}  // namespace scout::kernels

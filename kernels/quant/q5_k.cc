// Encoder of Q5_K blocks: a small least-squares search per sub-block.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q5_k.h"

#include <cmath>

#include "kernels/quant/encode.h"
#include "kernels/quant/fit.h"

namespace scout::kernels {
namespace {

constexpr int kSub = 32, kTop = 31;  // weights of a sub-block, largest integer

}  // namespace

void encode_q5_k(const float* src, BlockQ5_K* dst) {
  double x[kQ5_KElems];
  for (int i = 0; i < kQ5_KElems; ++i) x[i] = finite(src[i]);
  Fit fits[kQ5_KSubs];
  double top_scale = 0.0, top_min = 0.0;
  for (int j = 0; j < kQ5_KSubs; ++j) {
    fits[j] = fit_with_min(x + kSub * j, kSub, kTop);
    top_scale = std::fmax(top_scale, fits[j].scale);
    top_min = std::fmax(top_min, fits[j].min);
  }
  dst->d = scale_bits(top_scale / 63.0);
  dst->dmin = scale_bits(top_min / 63.0);
  const double d = f16_to_f32(dst->d);
  const double dmin = f16_to_f32(dst->dmin);
  memset(dst->s, 0, sizeof(dst->s));
  memset(dst->n, 0, sizeof(dst->n));
  memset(dst->high, 0, sizeof(dst->high));
  for (int j = 0; j < kQ5_KSubs; ++j) {
    const int scale = nearest_in(fits[j].scale * inverse_or_zero(d), 0, 63);
    const int min = nearest_in(fits[j].min * inverse_or_zero(dmin), 0, 63);
    set_k_scale_min(dst->s, j, scale, min);
    const double inverse = inverse_or_zero(d * scale);
    for (int i = 0; i < kSub; ++i) {
      const int q = nearest_in((x[kSub * j + i] + dmin * min) * inverse, 0, kTop);
      uint8_t* byte = dst->n + 32 * (j / 2) + i;
      *byte = static_cast<uint8_t>(*byte | ((q & 15) << (4 * (j % 2))));
      dst->high[i] = static_cast<uint8_t>(dst->high[i] | ((q >> 4) << j));
    }
  }
}

}  // namespace scout::kernels

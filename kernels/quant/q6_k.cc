// Encoder of Q6_K blocks: a small least-squares search per sub-block.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q6_k.h"

#include <cmath>

#include "kernels/quant/encode.h"
#include "kernels/quant/fit.h"

namespace scout::kernels {
namespace {

constexpr int kSub = 16;

}  // namespace

void encode_q6_k(const float* src, BlockQ6_K* dst) {
  double x[kQ6_KElems];
  for (int i = 0; i < kQ6_KElems; ++i) x[i] = finite(src[i]);
  double scales[kQ6_KSubs];
  double top = 0.0;
  for (int j = 0; j < kQ6_KSubs; ++j) {
    scales[j] = fit_scale(x + kSub * j, kSub, 32);
    top = std::fmax(top, std::fabs(scales[j]));
  }
  dst->d = scale_bits(top / 127.0);
  const double d = f16_to_f32(dst->d);
  uint8_t q[kQ6_KElems];  // integer + 32
  for (int j = 0; j < kQ6_KSubs; ++j) {
    const int scale = nearest_in(scales[j] * inverse_or_zero(d), -127, 127);
    dst->scale[j] = static_cast<int8_t>(scale);
    const double inverse = inverse_or_zero(d * scale);
    for (int i = kSub * j; i < kSub * (j + 1); ++i) {
      q[i] = static_cast<uint8_t>(nearest_in(x[i] * inverse, -32, 31) + 32);
    }
  }
  for (int half = 0; half < 2; ++half) {
    const uint8_t* w = q + 128 * half;
    for (int i = 0; i < 32; ++i) {
      dst->lo[64 * half + i] = static_cast<uint8_t>((w[i] & 15) | ((w[i + 64] & 15) << 4));
      dst->lo[64 * half + 32 + i] =
          static_cast<uint8_t>((w[i + 32] & 15) | ((w[i + 96] & 15) << 4));
      dst->hi[32 * half + i] =
          static_cast<uint8_t>((w[i] >> 4) | ((w[i + 32] >> 4) << 2) | ((w[i + 64] >> 4) << 4) |
                               ((w[i + 96] >> 4) << 6));
    }
  }
}

}  // namespace scout::kernels

// Encoders of IQ4_NL and IQ4_XS blocks: a small least-squares search for the scale.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/iq4.h"

#include <cmath>

#include "kernels/quant/encode.h"
#include "kernels/quant/fit.h"

namespace scout::kernels {
namespace {

void encode_nibbles(const double* x, double scale, uint8_t* n) {
  const double inverse = inverse_or_zero(scale);
  for (int i = 0; i < 16; ++i) {
    const int low = nearest_step(x[i] * inverse, kIq4Steps);
    const int high = nearest_step(x[i + 16] * inverse, kIq4Steps);
    n[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace

void encode_iq4_nl(const float* src, BlockIq4Nl* dst) {
  double x[kIq4NlElems];
  for (int i = 0; i < kIq4NlElems; ++i) x[i] = finite(src[i]);
  dst->d = scale_bits(fit_steps(x, kIq4NlElems, kIq4Steps));
  encode_nibbles(x, f16_to_f32(dst->d), dst->n);
}

void encode_iq4_xs(const float* src, BlockIq4Xs* dst) {
  double x[kIq4XsElems];
  for (int i = 0; i < kIq4XsElems; ++i) x[i] = finite(src[i]);
  double scales[kIq4XsSubs];
  double top = 0.0;
  for (int j = 0; j < kIq4XsSubs; ++j) {
    scales[j] = fit_steps(x + 32 * j, 32, kIq4Steps);
    top = std::fmax(top, std::fabs(scales[j]));
  }
  dst->d = scale_bits(top / 31.0);
  const double d = f16_to_f32(dst->d);
  uint32_t high = 0;
  memset(dst->s_low, 0, sizeof(dst->s_low));
  for (int j = 0; j < kIq4XsSubs; ++j) {
    const int scale = nearest_in(scales[j] * inverse_or_zero(d), -31, 31);
    const uint32_t bits = static_cast<uint32_t>(scale + 32);
    dst->s_low[j / 2] = static_cast<uint8_t>(dst->s_low[j / 2] | (bits & 15) << (4 * (j % 2)));
    high |= (bits >> 4) << (2 * j);
    encode_nibbles(x + 32 * j, d * scale, dst->n + 16 * j);
  }
  dst->s_high = static_cast<uint16_t>(high);
}

}  // namespace scout::kernels

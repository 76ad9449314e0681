// Encoder of MXFP4 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/mxfp4.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {
namespace {

// Nibble of the value nearest to v in units of half the scale; a tie goes to the lesser magnitude.
int nearest_nibble(double v) {
  const double magnitude = std::fabs(v);
  int i = 0;
  while (i < 7 && magnitude > (kMxfp4Steps[i] + kMxfp4Steps[i + 1]) / 2.0) ++i;
  return v < 0 && i > 0 ? i + 8 : i;
}

double squared_error(const double* x, uint8_t e) {
  const double d = e8m0_half(e);
  double sum = 0.0;
  for (int i = 0; i < kMxfp4Elems; ++i) {
    const double error = d * kMxfp4Steps[nearest_nibble(x[i] / d)] - x[i];
    sum += error * error;
  }
  return sum;
}

}  // namespace

void encode_mxfp4(const float* src, BlockMxfp4* dst) {
  double x[kMxfp4Elems];
  double largest = 0.0;
  for (int i = 0; i < kMxfp4Elems; ++i) {
    x[i] = finite(src[i]);
    largest = std::fmax(largest, std::fabs(x[i]));
  }
  // The largest value, 2^k times something in [1, 2), goes to [4, 8), where 6 is the last step, or
  // to [2, 4).
  int k = 0;
  std::frexp(largest, &k);
  constexpr int kMost = 252;  // beyond it the last step is no float32
  const int first = nearest_in(k - 1 - 2 + 127, 0, kMost);
  const int second = nearest_in(first + 1, 0, kMost);
  const auto e = [](int i) { return static_cast<uint8_t>(i); };
  dst->e = largest == 0.0                                             ? uint8_t{0}
           : squared_error(x, e(second)) < squared_error(x, e(first)) ? e(second)
                                                                      : e(first);
  const double d = e8m0_half(dst->e);
  for (int i = 0; i < 16; ++i) {
    dst->n[i] = static_cast<uint8_t>(nearest_nibble(x[i] / d) | nearest_nibble(x[i + 16] / d) << 4);
  }
}

}  // namespace scout::kernels

// Encoders of I4_32 and I4_128 blocks. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/i4.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {
namespace {

template <int64_t kElems>
void encode(const float* src, BlockI4<kElems>* dst) {
  double low = 0.0, high = 0.0;
  for (int64_t i = 0; i < kElems; ++i) {
    low = std::fmin(low, finite(src[i]));
    high = std::fmax(high, finite(src[i]));
  }
  const uint16_t bits = scale_bits((high - low) / 15.0);
  const double inverse = inverse_or_zero(f16_to_f32(bits));
  const int zero = nearest_in(-low * inverse, 0, 15);
  uint8_t n[kElems / 2];
  for (int64_t i = 0; i < kElems / 2; ++i) {
    const int even = nearest_in(finite(src[2 * i]) * inverse + zero, 0, 15);
    const int odd = nearest_in(finite(src[2 * i + 1]) * inverse + zero, 0, 15);
    n[i] = static_cast<uint8_t>(even | odd << 4);
  }
  pack_i4(bits, false, static_cast<uint8_t>(zero), n, dst);
}

}  // namespace

void encode_i4_32(const float* src, BlockI4_32* dst) { encode(src, dst); }
void encode_i4_128(const float* src, BlockI4_128* dst) { encode(src, dst); }

}  // namespace scout::kernels

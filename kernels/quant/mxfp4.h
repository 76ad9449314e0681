// MXFP4 (OCP Microscaling 1.0): 32 weights of 4-bit floats with a power of two as scale.
// SPDX-License-Identifier: Apache-2.0
//
//   byte 0      e, E8M0: the scale is 2^(e - 127); 255 is NaN
//   byte 1..16  n[0..15]: low nibble of n[i] is weight i, high nibble is weight i + 16
//
// A nibble is E2M1: sign, 2 bits of exponent, 1 of fraction: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their
// negatives. The integers here are twice that; the scale takes the half. 4.25 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kMxfp4Elems = 32;

alignas(16) inline constexpr int8_t kMxfp4Steps[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                       0, -1, -2, -3, -4, -6, -8, -12};

struct BlockMxfp4 {
  uint8_t e;
  uint8_t n[kMxfp4Elems / 2];
};
static_assert(sizeof(BlockMxfp4) == 17 && alignof(BlockMxfp4) == 1);

// 2^(e - 128), half of the scale, and NaN for 255: exact for all e, the smallest two as subnormal
// float32. Masks rather than branches, so that loops over it vectorise.
static inline float e8m0_half(uint8_t e) {
  const uint32_t wide = e;
  const uint32_t is_small = 0u - static_cast<uint32_t>(wide < 2u);
  const uint32_t is_nan = 0u - static_cast<uint32_t>(wide == 255u);
  const uint32_t small = 0x200000u + (0x200000u & (0u - wide));  // e 0 or 1: 2^-128, 2^-127
  const uint32_t normal = (wide << 23) - (1u << 23);
  return f32_from_bits((small & is_small) | (normal & ~is_small) | (0x7fc00000u & is_nan));
}

// The 32 integers of a block in order, -12 .. 12.
static inline void unpack_mxfp4(const BlockMxfp4& b, int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = kMxfp4Steps[b.n[i] & 15];
    q[i + 16] = kMxfp4Steps[b.n[i] >> 4];
  }
}

static inline void decode_mxfp4(const BlockMxfp4& b, float* dst) {
  const float d = e8m0_half(b.e);
  int8_t q[kMxfp4Elems];
  unpack_mxfp4(b, q);
  for (int i = 0; i < kMxfp4Elems; ++i) dst[i] = d * static_cast<float>(q[i]);
}

// Nearest values for the scale, of the two about the largest magnitude, with the lesser error. A
// value that is not a number becomes 0.
void encode_mxfp4(const float* src, BlockMxfp4* dst);

}  // namespace scout::kernels

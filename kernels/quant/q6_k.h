// Q6_K: 256 weights of 6 bits in 16 sub-blocks of 16, each with an 8-bit scale.
// SPDX-License-Identifier: Apache-2.0
//
//   byte 0..127    lo[0..127]: lower 4 bits of the weights
//   byte 128..191  hi[0..63]: upper 2 bits
//   byte 192..207  scale[0..15], int8: of weights 16 j .. 16 j + 15
//   byte 208..209  d, float16 little-endian: unit of the scales
//
// Each half h of the block (128 weights) uses lo[64 h ..] and hi[32 h ..]. In a half, for i < 32:
//   weight i       lo[i] low nibble        hi[i] bits 0..1
//   weight i + 32  lo[i + 32] low nibble   hi[i] bits 2..3
//   weight i + 64  lo[i] high nibble       hi[i] bits 4..5
//   weight i + 96  lo[i + 32] high nibble  hi[i] bits 6..7
//
// weight = (d * scale) * (bits - 32), integers -32 .. 31; 6.5625 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ6_KElems = 256;
inline constexpr int64_t kQ6_KSubs = 16;  // of 16 weights

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ6_K {
  uint8_t lo[kQ6_KElems / 2];
  uint8_t hi[kQ6_KElems / 4];
  int8_t scale[kQ6_KSubs];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 1);

// The 256 integers of a block in order, -32 .. 31.
static inline void unpack_q6_k(const BlockQ6_K& b, int8_t* q) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* lo = b.lo + 64 * half;
    const uint8_t* hi = b.hi + 32 * half;
    int8_t* w = q + 128 * half;
    for (int i = 0; i < 32; ++i) {
      w[i] = static_cast<int8_t>(((lo[i] & 15) | ((hi[i] & 3) << 4)) - 32);
      w[i + 32] = static_cast<int8_t>(((lo[i + 32] & 15) | (((hi[i] >> 2) & 3) << 4)) - 32);
      w[i + 64] = static_cast<int8_t>(((lo[i] >> 4) | (((hi[i] >> 4) & 3) << 4)) - 32);
      w[i + 96] = static_cast<int8_t>(((lo[i + 32] >> 4) | ((hi[i] >> 6) << 4)) - 32);
    }
  }
}

static inline void decode_q6_k(const BlockQ6_K& b, float* dst) {
  const float d = f16_to_f32(b.d);
  int8_t q[kQ6_KElems];
  unpack_q6_k(b, q);
  for (int j = 0; j < kQ6_KSubs; ++j) {
    const float s = d * static_cast<float>(b.scale[j]);
    for (int i = 16 * j; i < 16 * (j + 1); ++i) dst[i] = s * static_cast<float>(q[i]);
  }
}

// Searches the scale of each sub-block for the least squared error. A value that is not a number
// becomes 0.
void encode_q6_k(const float* src, BlockQ6_K* dst);

}  // namespace scout::kernels

// Q2_K: 256 weights of 2 bits in 16 sub-blocks of 16, each with a scale and a minimum of 4 bits.
// SPDX-License-Identifier: Apache-2.0
//
//   byte 0..15   s[0..15]: of sub-block j the scale in the low nibble, the minimum in the high one
//   byte 16..79  n[0..63]: for weight 128 h + 32 j + i (h < 2, j < 4, i < 32) bits 2 j .. 2 j + 1
//   of
//                n[32 h + i]
//   byte 80..81  d, float16 little-endian: unit of the scales
//   byte 82..83  dmin, float16: unit of the minimums
//
// weight = (d * scale) * bits - (dmin * minimum); 2.625 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ2_KElems = 256;
inline constexpr int64_t kQ2_KSubs = 16;  // of 16 weights

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ2_K {
  uint8_t s[kQ2_KSubs];
  uint8_t n[kQ2_KElems / 4];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84 && alignof(BlockQ2_K) == 1);

// The 256 integers of a block in order, 0 .. 3.
static inline void unpack_q2_k(const BlockQ2_K& b, int8_t* q) {
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 32; ++i) {
        q[128 * half + 32 * j + i] = static_cast<int8_t>((b.n[32 * half + i] >> (2 * j)) & 3);
      }
    }
  }
}

// Every product here is exact in float32 (11 + 4 + 2 bits).
static inline void decode_q2_k(const BlockQ2_K& b, float* dst) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  int8_t q[kQ2_KElems];
  unpack_q2_k(b, q);
  for (int j = 0; j < kQ2_KSubs; ++j) {
    const float s = d * static_cast<float>(b.s[j] & 15);
    const float m = dmin * static_cast<float>(b.s[j] >> 4);
    for (int i = 16 * j; i < 16 * (j + 1); ++i) dst[i] = s * static_cast<float>(q[i]) - m;
  }
}

// Searches scale and minimum of each sub-block for the least squared error. A value that is not a
// number becomes 0.
void encode_q2_k(const float* src, BlockQ2_K* dst);

}  // namespace scout::kernels

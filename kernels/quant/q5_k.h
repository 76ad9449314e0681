// Q5_K: 256 weights of 5 bits in 8 sub-blocks of 32, each with a scale and a minimum of 6 bits.
// SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1     d, float16 little-endian: unit of the scales
//   byte 2..3     dmin, float16: unit of the minimums
//   byte 4..15    s[0..11]: 8 scales and 8 minimums as in q4_k.h
//   byte 16..47   high[0..31]: bit j of high[i] is bit 4 of weight i of sub-block j
//   byte 48..175  n[0..127]: the lower 4 bits, in the order of q4_k.h
//
// weight = (d * scale) * bits - (dmin * minimum), bits 0 .. 31; 5.5 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"
#include "kernels/quant/q4_k.h"

namespace scout::kernels {

inline constexpr int64_t kQ5_KElems = 256;
inline constexpr int64_t kQ5_KSubs = 8;  // of 32 weights

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t s[12];
  uint8_t high[kQ5_KElems / 8];
  uint8_t n[kQ5_KElems / 2];
};
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 1);

// The 256 integers of a block in order, 0 .. 31.
static inline void unpack_q5_k(const BlockQ5_K& b, int8_t* q) {
  for (int j = 0; j < kQ5_KSubs; ++j) {
    const uint8_t* n = b.n + 32 * (j / 2);
    for (int i = 0; i < 32; ++i) {
      const int low = (n[i] >> (4 * (j % 2))) & 15;
      q[32 * j + i] = static_cast<int8_t>(low | ((b.high[i] >> j) & 1) << 4);
    }
  }
}

// Every product here is exact in float32 (11 + 6 + 5 bits).
static inline void decode_q5_k(const BlockQ5_K& b, float* dst) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  int8_t q[kQ5_KElems];
  unpack_q5_k(b, q);
  for (int j = 0; j < kQ5_KSubs; ++j) {
    uint8_t scale, min;
    k_scale_min(b.s, j, &scale, &min);
    const float s = d * static_cast<float>(scale);
    const float m = dmin * static_cast<float>(min);
    for (int i = 32 * j; i < 32 * (j + 1); ++i) dst[i] = s * static_cast<float>(q[i]) - m;
  }
}

// Searches scale and minimum of each sub-block for the least squared error. A value that is not a
// number becomes 0.
void encode_q5_k(const float* src, BlockQ5_K* dst);

}  // namespace scout::kernels

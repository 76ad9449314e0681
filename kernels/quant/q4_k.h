// Q4_K: 256 weights of 4 bits in 8 sub-blocks of 32, each with a scale and a minimum of 6 bits.
// SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1     d, float16 little-endian: unit of the scales
//   byte 2..3     dmin, float16: unit of the minimums
//   byte 4..15    s[0..11], 8 scales and 8 minimums:
//                   j < 4:  scale j = s[j] bits 0..5          minimum j = s[j + 4] bits 0..5
//                   j >= 4: scale j = s[j + 4] bits 0..3, then s[j - 4] bits 6..7 as bits 4..5
//                           minimum j = s[j + 4] bits 4..7, then s[j] bits 6..7 as bits 4..5
//   byte 16..143  n[0..127]: per pair of sub-blocks 32 bytes; byte i of pair p holds weight i of
//                 sub-block 2p in its low nibble and weight i of sub-block 2p + 1 in its high one
//
// weight = (d * scale) * nibble - (dmin * minimum); 4.5 bits per weight. With d and dmin not
// negative, as encoders write them, a sub-block spans [-min, 15 scale - min].
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ4_KElems = 256;
inline constexpr int64_t kQ4_KSubs = 8;  // of 32 weights

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t s[12];
  uint8_t n[kQ4_KElems / 2];
};
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 1);

// The integer scale and minimum of sub-block j in the 12 bytes s, 0 .. 63 each.
static inline void k_scale_min(const uint8_t* s, int j, uint8_t* scale, uint8_t* min) {
  if (j < 4) {
    *scale = s[j] & 63;
    *min = s[j + 4] & 63;
  } else {
    *scale = static_cast<uint8_t>((s[j + 4] & 15) | ((s[j - 4] >> 6) << 4));
    *min = static_cast<uint8_t>((s[j + 4] >> 4) | ((s[j] >> 6) << 4));
  }
}

// The 256 integers of a block in order, 0 .. 15.
static inline void unpack_q4_k(const BlockQ4_K& b, int8_t* q) {
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* n = b.n + 32 * pair;
    int8_t* low = q + 64 * pair;
    for (int i = 0; i < 32; ++i) {
      low[i] = static_cast<int8_t>(n[i] & 15);
      low[i + 32] = static_cast<int8_t>(n[i] >> 4);
    }
  }
}

// Every product here is exact in float32 (11 + 6 + 4 bits), so the only rounding is that of the
// subtraction and a fused multiply-add gives the same bits.
static inline void decode_q4_k(const BlockQ4_K& b, float* dst) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  int8_t q[kQ4_KElems];
  unpack_q4_k(b, q);
  for (int j = 0; j < kQ4_KSubs; ++j) {
    uint8_t scale, min;
    k_scale_min(b.s, j, &scale, &min);
    const float s = d * static_cast<float>(scale);
    const float m = dmin * static_cast<float>(min);
    for (int i = 32 * j; i < 32 * (j + 1); ++i) dst[i] = s * static_cast<float>(q[i]) - m;
  }
}

// Searches scale and minimum of each sub-block for the least squared error. A value that is not a
// number becomes 0.
void encode_q4_k(const float* src, BlockQ4_K* dst);

}  // namespace scout::kernels

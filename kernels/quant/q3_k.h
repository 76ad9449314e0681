// Q3_K: 256 weights of 3 bits in 16 sub-blocks of 16, each with a scale of 6 bits.
// SPDX-License-Identifier: Apache-2.0
//
//   byte 0..31     high[0..31]: bit 4 h + j of high[i] is bit 2 of weight 128 h + 32 j + i
//   byte 32..95    n[0..63]: bits 2 j .. 2 j + 1 of n[32 h + i] are the lower bits of that weight
//                  (h < 2, j < 4, i < 32)
//   byte 96..107   s[0..11]: scale j = low nibble of s[j] (j < 8) or high nibble of s[j - 8], then
//                  bits 2 (j / 4) .. 2 (j / 4) + 1 of s[8 + j % 4] as bits 4..5
//   byte 108..109  d, float16 little-endian: unit of the scales
//
// weight = (d * (scale - 32)) * (bits - 4), integers -4 .. 3; 3.4375 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ3_KElems = 256;
inline constexpr int64_t kQ3_KSubs = 16;  // of 16 weights

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ3_K {
  uint8_t high[kQ3_KElems / 8];
  uint8_t n[kQ3_KElems / 4];
  uint8_t s[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110 && alignof(BlockQ3_K) == 1);

// The scale of sub-block j, -32 .. 31.
static inline int q3_k_scale(const BlockQ3_K& b, int j) {
  const int low = j < 8 ? b.s[j] & 15 : b.s[j - 8] >> 4;
  return (low | ((b.s[8 + j % 4] >> (2 * (j / 4))) & 3) << 4) - 32;
}

// The 256 integers of a block in order, -4 .. 3.
static inline void unpack_q3_k(const BlockQ3_K& b, int8_t* q) {
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 32; ++i) {
        const int low = (b.n[32 * half + i] >> (2 * j)) & 3;
        const int high = (b.high[i] >> (4 * half + j)) & 1;
        q[128 * half + 32 * j + i] = static_cast<int8_t>((low | high << 2) - 4);
      }
    }
  }
}

static inline void decode_q3_k(const BlockQ3_K& b, float* dst) {
  const float d = f16_to_f32(b.d);
  int8_t q[kQ3_KElems];
  unpack_q3_k(b, q);
  for (int j = 0; j < kQ3_KSubs; ++j) {
    const float s = d * static_cast<float>(q3_k_scale(b, j));
    for (int i = 16 * j; i < 16 * (j + 1); ++i) dst[i] = s * static_cast<float>(q[i]);
  }
}

// Searches the scale of each sub-block for the least squared error. A value that is not a number
// becomes 0.
void encode_q3_k(const float* src, BlockQ3_K* dst);

}  // namespace scout::kernels

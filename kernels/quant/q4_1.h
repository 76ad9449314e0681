// Q4_1: 32 weights of 4 bits with a float16 scale and offset. SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1   d, float16 little-endian
//   byte 2..3   m, float16: the offset
//   byte 4..19  n[0..15]: low nibble of n[i] is weight i, high nibble is weight i + 16
//
// weight = d * nibble + m; 5 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ4_1Elems = 32;

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t n[kQ4_1Elems / 2];
};
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 1);

// The 32 integers of a block in order, 0 .. 15.
static inline void unpack_q4_1(const BlockQ4_1& b, int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>(b.n[i] & 15);
    q[i + 16] = static_cast<int8_t>(b.n[i] >> 4);
  }
}

// The product is exact in float32 (11 + 4 bits).
static inline void decode_q4_1(const BlockQ4_1& b, float* dst) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  int8_t q[kQ4_1Elems];
  unpack_q4_1(b, q);
  for (int i = 0; i < kQ4_1Elems; ++i) dst[i] = d * static_cast<float>(q[i]) + m;
}

// Nearest values on the grid from the least to the largest value. A value that is not a number
// becomes 0 before.
void encode_q4_1(const float* src, BlockQ4_1* dst);

}  // namespace scout::kernels

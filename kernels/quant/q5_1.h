// Q5_1: 32 weights of 5 bits with a float16 scale and offset. SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1   d, float16 little-endian
//   byte 2..3   m, float16: the offset
//   byte 4..7   high, uint32 little-endian: bit i is bit 4 of weight i
//   byte 8..23  n[0..15]: low nibble of n[i] is of weight i, high nibble of weight i + 16
//
// weight = d * bits + m, bits 0 .. 31; 6 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ5_1Elems = 32;

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint32_t high;
  uint8_t n[kQ5_1Elems / 2];
};
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 1);

// The 32 integers of a block in order, 0 .. 31.
static inline void unpack_q5_1(const BlockQ5_1& b, int8_t* q) {
  const uint32_t high = b.high;
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>((b.n[i] & 15u) | ((high >> i) & 1u) << 4);
    q[i + 16] =
        static_cast<int8_t>(static_cast<uint32_t>(b.n[i] >> 4) | ((high >> (i + 16)) & 1u) << 4);
  }
}

// The product is exact in float32 (11 + 5 bits).
static inline void decode_q5_1(const BlockQ5_1& b, float* dst) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  int8_t q[kQ5_1Elems];
  unpack_q5_1(b, q);
  for (int i = 0; i < kQ5_1Elems; ++i) dst[i] = d * static_cast<float>(q[i]) + m;
}

// Nearest values on the grid from the least to the largest value. A value that is not a number
// becomes 0 before.
void encode_q5_1(const float* src, BlockQ5_1* dst);

}  // namespace scout::kernels

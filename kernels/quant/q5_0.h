// Q5_0: 32 weights of 5 bits with one float16 scale. SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1   d, float16 little-endian
//   byte 2..5   high, uint32 little-endian: bit i is bit 4 of weight i
//   byte 6..21  n[0..15]: low nibble of n[i] is of weight i, high nibble of weight i + 16
//
// weight = d * (bits - 16), so -16 d .. 15 d; 5.5 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ5_0Elems = 32;

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ5_0 {
  uint16_t d;
  uint32_t high;
  uint8_t n[kQ5_0Elems / 2];
};
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 1);

// The 32 integers of a block in order, -16 .. 15.
static inline void unpack_q5_0(const BlockQ5_0& b, int8_t* q) {
  const uint32_t high = b.high;
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>(static_cast<int>((b.n[i] & 15u) | ((high >> i) & 1u) << 4) - 16);
    q[i + 16] = static_cast<int8_t>(
        static_cast<int>(static_cast<uint32_t>(b.n[i] >> 4) | ((high >> (i + 16)) & 1u) << 4) - 16);
  }
}

static inline void decode_q5_0(const BlockQ5_0& b, float* dst) {
  const float d = f16_to_f32(b.d);
  int8_t q[kQ5_0Elems];
  unpack_q5_0(b, q);
  for (int i = 0; i < kQ5_0Elems; ++i) dst[i] = d * static_cast<float>(q[i]);
}

// Nearest values for a scale that takes the largest magnitude to -16 (the longer side of the
// range). A value that is not a number becomes 0.
void encode_q5_0(const float* src, BlockQ5_0* dst);

}  // namespace scout::kernels

// Q4_0: 32 weights of 4 bits with one float16 scale. SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1   d, float16 little-endian
//   byte 2..17  n[0..15]: low nibble of n[i] is weight i, high nibble is weight i + 16
//
// weight = d * (nibble - 8), so -8 d .. 7 d; 4.5 bits per weight.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ4_0Elems = 32;

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ4_0 {
  uint16_t d;
  uint8_t n[kQ4_0Elems / 2];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 1);

// The 32 integers of a block in order, -8 .. 7.
static inline void unpack_q4_0(const BlockQ4_0& b, int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<int8_t>((b.n[i] & 15) - 8);
    q[i + 16] = static_cast<int8_t>((b.n[i] >> 4) - 8);
  }
}

static inline void decode_q4_0(const BlockQ4_0& b, float* dst) {
  const float d = f16_to_f32(b.d);
  int8_t q[kQ4_0Elems];
  unpack_q4_0(b, q);
  for (int i = 0; i < kQ4_0Elems; ++i) dst[i] = d * static_cast<float>(q[i]);
}

// Nearest values for a scale that takes the largest magnitude to -8 (the longer side of the
// range). A value that is not a number becomes 0.
void encode_q4_0(const float* src, BlockQ4_0* dst);

}  // namespace scout::kernels

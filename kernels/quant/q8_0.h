// Q8_0: 32 weights of 8 bits with one float16 scale. SPDX-License-Identifier: Apache-2.0
//
//   byte 0..1   d, float16 little-endian
//   byte 2..33  q[0..31], int8; weight i = d * q[i]
//
// 8.5 bits per weight; q in [-127, 127] as written here, -128 is legal when read.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kQ8_0Elems = 32;

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockQ8_0 {
  uint16_t d;
  int8_t q[kQ8_0Elems];
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 1);

static inline void decode_q8_0(const BlockQ8_0& b, float* dst) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < kQ8_0Elems; ++i) dst[i] = d * static_cast<float>(b.q[i]);
}

// Nearest values for the scale max|x| / 127. A value that is not a number becomes 0.
void encode_q8_0(const float* src, BlockQ8_0* dst);

}  // namespace scout::kernels

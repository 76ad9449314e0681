// I4_32 and I4_128: 32 or 128 weights of 4 bits with a 16-bit scale and a zero point.
// SPDX-License-Identifier: Apache-2.0
//
// This library's own blocks. Checkpoints with 4-bit integers in groups along a row (W4A16, AWQ)
// come with packed integers, scales and zero points in tensors of their own; the loader joins them.
//
//   byte 0..1  scale, little-endian bits of a float16 or bfloat16
//   byte 2     zero: bits 0..3 the zero point, bit 4 set where the scale is a bfloat16; bits 5..7
//              are 0 and not read
//   byte 3..   n: low nibble of n[i] is weight 2 i, high nibble is weight 2 i + 1
//
// weight = scale * (nibble - zero), integers -15 .. 15; symmetric formats have zero = 8. 4.75 and
// 4.1875 bits per weight. The nibbles lie as eight in a little-endian 32-bit word, lowest first, so
// those of W4A16 are copied as they are; and widening bytes to 16 bits puts them in order at once.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr uint8_t kI4Bf16 = 0x10;  // the bit of `zero`

// Packed: blocks may lie at any address.
template <int64_t kElems>
struct [[gnu::packed]] BlockI4 {
  uint16_t scale;
  uint8_t zero;
  uint8_t n[kElems / 2];
};
using BlockI4_32 = BlockI4<32>;
using BlockI4_128 = BlockI4<128>;
static_assert(sizeof(BlockI4_32) == 19 && alignof(BlockI4_32) == 1);
static_assert(sizeof(BlockI4_128) == 67 && alignof(BlockI4_128) == 1);

// Fills a block. nibbles: kElems / 2 bytes in the order above; zero: 0 .. 15.
template <int64_t kElems>
static inline void pack_i4(uint16_t scale_bits, bool bf16, uint8_t zero, const void* nibbles,
                           BlockI4<kElems>* dst) {
  dst->scale = scale_bits;
  dst->zero = static_cast<uint8_t>((zero & 15) | (bf16 ? kI4Bf16 : 0));
  memcpy(dst->n, nibbles, sizeof(dst->n));
}

static inline float i4_scale(uint16_t bits, uint8_t zero) {
  return (zero & kI4Bf16) != 0 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

// The integers of a block in order, -15 .. 15.
template <int64_t kElems>
static inline void unpack_i4(const BlockI4<kElems>& b, int8_t* q) {
  const int zero = b.zero & 15;
  for (int64_t i = 0; i < kElems / 2; ++i) {
    q[2 * i] = static_cast<int8_t>((b.n[i] & 15) - zero);
    q[2 * i + 1] = static_cast<int8_t>((b.n[i] >> 4) - zero);
  }
}

template <int64_t kElems>
static inline void decode_i4(const BlockI4<kElems>& b, float* dst) {
  const float d = i4_scale(b.scale, b.zero);
  int8_t q[kElems];
  unpack_i4(b, q);
  for (int64_t i = 0; i < kElems; ++i) dst[i] = d * static_cast<float>(q[i]);
}

// Nearest values on the grid from the least to the largest value (which spans zero), with a float16
// scale and the zero point nearest to 0. A value that is not a number becomes 0.
void encode_i4_32(const float* src, BlockI4_32* dst);
void encode_i4_128(const float* src, BlockI4_128* dst);

}  // namespace scout::kernels

// IQ4_NL and IQ4_XS: weights of 4 bits that stand for 16 uneven steps. SPDX-License-Identifier:
// Apache-2.0
//
// IQ4_NL, 32 weights, 4.5 bits per weight:
//   byte 0..1   d, float16 little-endian
//   byte 2..17  n[0..15]: low nibble of n[i] is weight i, high nibble is weight i + 16
//   weight = d * step[nibble]
//
// IQ4_XS, 256 weights in 8 sub-blocks of 32, 4.25 bits per weight:
//   byte 0..1    d, float16 little-endian: unit of the scales
//   byte 2..3    s_high, uint16 little-endian: bits 2 j .. 2 j + 1 are bits 4..5 of scale j
//   byte 4..7    s_low[0..3]: of scale 2 i the lower bits in the low nibble of s_low[i], of scale
//                2 i + 1 in the high one
//   byte 8..135  n[0..127]: per sub-block 16 bytes in the order of IQ4_NL
//   weight = (d * (scale - 32)) * step[nibble]
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr int64_t kIq4NlElems = 32;
inline constexpr int64_t kIq4XsElems = 256;
inline constexpr int64_t kIq4XsSubs = 8;  // of 32 weights

alignas(16) inline constexpr int8_t kIq4Steps[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                     1,    13,   25,  38,  53,  69,  89,  113};

// Packed: blocks may lie at any address.
struct [[gnu::packed]] BlockIq4Nl {
  uint16_t d;
  uint8_t n[kIq4NlElems / 2];
};
static_assert(sizeof(BlockIq4Nl) == 18 && alignof(BlockIq4Nl) == 1);

struct [[gnu::packed]] BlockIq4Xs {
  uint16_t d;
  uint16_t s_high;
  uint8_t s_low[kIq4XsSubs / 2];
  uint8_t n[kIq4XsElems / 2];
};
static_assert(sizeof(BlockIq4Xs) == 136 && alignof(BlockIq4Xs) == 1);

// The 32 steps that 16 bytes stand for.
static inline void unpack_iq4(const uint8_t* n, int8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = kIq4Steps[n[i] & 15];
    q[i + 16] = kIq4Steps[n[i] >> 4];
  }
}

// The scale of sub-block j, -32 .. 31.
static inline int iq4_xs_scale(const BlockIq4Xs& b, int j) {
  const int low = (b.s_low[j / 2] >> (4 * (j % 2))) & 15;
  return (low | ((b.s_high >> (2 * j)) & 3) << 4) - 32;
}

static inline void decode_iq4_nl(const BlockIq4Nl& b, float* dst) {
  const float d = f16_to_f32(b.d);
  int8_t q[kIq4NlElems];
  unpack_iq4(b.n, q);
  for (int i = 0; i < kIq4NlElems; ++i) dst[i] = d * static_cast<float>(q[i]);
}

static inline void decode_iq4_xs(const BlockIq4Xs& b, float* dst) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < kIq4XsSubs; ++j) {
    const float s = d * static_cast<float>(iq4_xs_scale(b, j));
    int8_t q[32];
    unpack_iq4(b.n + 16 * j, q);
    for (int i = 0; i < 32; ++i) dst[32 * j + i] = s * static_cast<float>(q[i]);
  }
}

// Search the scale for the least squared error. A value that is not a number becomes 0.
void encode_iq4_nl(const float* src, BlockIq4Nl* dst);
void encode_iq4_xs(const float* src, BlockIq4Xs* dst);

}  // namespace scout::kernels

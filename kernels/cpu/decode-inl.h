// Weight rows, a chunk of 256 columns at a time: as 8-bit integers with scales, or as floats.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"
#include "kernels/quant/q8_0.h"

namespace scout::kernels {
namespace {

constexpr int64_t kChunk = 256;  // columns: a multiple of every block, 16 blocks of activations

// weight i = scale[i / 16] * w[i] - min[i / 16]
struct Chunk {
  I8x64 w[4];
  F32x16 scale;
  F32x16 min;  // Q4_K only
};

template <typename Block>
SCOUT_INLINE const Block* blocks_at(const uint8_t* row, int64_t col, int64_t elems) {
  return reinterpret_cast<const Block*>(row + col / elems * static_cast<int64_t>(sizeof(Block)));
}

// The scales of 8 blocks of 32.
template <typename Block>
SCOUT_INLINE F32x16 scales_of_8(const Block* b) {
  const auto four = [b](int i) {
    return uint64_t{b[i].d} | uint64_t{b[i + 1].d} << 16 | uint64_t{b[i + 2].d} << 32 |
           uint64_t{b[i + 3].d} << 48;
  };
  return f16_pairs(four(0), four(4));
}

// Formats with blocks of 32: the last chunk of a row may be short, its missing blocks become zeros.
template <typename Block>
SCOUT_INLINE const Block* whole_chunk(const Block* b, int64_t cols, Block* padded) {
  if (cols >= kChunk) return b;
  memset(static_cast<void*>(padded), 0, 8 * sizeof(Block));
  memcpy(static_cast<void*>(padded), b, static_cast<size_t>(cols / 32) * sizeof(Block));
  return padded;
}

struct Q8_0 {
  static constexpr int64_t kChunkBytes = 8 * sizeof(BlockQ8_0);
  static constexpr bool kSigned = true, kHasMin = false;
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ8_0 padded[8];
    const BlockQ8_0* b = whole_chunk(blocks_at<BlockQ8_0>(row, col, kQ8_0Elems), cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = join(b[2 * i].q, b[2 * i + 1].q);
    c->scale = scales_of_8(b);
  }
};

struct Q4_0 {
  static constexpr int64_t kChunkBytes = 8 * sizeof(BlockQ4_0);
  static constexpr bool kSigned = true, kHasMin = false;
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ4_0 padded[8];
    const BlockQ4_0* b = whole_chunk(blocks_at<BlockQ4_0>(row, col, kQ4_0Elems), cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = unpack(b[2 * i], b[2 * i + 1]);
    c->scale = scales_of_8(b);
  }
};

struct Q4_K {
  static constexpr int64_t kChunkBytes = sizeof(BlockQ4_K);
  static constexpr bool kSigned = false, kHasMin = true;
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ4_K& b = *blocks_at<BlockQ4_K>(row, col, kQ4_KElems);
    c->w[0] = unpack<0>(b);
    c->w[1] = unpack<1>(b);
    c->w[2] = unpack<2>(b);
    c->w[3] = unpack<3>(b);
    // The 6-bit fields of q4_k.h, four bytes of a word at once.
    uint32_t s[3];
    memcpy(s, b.s, sizeof(s));
    const uint32_t scale_low = s[0] & 0x3f3f3f3fu, min_low = s[1] & 0x3f3f3f3fu;
    const uint32_t scale_high = (s[2] & 0x0f0f0f0fu) | ((s[0] >> 2) & 0x30303030u);
    const uint32_t min_high = ((s[2] >> 4) & 0x0f0f0f0fu) | ((s[1] >> 2) & 0x30303030u);
    c->scale = set1(f16_scalar(b.d)) * u8_pairs(uint64_t{scale_high} << 32 | scale_low);
    c->min = set1(f16_scalar(b.dmin)) * u8_pairs(uint64_t{min_high} << 32 | min_low);
  }
};

struct Q6_K {
  static constexpr int64_t kChunkBytes = sizeof(BlockQ6_K);
  static constexpr bool kSigned = true, kHasMin = false;
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ6_K& b = *blocks_at<BlockQ6_K>(row, col, kQ6_KElems);
    c->w[0] = unpack<0>(b);
    c->w[1] = unpack<1>(b);
    c->w[2] = unpack<2>(b);
    c->w[3] = unpack<3>(b);
    c->scale = set1(f16_scalar(b.d)) * load_i8(b.scale);
  }
};

// Decoders to float: columns [col, col + cols) of a row, col a multiple of kChunk, cols at most
// kChunk, into dst[0 .. kChunk), which is padded with zeros.
template <typename Format>
struct DecodeBlocks {
  static inline void run(const uint8_t* row, int64_t col, int64_t cols, float* dst) {
    Chunk c;
    Format::unpack_chunk(row, col, cols, &c);
    float scale[16], min[16];
    store(scale, c.scale);
    if (Format::kHasMin) store(min, c.min);
    int8_t w[kChunk];
    memcpy(w, c.w, sizeof(w));
    for (int i = 0; i < 16; ++i) {
      const F32x16 product = set1(scale[i]) * load_i8(w + 16 * i);
      store(dst + 16 * i, Format::kHasMin ? product - set1(min[i]) : product);
    }
  }
};

template <int kBytes, F32x16 (*kLoad)(const void*)>
struct DecodeFloats {
  static inline void run(const uint8_t* row, int64_t col, int64_t cols, float* dst) {
    const uint8_t* src = row + col * kBytes;
    const int64_t whole = cols / 16 * 16;
    for (int64_t i = 0; i < whole; i += 16) store(dst + i, kLoad(src + i * kBytes));
    if (cols >= kChunk) return;
    uint8_t rest[16 * kBytes] = {};
    memcpy(rest, src + whole * kBytes, static_cast<size_t>((cols - whole) * kBytes));
    store(dst + whole, kLoad(rest));
    for (int64_t i = whole + 16; i < kChunk; i += 16) store(dst + i, zero());
  }
};

// As arguments of templates: functions with an address.
inline F32x16 widen_f32(const void* p) { return load(static_cast<const float*>(p)); }
inline F32x16 widen_f16(const void* p) { return load_f16(p); }
inline F32x16 widen_bf16(const void* p) { return load_bf16(p); }

// Calls f with the decoder of a type as a type.
template <typename F>
SCOUT_INLINE void with_decoder(QuantType type, F f) {
  switch (type) {
    case QuantType::kF32:
      return f(DecodeFloats<4, widen_f32>());
    case QuantType::kF16:
      return f(DecodeFloats<2, widen_f16>());
    case QuantType::kBF16:
      return f(DecodeFloats<2, widen_bf16>());
    case QuantType::kQ8_0:
      return f(DecodeBlocks<Q8_0>());
    case QuantType::kQ4_0:
      return f(DecodeBlocks<Q4_0>());
    case QuantType::kQ4_K:
      return f(DecodeBlocks<Q4_K>());
    case QuantType::kQ6_K:
      return f(DecodeBlocks<Q6_K>());
    case QuantType::kCount:
      return;
  }
}

}  // namespace
}  // namespace scout::kernels

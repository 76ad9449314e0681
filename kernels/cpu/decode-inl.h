// Weight rows, a chunk of 256 columns at a time: as 8-bit integers with scales, or as floats.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"
#include "kernels/quant/i4.h"
#include "kernels/quant/interleave.h"
#include "kernels/quant/iq4.h"
#include "kernels/quant/mxfp4.h"
#include "kernels/quant/q2_k.h"
#include "kernels/quant/q3_k.h"
#include "kernels/quant/q4_0.h"
#include "kernels/quant/q4_1.h"
#include "kernels/quant/q4_k.h"
#include "kernels/quant/q5_0.h"
#include "kernels/quant/q5_1.h"
#include "kernels/quant/q5_k.h"
#include "kernels/quant/q6_k.h"
#include "kernels/quant/q8_0.h"

namespace scout::kernels {
namespace {

constexpr int64_t kChunk = 256;  // columns: a multiple of every block, 16 blocks of activations

// weight i = scale[i / 16] * w[i] - min[i / 16]
struct Chunk {
  I8x64 w[4];
  F32x16 scale;
  F32x16 min;  // only formats with minimums
};

template <typename Block>
SCOUT_INLINE const Block* blocks_at(const uint8_t* row, int64_t col, int64_t elems) {
  return reinterpret_cast<const Block*>(row + col / elems * static_cast<int64_t>(sizeof(Block)));
}

// 16 bits of each of 8 blocks of 32 as float16, each in two neighbouring lanes.
template <typename Field>
SCOUT_INLINE F32x16 halves_of_8(Field field) {
  const auto four = [field](int i) {
    return uint64_t{field(i)} | uint64_t{field(i + 1)} << 16 | uint64_t{field(i + 2)} << 32 |
           uint64_t{field(i + 3)} << 48;
  };
  return f16_pairs(four(0), four(4));
}
template <typename Block>
SCOUT_INLINE F32x16 scales_of_8(const Block* b) {
  return halves_of_8([b](int i) { return b[i].d; });
}
template <typename Block>
SCOUT_INLINE F32x16 minimums_of_8(const Block* b) {
  return zero() - halves_of_8([b](int i) { return b[i].m; });
}

// Formats with blocks of 32 or 128: the last chunk of a row may be short, its missing blocks become
// zeros.
template <int kElems, typename Block>
SCOUT_INLINE const Block* whole_chunk(const uint8_t* row, int64_t col, int64_t cols,
                                      Block* padded) {
  const Block* b = blocks_at<Block>(row, col, kElems);
  if (cols >= kChunk) return b;
  memset(static_cast<void*>(padded), 0, kChunk / kElems * sizeof(Block));
  memcpy(static_cast<void*>(padded), b, static_cast<size_t>(cols / kElems) * sizeof(Block));
  return padded;
}

// What a format says of itself: bytes of a chunk; whether its integers may be negative (else they
// are at most 127); whether it has minimums.
template <int64_t kBytes, bool kIsSigned, bool kWithMin>
struct Format {
  static constexpr int64_t kChunkBytes = kBytes;
  static constexpr bool kSigned = kIsSigned, kHasMin = kWithMin;
};

struct Q8_0 : Format<8 * sizeof(BlockQ8_0), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ8_0 padded[8];
    const BlockQ8_0* b = whole_chunk<kQ8_0Elems>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = join(b[2 * i].q, b[2 * i + 1].q);
    c->scale = scales_of_8(b);
  }
};

struct Q4_0 : Format<8 * sizeof(BlockQ4_0), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ4_0 padded[8];
    const BlockQ4_0* b = whole_chunk<kQ4_0Elems>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = minus(nibbles(b[2 * i].n, b[2 * i + 1].n), 8, 8);
    c->scale = scales_of_8(b);
  }
};

struct Q4_1 : Format<8 * sizeof(BlockQ4_1), false, true> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ4_1 padded[8];
    const BlockQ4_1* b = whole_chunk<kQ4_1Elems>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = nibbles(b[2 * i].n, b[2 * i + 1].n);
    c->scale = scales_of_8(b);
    c->min = minimums_of_8(b);
  }
};

// 64 integers of 5 bits: nibbles and the words of fifth bits of two blocks.
template <typename Block>
SCOUT_INLINE I8x64 five_bits(const Block* b) {
  return add_bit4(nibbles(b[0].n, b[1].n), uint64_t{b[1].high} << 32 | b[0].high);
}

struct Q5_0 : Format<8 * sizeof(BlockQ5_0), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ5_0 padded[8];
    const BlockQ5_0* b = whole_chunk<kQ5_0Elems>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = minus(five_bits(b + 2 * i), 16, 16);
    c->scale = scales_of_8(b);
  }
};

struct Q5_1 : Format<8 * sizeof(BlockQ5_1), false, true> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockQ5_1 padded[8];
    const BlockQ5_1* b = whole_chunk<kQ5_1Elems>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) c->w[i] = five_bits(b + 2 * i);
    c->scale = scales_of_8(b);
    c->min = minimums_of_8(b);
  }
};

struct IQ4_NL : Format<8 * sizeof(BlockIq4Nl), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockIq4Nl padded[8];
    const BlockIq4Nl* b = whole_chunk<kIq4NlElems>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) {
      c->w[i] = lookup(kIq4Steps, nibbles(b[2 * i].n, b[2 * i + 1].n));
    }
    c->scale = scales_of_8(b);
  }
};

struct MXFP4 : Format<8 * sizeof(BlockMxfp4), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockMxfp4 padded[8];
    const BlockMxfp4* b = whole_chunk<kMxfp4Elems>(row, col, cols, padded);
    float scale[16];
    for (int i = 0; i < 16; ++i) scale[i] = e8m0_half(b[i / 2].e);
    for (int i = 0; i < 4; ++i) {
      c->w[i] = lookup(kMxfp4Steps, nibbles(b[2 * i].n, b[2 * i + 1].n));
    }
    c->scale = load(scale);
  }
};

struct I4_32 : Format<8 * sizeof(BlockI4_32), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockI4_32 padded[8];
    const BlockI4_32* b = whole_chunk<32>(row, col, cols, padded);
    int any = 0;
    for (int i = 0; i < 4; ++i) {
      const BlockI4_32 &first = b[2 * i], &second = b[2 * i + 1];
      c->w[i] = minus(nibble_pairs(first.n, second.n), first.zero & 15, second.zero & 15);
      any |= first.zero | second.zero;
    }
    if ((any & kI4Bf16) == 0) {
      c->scale = halves_of_8([b](int i) { return b[i].scale; });
      return;
    }
    float scale[16];
    for (int i = 0; i < 8; ++i) scale[2 * i] = scale[2 * i + 1] = i4_scale(b[i].scale, b[i].zero);
    c->scale = load(scale);
  }
};

struct I4_128 : Format<2 * sizeof(BlockI4_128), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t cols, Chunk* c) {
    BlockI4_128 padded[2];
    const BlockI4_128* b = whole_chunk<128>(row, col, cols, padded);
    for (int i = 0; i < 4; ++i) {
      const BlockI4_128& from = b[i / 2];
      const uint8_t* n = from.n + 32 * (i % 2);
      c->w[i] = minus(nibble_pairs(n, n + 16), from.zero & 15, from.zero & 15);
    }
    c->scale = select(first_lanes(8), set1(i4_scale(b[0].scale, b[0].zero)),
                      set1(i4_scale(b[1].scale, b[1].zero)));
  }
};

// The 6-bit scales and minimums of q4_k.h, four bytes of a word at once.
template <typename Block>
SCOUT_INLINE void unpack_k_scales(const Block& b, Chunk* c) {
  uint32_t s[3];
  memcpy(s, b.s, sizeof(s));
  const uint32_t scale_low = s[0] & 0x3f3f3f3fu, min_low = s[1] & 0x3f3f3f3fu;
  const uint32_t scale_high = (s[2] & 0x0f0f0f0fu) | ((s[0] >> 2) & 0x30303030u);
  const uint32_t min_high = ((s[2] >> 4) & 0x0f0f0f0fu) | ((s[1] >> 2) & 0x30303030u);
  c->scale = set1(f16_scalar(b.d)) * u8_pairs(uint64_t{scale_high} << 32 | scale_low);
  c->min = set1(f16_scalar(b.dmin)) * u8_pairs(uint64_t{min_high} << 32 | min_low);
}

struct Q4_K : Format<sizeof(BlockQ4_K), false, true> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ4_K& b = *blocks_at<BlockQ4_K>(row, col, kQ4_KElems);
    for (int i = 0; i < 4; ++i) c->w[i] = fields<0, 4, 15>(b.n + 32 * i);
    unpack_k_scales(b, c);
  }
};

struct Q5_K : Format<sizeof(BlockQ5_K), false, true> {
  template <int kQuarter>
  static SCOUT_INLINE I8x64 quarter(const BlockQ5_K& b) {
    return merge<4>(fields<0, 4, 15>(b.n + 32 * kQuarter),
                    fields<2 * kQuarter, 2 * kQuarter + 1, 1>(b.high));
  }
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ5_K& b = *blocks_at<BlockQ5_K>(row, col, kQ5_KElems);
    c->w[0] = quarter<0>(b);
    c->w[1] = quarter<1>(b);
    c->w[2] = quarter<2>(b);
    c->w[3] = quarter<3>(b);
    unpack_k_scales(b, c);
  }
};

struct Q6_K : Format<sizeof(BlockQ6_K), true, false> {
  template <int kQuarter>
  static SCOUT_INLINE I8x64 quarter(const BlockQ6_K& b) {
    constexpr int kHalf = kQuarter / 2, kShift = 4 * (kQuarter % 2);
    return minus(merge<4>(shifted<kShift, 15>(b.lo + 64 * kHalf),
                          fields<kShift, kShift + 2, 3>(b.hi + 32 * kHalf)),
                 32, 32);
  }
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ6_K& b = *blocks_at<BlockQ6_K>(row, col, kQ6_KElems);
    c->w[0] = quarter<0>(b);
    c->w[1] = quarter<1>(b);
    c->w[2] = quarter<2>(b);
    c->w[3] = quarter<3>(b);
    c->scale = set1(f16_scalar(b.d)) * load_i8(b.scale);
  }
};

struct Q2_K : Format<sizeof(BlockQ2_K), false, true> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ2_K& b = *blocks_at<BlockQ2_K>(row, col, kQ2_KElems);
    c->w[0] = fields<0, 2, 3>(b.n);
    c->w[1] = fields<4, 6, 3>(b.n);
    c->w[2] = fields<0, 2, 3>(b.n + 32);
    c->w[3] = fields<4, 6, 3>(b.n + 32);
    uint64_t s[2];
    memcpy(s, b.s, sizeof(s));
    constexpr uint64_t kLow = 0x0f0f0f0f0f0f0f0fu;
    const uint64_t scale[2] = {s[0] & kLow, s[1] & kLow};
    const uint64_t min[2] = {(s[0] >> 4) & kLow, (s[1] >> 4) & kLow};
    c->scale = set1(f16_scalar(b.d)) * load_i8(reinterpret_cast<const int8_t*>(scale));
    c->min = set1(f16_scalar(b.dmin)) * load_i8(reinterpret_cast<const int8_t*>(min));
  }
};

struct Q3_K : Format<sizeof(BlockQ3_K), true, false> {
  template <int kQuarter>
  static SCOUT_INLINE I8x64 quarter(const BlockQ3_K& b) {
    constexpr int kShift = 4 * (kQuarter % 2);
    return minus(merge<2>(fields<kShift, kShift + 2, 3>(b.n + 32 * (kQuarter / 2)),
                          fields<2 * kQuarter, 2 * kQuarter + 1, 1>(b.high)),
                 4, 4);
  }
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockQ3_K& b = *blocks_at<BlockQ3_K>(row, col, kQ3_KElems);
    c->w[0] = quarter<0>(b);
    c->w[1] = quarter<1>(b);
    c->w[2] = quarter<2>(b);
    c->w[3] = quarter<3>(b);
    // The 6-bit fields of q3_k.h, four bytes of a word at once.
    uint32_t s[3];
    memcpy(s, b.s, sizeof(s));
    constexpr uint32_t kLow = 0x0f0f0f0fu, kTop = 0x30303030u;
    const uint32_t scale[4] = {
        (s[0] & kLow) | ((s[2] << 4) & kTop), (s[1] & kLow) | ((s[2] << 2) & kTop),
        ((s[0] >> 4) & kLow) | (s[2] & kTop), ((s[1] >> 4) & kLow) | ((s[2] >> 2) & kTop)};
    const F32x16 biased = load_i8(reinterpret_cast<const int8_t*>(scale));
    c->scale = set1(f16_scalar(b.d)) * (biased - set1(32.0f));
  }
};

struct IQ4_XS : Format<sizeof(BlockIq4Xs), true, false> {
  static SCOUT_INLINE void unpack_chunk(const uint8_t* row, int64_t col, int64_t, Chunk* c) {
    const BlockIq4Xs& b = *blocks_at<BlockIq4Xs>(row, col, kIq4XsElems);
    for (int i = 0; i < 4; ++i) {
      const uint8_t* n = b.n + 32 * i;
      c->w[i] = lookup(kIq4Steps, nibbles(n, n + 16));
    }
    // Eight nibbles and eight pairs of bits, each to a byte of its own.
    uint32_t s_low;
    memcpy(&s_low, b.s_low, sizeof(s_low));
    uint64_t low = s_low, high = b.s_high;
    low = (low | low << 16) & 0x0000ffff0000ffffu;
    low = (low | low << 8) & 0x00ff00ff00ff00ffu;
    low = (low | low << 4) & 0x0f0f0f0f0f0f0f0fu;
    high = (high | high << 24) & 0x000000ff000000ffu;
    high = (high | high << 12) & 0x000f000f000f000fu;
    high = (high | high << 6) & 0x0303030303030303u;
    c->scale = set1(f16_scalar(b.d)) * (u8_pairs(low | high << 4) - set1(32.0f));
  }
};

// Decoders to float: columns [col, col + cols) of a row, col a multiple of kChunk, cols at most
// kChunk, into dst[0 .. kChunk), which is padded with zeros.
using Decoder = void (*)(const uint8_t* row, int64_t col, int64_t cols, float* dst);

template <typename F>
void decode_blocks(const uint8_t* row, int64_t col, int64_t cols, float* dst) {
  Chunk c;
  F::unpack_chunk(row, col, cols, &c);
  float scale[16], min[16];
  store(scale, c.scale);
  if (F::kHasMin) store(min, c.min);
  int8_t w[kChunk];
  memcpy(w, c.w, sizeof(w));
  for (int i = 0; i < 16; ++i) {
    const F32x16 product = set1(scale[i]) * load_i8(w + 16 * i);
    store(dst + 16 * i, F::kHasMin ? product - set1(min[i]) : product);
  }
}

template <int kBytes, F32x16 (*kLoad)(const void*)>
void decode_floats(const uint8_t* row, int64_t col, int64_t cols, float* dst) {
  const uint8_t* src = row + col * kBytes;
  const int64_t whole = cols / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16) store(dst + i, kLoad(src + i * kBytes));
  if (cols >= kChunk) return;
  uint8_t rest[16 * kBytes] = {};
  memcpy(rest, src + whole * kBytes, static_cast<size_t>((cols - whole) * kBytes));
  store(dst + whole, kLoad(rest));
  for (int64_t i = whole + 16; i < kChunk; i += 16) store(dst + i, zero());
}

// As arguments of templates: functions with an address.
inline F32x16 widen_f32(const void* p) { return load(static_cast<const float*>(p)); }
inline F32x16 widen_f16(const void* p) { return load_f16(p); }
inline F32x16 widen_bf16(const void* p) { return load_bf16(p); }

inline F32x16 widen_f8(const void* p) { return load_f8(p); }

// A call per chunk, so that the product over decoded weights is compiled once and not per type.
inline Decoder decoder_of(QuantType type) {
  switch (type) {
    case QuantType::kF32:
      return decode_floats<4, widen_f32>;
    case QuantType::kF16:
      return decode_floats<2, widen_f16>;
    case QuantType::kBF16:
      return decode_floats<2, widen_bf16>;
    case QuantType::kF8_E4M3:
      return decode_floats<1, widen_f8>;
    case QuantType::kQ8_0:
      return decode_blocks<Q8_0>;
    case QuantType::kQ4_0:
      return decode_blocks<Q4_0>;
    case QuantType::kQ4_K:
      return decode_blocks<Q4_K>;
    case QuantType::kQ6_K:
      return decode_blocks<Q6_K>;
    case QuantType::kQ4_1:
      return decode_blocks<Q4_1>;
    case QuantType::kQ5_0:
      return decode_blocks<Q5_0>;
    case QuantType::kQ5_1:
      return decode_blocks<Q5_1>;
    case QuantType::kQ2_K:
      return decode_blocks<Q2_K>;
    case QuantType::kQ3_K:
      return decode_blocks<Q3_K>;
    case QuantType::kQ5_K:
      return decode_blocks<Q5_K>;
    case QuantType::kIQ4_NL:
      return decode_blocks<IQ4_NL>;
    case QuantType::kIQ4_XS:
      return decode_blocks<IQ4_XS>;
    case QuantType::kMXFP4:
      return decode_blocks<MXFP4>;
    case QuantType::kI4_32:
      return decode_blocks<I4_32>;
    case QuantType::kI4_128:
      return decode_blocks<I4_128>;
    case QuantType::kCount:
      break;
  }
  return nullptr;  // never: a matrix has a type
}

// The rows of a matrix in float, whatever its layout. Interleaved blocks are put together first:
// this is the way of exact mode, not the fast one.
class DecodedRows {
 public:
  explicit DecodedRows(const Matrix& w) : w_(w), decode_(decoder_of(w.type)) {}
  // As Decoder, for row `row`.
  SCOUT_INLINE void decode(int64_t row, int64_t col, int64_t cols, float* dst) {
    const uint8_t* data = static_cast<const uint8_t*>(w_.data);
    if (w_.layout == MatrixLayout::kRows) {
      return decode_(data + row * w_.row_bytes, col, cols, dst);
    }
    const int64_t chunks = (w_.cols + kGroupCols - 1) / kGroupCols;
    const int64_t chunk = row / kGroupRows * chunks + col / kGroupCols;
    uint8_t blocks[8 * sizeof(BlockQ8_0)];  // the largest
    extract_row(w_.type, data + chunk * chunk_bytes(w_.type), row % kGroupRows, blocks);
    decode_(blocks, 0, cols, dst);
  }

 private:
  const Matrix& w_;
  Decoder decode_;
};

}  // namespace
}  // namespace scout::kernels

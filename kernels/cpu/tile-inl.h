// 32 rows of 256 weights as bytes and scales: what the integer product multiplies, whatever the
// format of the weights. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"
#include "kernels/quant/i4.h"
#include "kernels/quant/interleave.h"
#include "kernels/quant/iq4.h"
#include "kernels/quant/mxfp4.h"

namespace scout::kernels {
namespace {

constexpr int kSteps = 64;  // of 4 columns

// weight = scale[sub] * (w - bias) - min[sub], the sub-blocks and the bias those of the format.
struct alignas(64) Tile {
  uint8_t w[kSteps][2][64];  // of 4 columns: 4 bytes of each of rows 0 .. 15, then of 16 .. 31
  float scale[16][32];
  float min[16][32];  // only formats with minimums
};

// Both halves of the rows of a word: to(v) gets f(address of the 16 words).
template <typename F>
SCOUT_INLINE void put(Tile* t, int step, const GroupWords& words, F f) {
  store_bytes(t->w[step][0], f(words[0]));
  store_bytes(t->w[step][1], f(words[16]));
}
// Bits of a word's bytes.
template <int kShift, int kMask>
SCOUT_INLINE void put_field(Tile* t, int step, const GroupWords& words) {
  put(t, step, words, [](const uint8_t* p) { return shifted<kShift, kMask>(p); });
}
// The same with further bits on top.
template <int kShift, int kMask, int kTopShift, int kTopMask, int kPlace>
SCOUT_INLINE void put_fields(Tile* t, int step, const GroupWords& words, const GroupWords& top) {
  for (int v = 0; v < 2; ++v) {
    store_bytes(t->w[step][v], merge<kPlace>(shifted<kShift, kMask>(words[16 * v]),
                                             shifted<kTopShift, kTopMask>(top[16 * v])));
  }
}
// Nibbles as places in a table of signed steps.
template <int kShift>
SCOUT_INLINE void put_steps(Tile* t, int step, const GroupWords& words, const int8_t (&table)[16]) {
  put(t, step, words, [&table](const uint8_t* p) {
    return dot_weights<true>(lookup(table, shifted<kShift, 15>(p)));
  });
}

// to = float16
SCOUT_INLINE void put_halves(float (&to)[32], const GroupHalves& from) {
  store(to, load_f16(from));
  store(to + 16, load_f16(from + 16));
}
// to = unit * integers, exact in float32: 11 bits times at most 8.
SCOUT_INLINE void put_units(float (&to)[32], const GroupHalves& unit, const int8_t (&n)[32]) {
  store(to, load_f16(unit) * load_i8(n));
  store(to + 16, load_f16(unit + 16) * load_i8(n + 16));
}

// kSub weights share a scale; kFine: the format takes fine blocks of activations (act_block()).
struct TileQ8_0 {
  static constexpr int kSub = 32, kBias = kSignedBias;
  static constexpr bool kMin = false, kSigned = true, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ8_0& c = *static_cast<const ChunkQ8_0*>(chunk);
    for (int b = 0; b < 8; ++b) {
      for (int i = 0; i < 8; ++i) {
        put(t, 8 * b + i, c.q[b][i],
            [](const uint8_t* p) { return dot_weights<true>(load_bytes(p)); });
      }
      put_halves(t->scale[b], c.d[b]);
    }
  }
};

// Low nibbles, then high ones, of a block of 32.
template <typename Chunk>
SCOUT_INLINE void put_nibbles(Tile* t, const Chunk& c) {
  for (int b = 0; b < 8; ++b) {
    for (int i = 0; i < 4; ++i) {
      put_field<0, 15>(t, 8 * b + i, c.n[b][i]);
      put_field<4, 15>(t, 8 * b + 4 + i, c.n[b][i]);
    }
    put_halves(t->scale[b], c.d[b]);
  }
}
template <typename Chunk>
SCOUT_INLINE void put_minimums(Tile* t, const Chunk& c) {
  for (int b = 0; b < 8; ++b) {
    store(t->min[b], zero() - load_f16(c.m[b]));
    store(t->min[b] + 16, zero() - load_f16(c.m[b] + 16));
  }
}

struct TileQ4_0 {
  static constexpr int kSub = 32, kBias = 8;
  static constexpr bool kMin = false, kSigned = false, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    put_nibbles(t, *static_cast<const ChunkQ4_0*>(chunk));
  }
};

struct TileQ4_1 {
  static constexpr int kSub = 32, kBias = 0;
  static constexpr bool kMin = true, kSigned = false, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ4_1& c = *static_cast<const ChunkQ4_1*>(chunk);
    put_nibbles(t, c);
    put_minimums(t, c);
  }
};

// Fifth bits of weights 4 i .. 4 i + 3 of a block are bits 4 i .. 4 i + 3 of its word.
template <int kI, typename Chunk>
SCOUT_INLINE void put_five_bits(Tile* t, int b, const Chunk& c) {
  for (int v = 0; v < 2; ++v) {
    const uint8_t* n = c.n[b][kI][16 * v];
    const uint8_t* high = c.high[b][16 * v];
    store_bytes(t->w[8 * b + kI][v], merge<4>(shifted<0, 15>(n), spread_bits<4 * kI>(high)));
    store_bytes(t->w[8 * b + 4 + kI][v],
                merge<4>(shifted<4, 15>(n), spread_bits<4 * kI + 16>(high)));
  }
}
template <typename Chunk>
SCOUT_INLINE void put_five_bits(Tile* t, const Chunk& c) {
  for (int b = 0; b < 8; ++b) {
    put_five_bits<0>(t, b, c);
    put_five_bits<1>(t, b, c);
    put_five_bits<2>(t, b, c);
    put_five_bits<3>(t, b, c);
    put_halves(t->scale[b], c.d[b]);
  }
}

struct TileQ5_0 {
  static constexpr int kSub = 32, kBias = 16;
  static constexpr bool kMin = false, kSigned = false, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    put_five_bits(t, *static_cast<const ChunkQ5_0*>(chunk));
  }
};

struct TileQ5_1 {
  static constexpr int kSub = 32, kBias = 0;
  static constexpr bool kMin = true, kSigned = false, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ5_1& c = *static_cast<const ChunkQ5_1*>(chunk);
    put_five_bits(t, c);
    put_minimums(t, c);
  }
};

struct TileIQ4_NL {
  static constexpr int kSub = 32, kBias = kSignedBias;
  static constexpr bool kMin = false, kSigned = true, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ4_0& c = *static_cast<const ChunkQ4_0*>(chunk);
    for (int b = 0; b < 8; ++b) {
      for (int i = 0; i < 4; ++i) {
        put_steps<0>(t, 8 * b + i, c.n[b][i], kIq4Steps);
        put_steps<4>(t, 8 * b + 4 + i, c.n[b][i], kIq4Steps);
      }
      put_halves(t->scale[b], c.d[b]);
    }
  }
};

struct TileMXFP4 {
  static constexpr int kSub = 32, kBias = kSignedBias;
  static constexpr bool kMin = false, kSigned = true, kFine = true;
  static void expand(const void* chunk, Tile* t) {
    const ChunkMxfp4& c = *static_cast<const ChunkMxfp4*>(chunk);
    for (int b = 0; b < 8; ++b) {
      for (int i = 0; i < 4; ++i) {
        put_steps<0>(t, 8 * b + i, c.n[b][i], kMxfp4Steps);
        put_steps<4>(t, 8 * b + 4 + i, c.n[b][i], kMxfp4Steps);
      }
      for (int r = 0; r < 32; ++r) t->scale[b][r] = e8m0_half(c.e[b][r]);
    }
  }
};

// Zero points are a row's own, so they count as minimums: scale * zero, exact.
template <int64_t kElems>
struct TileI4 {
  static constexpr int kSub = kElems, kBias = 0;
  static constexpr bool kMin = true, kSigned = false, kFine = false;
  static void expand(const void* chunk, Tile* t) {
    const ChunkI4<kElems>& c = *static_cast<const ChunkI4<kElems>*>(chunk);
    constexpr int kWords = kElems / 8;
    for (int b = 0; b < 256 / kElems; ++b) {
      for (int i = 0; i < kWords; ++i) {
        put_field<0, 15>(t, 2 * (kWords * b + i), c.n[b][i]);
        put_field<4, 15>(t, 2 * (kWords * b + i) + 1, c.n[b][i]);
      }
      for (int r = 0; r < 32; ++r) {
        t->scale[b][r] = i4_scale(c.scale[b][r], c.zero[b][r]);
        t->min[b][r] = t->scale[b][r] * static_cast<float>(c.zero[b][r] & 15);
      }
    }
  }
};

// The 6-bit scales and minimums of q4_k.h, of 32 rows.
template <typename Chunk>
SCOUT_INLINE void put_k_scales(Tile* t, const Chunk& c) {
  for (int j = 0; j < 8; ++j) {
    int8_t scale[32], min[32];
    for (int r = 0; r < 32; ++r) {
      const int low = c.s[j][r], next = c.s[j + 4][r], before = j < 4 ? 0 : c.s[j - 4][r];
      scale[r] = static_cast<int8_t>(j < 4 ? low & 63 : (next & 15) | (before >> 6) << 4);
      min[r] = static_cast<int8_t>(j < 4 ? next & 63 : next >> 4 | (low >> 6) << 4);
    }
    put_units(t->scale[j], c.d, scale);
    put_units(t->min[j], c.dmin, min);
  }
}

struct TileQ4_K {
  static constexpr int kSub = 32, kBias = 0;
  static constexpr bool kMin = true, kSigned = false, kFine = false;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ4_K& c = *static_cast<const ChunkQ4_K*>(chunk);
    for (int p = 0; p < 4; ++p) {
      for (int i = 0; i < 8; ++i) {
        put_field<0, 15>(t, 16 * p + i, c.n[8 * p + i]);
        put_field<4, 15>(t, 16 * p + 8 + i, c.n[8 * p + i]);
      }
    }
    put_k_scales(t, c);
  }
};

struct TileQ5_K {
  static constexpr int kSub = 32, kBias = 0;
  static constexpr bool kMin = true, kSigned = false, kFine = false;
  template <int kPair>
  static SCOUT_INLINE void pair(const ChunkQ5_K& c, Tile* t) {
    for (int i = 0; i < 8; ++i) {
      const GroupWords& n = c.n[8 * kPair + i];
      put_fields<0, 15, 2 * kPair, 1, 4>(t, 16 * kPair + i, n, c.high[i]);
      put_fields<4, 15, 2 * kPair + 1, 1, 4>(t, 16 * kPair + 8 + i, n, c.high[i]);
    }
  }
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ5_K& c = *static_cast<const ChunkQ5_K*>(chunk);
    pair<0>(c, t);
    pair<1>(c, t);
    pair<2>(c, t);
    pair<3>(c, t);
    put_k_scales(t, c);
  }
};

struct TileQ6_K {
  static constexpr int kSub = 16, kBias = 32;
  static constexpr bool kMin = false, kSigned = false, kFine = false;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ6_K& c = *static_cast<const ChunkQ6_K*>(chunk);
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < 8; ++i) {
        const GroupWords &lo = c.lo[16 * h + i], &more = c.lo[16 * h + 8 + i];
        const GroupWords& hi = c.hi[8 * h + i];
        put_fields<0, 15, 0, 3, 4>(t, 32 * h + i, lo, hi);
        put_fields<0, 15, 2, 3, 4>(t, 32 * h + 8 + i, more, hi);
        put_fields<4, 15, 4, 3, 4>(t, 32 * h + 16 + i, lo, hi);
        put_fields<4, 15, 6, 3, 4>(t, 32 * h + 24 + i, more, hi);
      }
    }
    for (int j = 0; j < 16; ++j) {
      put_units(t->scale[j], c.d, reinterpret_cast<const int8_t(&)[32]>(c.scale[j]));
    }
  }
};

struct TileQ2_K {
  static constexpr int kSub = 16, kBias = 0;
  static constexpr bool kMin = true, kSigned = false, kFine = false;
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ2_K& c = *static_cast<const ChunkQ2_K*>(chunk);
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < 8; ++i) {
        put_field<0, 3>(t, 32 * h + i, c.n[8 * h + i]);
        put_field<2, 3>(t, 32 * h + 8 + i, c.n[8 * h + i]);
        put_field<4, 3>(t, 32 * h + 16 + i, c.n[8 * h + i]);
        put_field<6, 3>(t, 32 * h + 24 + i, c.n[8 * h + i]);
      }
    }
    for (int j = 0; j < 16; ++j) {
      int8_t scale[32], min[32];
      for (int r = 0; r < 32; ++r) {
        scale[r] = static_cast<int8_t>(c.s[j][r] & 15);
        min[r] = static_cast<int8_t>(c.s[j][r] >> 4);
      }
      put_units(t->scale[j], c.d, scale);
      put_units(t->min[j], c.dmin, min);
    }
  }
};

struct TileQ3_K {
  static constexpr int kSub = 16, kBias = 4;
  static constexpr bool kMin = false, kSigned = false, kFine = false;
  template <int kQuarter>
  static SCOUT_INLINE void quarter(const ChunkQ3_K& c, Tile* t) {
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < 8; ++i) {
        const int step = 32 * h + 8 * kQuarter + i;
        if (h == 0) {
          put_fields<2 * kQuarter, 3, kQuarter, 1, 2>(t, step, c.n[i], c.high[i]);
        } else {
          put_fields<2 * kQuarter, 3, 4 + kQuarter, 1, 2>(t, step, c.n[8 + i], c.high[i]);
        }
      }
    }
  }
  static void expand(const void* chunk, Tile* t) {
    const ChunkQ3_K& c = *static_cast<const ChunkQ3_K*>(chunk);
    quarter<0>(c, t);
    quarter<1>(c, t);
    quarter<2>(c, t);
    quarter<3>(c, t);
    for (int j = 0; j < 16; ++j) {
      int8_t scale[32];
      for (int r = 0; r < 32; ++r) {
        const int low = j < 8 ? c.s[j][r] & 15 : c.s[j - 8][r] >> 4;
        const int top = (c.s[8 + j % 4][r] >> (2 * (j / 4))) & 3;
        scale[r] = static_cast<int8_t>((low | top << 4) - 32);
      }
      put_units(t->scale[j], c.d, scale);
    }
  }
};

struct TileIQ4_XS {
  static constexpr int kSub = 32, kBias = kSignedBias;
  static constexpr bool kMin = false, kSigned = true, kFine = false;
  static void expand(const void* chunk, Tile* t) {
    const ChunkIq4Xs& c = *static_cast<const ChunkIq4Xs*>(chunk);
    for (int j = 0; j < 8; ++j) {
      for (int i = 0; i < 4; ++i) {
        put_steps<0>(t, 8 * j + i, c.n[4 * j + i], kIq4Steps);
        put_steps<4>(t, 8 * j + 4 + i, c.n[4 * j + i], kIq4Steps);
      }
      int8_t scale[32];
      for (int r = 0; r < 32; ++r) {
        const int low = (c.s_low[j / 2][r] >> (4 * (j % 2))) & 15;
        scale[r] = static_cast<int8_t>((low | ((c.s_high[r] >> (2 * j)) & 3) << 4) - 32);
      }
      put_units(t->scale[j], c.d, scale);
    }
  }
};

}  // namespace
}  // namespace scout::kernels

// y = x * w^T with 8-bit activations: exact integer dot products, floats across them.
// SPDX-License-Identifier: Apache-2.0
//
// Lanes are output rows. A chunk of 32 rows and 256 columns is expanded into a Tile (tile-inl.h),
// which every panel of up to 6 activation rows then takes from the L1 cache. For an output and a
// row of activations:
//
//   acc = 0; for each 128 columns, ascending:
//     s = 0; for each sub-block of the weights, ascending:
//       coarse blocks: s = s + scale * dot
//       fine blocks:   s = s + scale * (x_scale * dot)   for each 16 columns
//       s = s - min * sum                                 formats with minimums
//     acc = acc + x_scale * s; fine blocks: acc + s
//
// with dot the exact product of the integers less the bias, sum the (fine blocks: scaled) sum of
// the activations' integers, and each sum of a product one fused operation. So the bits are those
// of this order whatever the tiling, the number of rows, the slice or the layout of the weights.
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

// An integer dot product n is summed up on top of the bits of 1.5 * 2^23: read as a float they are
// 1.5 * 2^23 + n, exact for |n| < 2^22. The largest is 128 * 127 * 32 (Q8_0), 15 * 127 * 128 (I4).
constexpr float kDotBase = 12582912.0f;
constexpr int32_t kDotBaseBits = 0x4b400000;

// 256 columns of a panel.
struct PanelChunk {
  const int8_t* q;     // (64, rows, 4)
  const float* scale;  // (256 / block, rows)
  const int32_t* sum;  // (16, rows)
};

// acc (kRows, 32) += the panel's rows times the tile's. kBlock: of the activations; kSub: of the
// weights.
template <int kBlock, int kSub, bool kMin, bool kSigned, int kRows>
void multiply_tile(const Tile& tile, const PanelChunk& x, int bias, float* acc) {
  constexpr bool kFine = kBlock == kFineBlock;
  constexpr int kUnit = kFine ? kBlock : kSub;  // columns of an integer product
  constexpr int kUnits = 256 / kUnit, kPerSub = kSub / kUnit;
  constexpr int kUnitSums = kUnit / static_cast<int>(kActSum), kSubs = 256 / kSub;
  constexpr int kUnitSteps = kUnit / 4, kUnroll = kUnitSteps < 8 ? kUnitSteps : 8;
  alignas(64) int32_t start[kUnits * kRows];
  alignas(64) float sums[kSubs * kRows] = {};
  for (int i = 0; i < kUnits; ++i) {
    for (int r = 0; r < kRows; ++r) {
      int32_t total = 0;
      for (int j = 0; j < kUnitSums; ++j) total += x.sum[(i * kUnitSums + j) * kRows + r];
      start[i * kRows + r] = kDotBaseBits - (kMin ? 0 : bias * total);
      if (kMin) {
        const float scale = kFine ? x.scale[i * kRows + r] : 1.0f;
        sums[i / kPerSub * kRows + r] += scale * static_cast<float>(total);
      }
    }
  }
  for (int v0 = 0; v0 < 2; v0 += kTileVecs) {
    const uint8_t* w = tile.w[0][v0];
    const int8_t* q = x.q;
    for (int half = 0; half < 2; ++half) {
      F32x16 s[kRows][kTileVecs];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < kTileVecs; ++v) s[r][v] = zero();
      }
#pragma GCC unroll 1
      for (int i = half * (kUnits / 2); i < (half + 1) * (kUnits / 2); ++i) {
        const int sub = i / kPerSub;
        I32x16 dots[kRows][kTileVecs];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const I32x16 from = set1_i32(kMin ? kDotBaseBits : start[i * kRows + r]);
#pragma GCC unroll 2
          for (int v = 0; v < kTileVecs; ++v) dots[r][v] = from;
        }
#pragma GCC unroll 1
        for (int step = 0; step < kUnitSteps; step += kUnroll) {
#pragma GCC unroll 8
          for (int u = 0; u < kUnroll; ++u) {
            I8x64 weights[kTileVecs];
#pragma GCC unroll 2
            for (int v = 0; v < kTileVecs; ++v) weights[v] = load_bytes(w + u * 128 + v * 64);
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
              const Quad y = quad(q + (u * kRows + r) * 4);
#pragma GCC unroll 2
              for (int v = 0; v < kTileVecs; ++v) {
                dots[r][v] = dot4<kSigned>(dots[r][v], weights[v], y);
              }
            }
          }
          w += kUnroll * 128;
          q += kUnroll * kRows * 4;
        }
#pragma GCC unroll 2
        for (int v = 0; v < kTileVecs; ++v) {
          const F32x16 scale = load(tile.scale[sub] + 16 * (v0 + v));
          F32x16 min = scale;
          if (kMin) min = load(tile.min[sub] + 16 * (v0 + v));
#pragma GCC unroll 8
          for (int r = 0; r < kRows; ++r) {
            F32x16 dot = from_bits(dots[r][v]) - set1(kDotBase);
            if (kFine) dot = dot * set1(x.scale[i * kRows + r]);
            s[r][v] = fma(scale, dot, s[r][v]);
            if (kMin && (i + 1) % kPerSub == 0) {
              s[r][v] = fnma(min, set1(sums[sub * kRows + r]), s[r][v]);
            }
          }
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < kTileVecs; ++v) {
          float* to = acc + r * 32 + 16 * (v0 + v);
          if (kFine) {
            store(to, load(to) + s[r][v]);
          } else {
            store(to, fma(set1(x.scale[half * kRows + r]), s[r][v], load(to)));
          }
        }
      }
    }
  }
}

using MultiplyTile = void (*)(const Tile&, const PanelChunk&, int bias, float* acc);
using ExpandTile = void (*)(const void* chunk, Tile*);

// How a format is multiplied.
struct TileFormat {
  ExpandTile expand;
  MultiplyTile multiply[kPanelRows + 1];  // by rows of the panel
  int bias;
};

template <int kBlock, int kSub, bool kMin, bool kSigned>
constexpr TileFormat tile_format(ExpandTile expand, int bias) {
  return {
      expand,
      {nullptr, multiply_tile<kBlock, kSub, kMin, kSigned, 1>,
       multiply_tile<kBlock, kSub, kMin, kSigned, 2>, multiply_tile<kBlock, kSub, kMin, kSigned, 3>,
       multiply_tile<kBlock, kSub, kMin, kSigned, 4>, multiply_tile<kBlock, kSub, kMin, kSigned, 5>,
       multiply_tile<kBlock, kSub, kMin, kSigned, 6>},
      bias};
}
template <typename T>
inline constexpr TileFormat kTileFormat =
    tile_format<T::kFine ? kFineBlock : kCoarseBlock, T::kSub, T::kMin, T::kSigned && kSignedDots>(
        T::expand, T::kBias);

inline const TileFormat* tile_format_of(QuantType type) {
  switch (type) {
    case QuantType::kQ8_0:
      return &kTileFormat<TileQ8_0>;
    case QuantType::kQ4_0:
      return &kTileFormat<TileQ4_0>;
    case QuantType::kQ4_1:
      return &kTileFormat<TileQ4_1>;
    case QuantType::kQ5_0:
      return &kTileFormat<TileQ5_0>;
    case QuantType::kQ5_1:
      return &kTileFormat<TileQ5_1>;
    case QuantType::kQ4_K:
      return &kTileFormat<TileQ4_K>;
    case QuantType::kQ5_K:
      return &kTileFormat<TileQ5_K>;
    case QuantType::kQ6_K:
      return &kTileFormat<TileQ6_K>;
    case QuantType::kQ2_K:
      return &kTileFormat<TileQ2_K>;
    case QuantType::kQ3_K:
      return &kTileFormat<TileQ3_K>;
    case QuantType::kIQ4_NL:
      return &kTileFormat<TileIQ4_NL>;
    case QuantType::kIQ4_XS:
      return &kTileFormat<TileIQ4_XS>;
    case QuantType::kMXFP4:
      return &kTileFormat<TileMXFP4>;
    case QuantType::kI4_32:
      return &kTileFormat<TileI4<32>>;
    case QuantType::kI4_128:
      return &kTileFormat<TileI4<128>>;
    case QuantType::kF32:
    case QuantType::kF16:
    case QuantType::kBF16:
    case QuantType::kF8_E4M3:
    case QuantType::kCount:
      return nullptr;  // never with 8-bit activations
  }
  return nullptr;
}

// Rows whose accumulators stay in the L1 cache beside the tile: whole panels.
constexpr int64_t kBlockRows = 16 * kPanelRows;
constexpr int64_t kMostChunkBytes = sizeof(ChunkQ8_0);

void matmul_quant(const MatmulArgs& a) {
  const TileFormat& format = *tile_format_of(a.w.type);
  const uint8_t* data = static_cast<const uint8_t*>(a.w.data);
  const int64_t chunks = (a.w.cols + kGroupCols - 1) / kGroupCols;
  const int64_t bytes = chunk_bytes(a.w.type);
  const int64_t chunk_row_bytes = bytes / kGroupRows;
  Tile tile;
  alignas(64) uint8_t packed[kMostChunkBytes];
  alignas(64) float acc[kBlockRows][kGroupRows];
  for (int64_t row0 = 0; row0 < a.n_rows; row0 += kBlockRows) {
    const int64_t rows = smaller(kBlockRows, a.n_rows - row0);
    for (int64_t group = a.out_begin / kGroupRows * kGroupRows; group < a.out_end;
         group += kGroupRows) {
      memset(acc, 0, static_cast<size_t>(rows) * sizeof(acc[0]));
      for (int64_t c = 0; c < chunks; ++c) {
        const uint8_t* chunk = packed;
        if (a.w.layout == MatrixLayout::kInterleaved) {
          chunk = data + (group / kGroupRows * chunks + c) * bytes;
          if (a.n_rows < kPanelRows) prefetch(chunk + bytes, bytes);
        } else {
          interleave_chunk(a.w.type, data + group * a.w.row_bytes + c * chunk_row_bytes,
                           a.w.row_bytes, smaller(kGroupRows, a.w.rows - group),
                           smaller(kGroupCols, a.w.cols - c * kGroupCols), packed);
        }
        format.expand(chunk, &tile);
        for (int64_t p = 0; p < rows; p += kPanelRows) {
          const int64_t n = smaller(kPanelRows, a.n_rows - row0 - p);
          const QuantRows x = rows_from(a.xq, row0 + p, a.w.cols);
          const int64_t at = c * kGroupCols * n;
          format.multiply[n](tile, {x.q + at, x.scale + at / x.block, x.sum + at / kActSum},
                             format.bias, acc[p]);
        }
      }
      const int64_t begin = group > a.out_begin ? group : a.out_begin;
      const int64_t end = smaller(group + kGroupRows, a.out_end);
      for (int64_t r = 0; r < rows; ++r) {
        float* y = a.y + (row0 + r) * a.y_stride;
        for (int64_t o = begin; o < end; ++o) {
          const float value = acc[r][o - group];
          y[o] = a.w.row_scale == nullptr ? value : value * a.w.row_scale[o];
        }
      }
    }
  }
}

void matmul(const MatmulArgs& a) {
  if (a.xq.q == nullptr) return matmul_float(a);
  matmul_quant(a);
}

}  // namespace
}  // namespace scout::kernels

// y = x * w^T in float: weights are decoded a chunk of columns at a time, lanes run along columns.
// SPDX-License-Identifier: Apache-2.0
//
// One output element has one accumulator of 16 lanes, fed with columns 16 at a time in ascending
// order, whatever tile it sits in. So one row at a time gives the bits of many rows at once.
// Loops: row group > kTileOuts outputs > chunk > row tile. A decoded chunk serves the rows of the
// group, whose accumulators wait in a buffer between chunks.
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

constexpr int64_t kFloatRows = 24;  // rows of a group: accumulators and x chunks fit in L2

// The element of output o from its accumulator.
SCOUT_INLINE float finish(const Matrix& w, int64_t o, F32x16 acc) {
  return w.row_scale == nullptr ? sum(acc) : sum(acc) * w.row_scale[o];
}

// acc[r][o] += x[r] * w[o] over one chunk. w: kTileOuts pieces of kChunk, zeros behind cols.
template <int kRows>
inline void multiply_chunk(const float* w, const float* x, int64_t x_stride, int64_t cols,
                           F32x16 (*acc)[kTileOuts]) {
  F32x16 sums[kRows][kTileOuts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int o = 0; o < kTileOuts; ++o) sums[r][o] = acc[r][o];
  }
  const auto step = [&](int64_t i, auto load_x) __attribute__((always_inline)) {
    F32x16 xs[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) xs[r] = load_x(x + r * x_stride + i);
#pragma GCC unroll 8
    for (int o = 0; o < kTileOuts; ++o) {
      const F32x16 weights = load(w + o * kChunk + i);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sums[r][o] = fma(weights, xs[r], sums[r][o]);
    }
  };
  const int64_t whole = cols / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16) step(i, [](const float* p) { return load(p); });
  if (whole < cols) step(whole, [&](const float* p) { return load_part(p, cols - whole); });
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int o = 0; o < kTileOuts; ++o) acc[r][o] = sums[r][o];
  }
}

void matmul_float(const MatmulArgs& a) {
  DecodedRows rows_of(a.w);
  for (int64_t row0 = 0; row0 < a.n_rows; row0 += kFloatRows) {
    const int64_t rows = smaller(kFloatRows, a.n_rows - row0);
    for (int64_t out0 = a.out_begin; out0 < a.out_end; out0 += kTileOuts) {
      alignas(64) float w[kTileOuts * kChunk];
      F32x16 acc[kFloatRows][kTileOuts];
      for (int64_t r = 0; r < rows; ++r) {
        for (int o = 0; o < kTileOuts; ++o) acc[r][o] = zero();
      }
      for (int64_t col = 0; col < a.w.cols; col += kChunk) {
        const int64_t cols = smaller(kChunk, a.w.cols - col);
        for (int o = 0; o < kTileOuts; ++o) {
          // Past the slice the last output is computed again and dropped.
          const int64_t out = smaller(out0 + o, a.out_end - 1);
          rows_of.decode(out, col, cols, w + o * kChunk);
        }
        const float* x = a.x + row0 * a.w.cols + col;
        int64_t r = 0;
        for (; r + kTileRows <= rows; r += kTileRows) {
          multiply_chunk<kTileRows>(w, x + r * a.w.cols, a.w.cols, cols, acc + r);
        }
        for (; r < rows; ++r) multiply_chunk<1>(w, x + r * a.w.cols, a.w.cols, cols, acc + r);
      }
      const int64_t outs = smaller(kTileOuts, a.out_end - out0);
      for (int64_t r = 0; r < rows; ++r) {
        float* y = a.y + (row0 + r) * a.y_stride + out0;
        for (int64_t o = 0; o < outs; ++o) y[o] = finish(a.w, out0 + o, acc[r][o]);
      }
    }
  }
}

}  // namespace
}  // namespace scout::kernels

// y = x * w^T with 8-bit activations: integer dot products per 16 columns, floats across them.
// SPDX-License-Identifier: Apache-2.0
//
// A chunk is 256 columns. Its 64 dot products of 4 columns, exact integers, become floats, take the
// product of both scales and go to the 16 lanes of the element's accumulator, 64 columns at a time;
// the minimums of the weights take one more product with the activations' sums. The order is that
// of the columns, whatever the tile. An unpacked chunk of kQuantOuts weight rows serves kQuantRows
// rows of activations.
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

constexpr int kQuantOuts = 4;
constexpr int64_t kQuantRows = 32;

// Activations of one row and chunk.
struct ActChunk {
  const int8_t* q;     // (256)
  const float* scale;  // (16)
  const float* sum;    // (16)
};

template <typename F>
SCOUT_INLINE void add_chunk(const Chunk* chunks, const ActChunk& x, F32x16* acc) {
  constexpr bool kSigned = F::kSigned;
  const DotRow q0 = dot_row(x.q), q1 = dot_row(x.q + 64);
  const DotRow q2 = dot_row(x.q + 128), q3 = dot_row(x.q + 192);
  const F32x16 scale = load(x.scale);
  const F32x16 x_sum = load(x.sum);
#pragma GCC unroll 4
  for (int o = 0; o < kQuantOuts; ++o) {
    const Chunk& c = chunks[o];
    const F32x16 s = c.scale * scale;
    F32x16 t = acc[o];
    t = fma(to_float(dot<kSigned>(c.w[0], q0)), spread<0>(s), t);
    t = fma(to_float(dot<kSigned>(c.w[1], q1)), spread<1>(s), t);
    t = fma(to_float(dot<kSigned>(c.w[2], q2)), spread<2>(s), t);
    t = fma(to_float(dot<kSigned>(c.w[3], q3)), spread<3>(s), t);
    if constexpr (F::kHasMin) t = fnma(c.min, x_sum, t);
    acc[o] = t;
  }
}

template <typename F>
void matmul_blocks(const MatmulArgs& a) {
  const uint8_t* data = static_cast<const uint8_t*>(a.w.data);
  const int64_t blocks = a.w.cols / kActBlock;
  for (int64_t row0 = 0; row0 < a.n_rows; row0 += kQuantRows) {
    const int64_t rows = smaller(kQuantRows, a.n_rows - row0);
    for (int64_t out0 = a.out_begin; out0 < a.out_end; out0 += kQuantOuts) {
      F32x16 acc[kQuantRows][kQuantOuts];
      for (int64_t r = 0; r < rows; ++r) {
        for (int o = 0; o < kQuantOuts; ++o) acc[r][o] = zero();
      }
      for (int64_t col = 0; col < a.w.cols; col += kChunk) {
        const int64_t cols = smaller(kChunk, a.w.cols - col);
        Chunk chunks[kQuantOuts];
        for (int o = 0; o < kQuantOuts; ++o) {
          // Past the slice the last output is computed again and dropped.
          const int64_t out = smaller(out0 + o, a.out_end - 1);
          // A row is too short for the hardware to have found its stride before it ends.
          const int64_t next = smaller(out + kQuantOuts, a.out_end - 1);
          prefetch(data + next * a.w.row_bytes + col / kChunk * F::kChunkBytes, F::kChunkBytes);
          F::unpack_chunk(data + out * a.w.row_bytes, col, cols, &chunks[o]);
          for (I8x64& w : chunks[o].w) w = dot_weights<F::kSigned>(w);
        }
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t at = (row0 + r) * a.w.cols + col;
          const int64_t block = (row0 + r) * blocks + col / kActBlock;
          ActChunk x = {a.xq.q + at, a.xq.scale + block, a.xq.sum + block};
          if (cols == kChunk) {
            add_chunk<F>(chunks, x, acc[r]);
            continue;
          }
          alignas(64) int8_t q[kChunk] = {};
          alignas(64) float scale[16] = {};
          alignas(64) float sum[16] = {};
          memcpy(q, x.q, static_cast<size_t>(cols));
          memcpy(scale, x.scale, static_cast<size_t>(cols / kActBlock) * sizeof(float));
          memcpy(sum, x.sum, static_cast<size_t>(cols / kActBlock) * sizeof(float));
          x = {q, scale, sum};
          add_chunk<F>(chunks, x, acc[r]);
        }
      }
      const int64_t outs = smaller(kQuantOuts, a.out_end - out0);
      for (int64_t r = 0; r < rows; ++r) {
        float* y = a.y + (row0 + r) * a.y_stride + out0;
        for (int64_t o = 0; o < outs; ++o) y[o] = finish(a.w, out0 + o, acc[r][o]);
      }
    }
  }
}

void matmul(const MatmulArgs& a) {
  if (a.xq.q == nullptr) return matmul_float(a);
  switch (a.w.type) {
    case QuantType::kQ8_0:
      return matmul_blocks<Q8_0>(a);
    case QuantType::kQ4_0:
      return matmul_blocks<Q4_0>(a);
    case QuantType::kQ4_K:
      return matmul_blocks<Q4_K>(a);
    case QuantType::kQ6_K:
      return matmul_blocks<Q6_K>(a);
    case QuantType::kQ4_1:
      return matmul_blocks<Q4_1>(a);
    case QuantType::kQ5_0:
      return matmul_blocks<Q5_0>(a);
    case QuantType::kQ5_1:
      return matmul_blocks<Q5_1>(a);
    case QuantType::kQ2_K:
      return matmul_blocks<Q2_K>(a);
    case QuantType::kQ3_K:
      return matmul_blocks<Q3_K>(a);
    case QuantType::kQ5_K:
      return matmul_blocks<Q5_K>(a);
    case QuantType::kIQ4_NL:
      return matmul_blocks<IQ4_NL>(a);
    case QuantType::kIQ4_XS:
      return matmul_blocks<IQ4_XS>(a);
    case QuantType::kMXFP4:
      return matmul_blocks<MXFP4>(a);
    case QuantType::kI4_32:
      return matmul_blocks<I4_32>(a);
    case QuantType::kI4_128:
      return matmul_blocks<I4_128>(a);
    case QuantType::kF32:
    case QuantType::kF16:
    case QuantType::kBF16:
    case QuantType::kF8_E4M3:
    case QuantType::kCount:
      return;  // never with 8-bit activations
  }
}

}  // namespace
}  // namespace scout::kernels

// The scalar operations, one per file of this folder. SPDX-License-Identifier: Apache-2.0
// Clarity first: sums run in double, so that other backends are measured against this one.
#pragma once

#include "kernels/ops.h"
#include "kernels/quant/interleave.h"
#include "kernels/quant/q8_0.h"

namespace scout::kernels::ref {

// Columns of weights decoded at once: a multiple of every block.
inline constexpr int64_t kPiece = kGroupCols;

// The blocks of columns [c, c + kPiece) of a row, c a multiple of kPiece. Interleaved ones are put
// together in `room`.
inline constexpr int64_t kMostBytes = kPiece / kQ8_0Elems * sizeof(BlockQ8_0);
inline const unsigned char* weight_blocks(const Matrix& w, int64_t row, int64_t c,
                                          unsigned char (&room)[kMostBytes]) {
  const QuantTraits& traits = quant_traits(w.type);
  const unsigned char* data = static_cast<const unsigned char*>(w.data);
  if (w.layout == MatrixLayout::kRows) {
    return data + row * w.row_bytes + c / traits.block_elems * traits.block_bytes;
  }
  const int64_t chunk = row / kGroupRows * ((w.cols + kPiece - 1) / kPiece) + c / kPiece;
  extract_row(w.type, data + chunk * chunk_bytes(w.type), row % kGroupRows, room);
  return room;
}

void rmsnorm(const RmsNormArgs& a);
void rope(const RopeArgs& a);
void matmul(const MatmulArgs& a);
void quantize(const QuantizeArgs& a);
void swiglu(const SwigluArgs& a);
void scale_rows(const ScaleRowsArgs& a);
void add(const AddArgs& a);
void gather(const GatherArgs& a);
void kv_store(const KvStoreArgs& a);
void attention(const AttentionArgs& a);

}  // namespace scout::kernels::ref

// Row-wise helpers: scale, add, gather of decoded rows. SPDX-License-Identifier: Apache-2.0
#include "kernels/ref/ops.h"

namespace scout::kernels::ref {

void scale_rows(const ScaleRowsArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    for (int64_t i = r * a.dim; i < (r + 1) * a.dim; ++i) a.y[i] = a.x[i] * a.scale[r];
  }
}

void add(const AddArgs& a) {
  for (int64_t i = a.row_begin * a.dim; i < a.row_end * a.dim; ++i) a.x[i] += a.b[i];
}

void gather(const GatherArgs& a) {
  const QuantTraits& traits = quant_traits(a.w.type);
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    for (int64_t c = 0; c < a.w.cols; c += kPiece) {
      unsigned char room[kMostBytes];
      const int64_t n = a.w.cols - c < kPiece ? a.w.cols - c : kPiece;
      traits.decode(weight_blocks(a.w, a.ids[r], c, room), a.y + r * a.w.cols + c, n);
    }
    if (a.w.row_scale == nullptr) continue;
    const float scale = a.w.row_scale[a.ids[r]];
    for (int64_t i = r * a.w.cols; i < (r + 1) * a.w.cols; ++i) a.y[i] *= scale;
  }
}

}  // namespace scout::kernels::ref

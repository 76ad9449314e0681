// Row-wise helpers: scale, add, gather of decoded rows. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

void scale_rows(const ScaleRowsArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* x = a.x + r * a.dim;
    float* y = a.y + r * a.dim;
    const F32x16 scale = set1(a.scale[r]);
    for (int64_t i = 0; i < a.dim; i += 16) {
      store_part(y + i, load_part(x + i, a.dim - i) * scale, a.dim - i);
    }
  }
}

void add(const AddArgs& a) {
  const int64_t end = a.row_end * a.dim;
  for (int64_t i = a.row_begin * a.dim; i < end; i += 16) {
    store_part(a.x + i, load_part(a.x + i, end - i) + load_part(a.b + i, end - i), end - i);
  }
}

void gather(const GatherArgs& a) {
  DecodedRows rows(a.w);
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const float* scale = a.w.row_scale == nullptr ? nullptr : a.w.row_scale + a.ids[r];
    float* y = a.y + r * a.w.cols;
    for (int64_t col = 0; col < a.w.cols; col += kChunk) {
      alignas(64) float values[kChunk];
      const int64_t cols = smaller(kChunk, a.w.cols - col);
      rows.decode(a.ids[r], col, cols, values);
      if (scale != nullptr) {
        for (float& value : values) value *= *scale;
      }
      memcpy(y + col, values, static_cast<size_t>(cols) * sizeof(float));
    }
  }
}

}  // namespace
}  // namespace scout::kernels

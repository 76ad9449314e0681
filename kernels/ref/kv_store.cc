// Writes keys and values of rows into their slots. SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "kernels/quant/half.h"
#include "kernels/ref/ops.h"

namespace scout::kernels::ref {
namespace {

void store(unsigned char* page, int64_t index, float v, KvFormat format) {
  unsigned char* at = page + index * kv_elem_bytes(format);
  if (format == KvFormat::kF32) {
    memcpy(at, &v, sizeof(v));
    return;
  }
  if (v > kF16Max && format == KvFormat::kF16) v = kF16Max;
  if (v < -kF16Max && format == KvFormat::kF16) v = -kF16Max;
  const uint16_t h = format == KvFormat::kF16 ? f32_to_f16(v) : f32_to_bf16(v);
  memcpy(at, &h, sizeof(h));
}

}  // namespace

void kv_store(const KvStoreArgs& a) {
  const int64_t v_begin = a.n_kv_heads * a.head_dim * a.page_tokens;  // elements of K in a page
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const int64_t slot = a.first_slot + r;
    unsigned char* page = static_cast<unsigned char*>(a.pages[slot / a.page_tokens]);
    const int64_t t = slot % a.page_tokens;
    for (int64_t h = 0; h < a.n_kv_heads; ++h) {
      const float* k = a.k + (r * a.n_kv_heads + h) * a.head_dim;
      const float* v = a.v + (r * a.n_kv_heads + h) * a.head_dim;
      for (int64_t d = 0; d < a.head_dim; ++d) {
        store(page, (h * a.head_dim + d) * a.page_tokens + t, k[d], a.format);
        store(page, v_begin + (h * a.page_tokens + t) * a.head_dim + d, v[d], a.format);
      }
    }
  }
}

}  // namespace scout::kernels::ref

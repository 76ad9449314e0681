// Keys and values of rows into their slots of the pages. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

// n values, at most 16, narrowed to the elements of a page.
SCOUT_INLINE void narrow(const float* x, int64_t n, float* out) {
  store_part(out, load_part(x, n), n);
}
struct F16Bits {
  uint16_t bits;
};
struct BF16Bits {
  uint16_t bits;
};
SCOUT_INLINE void narrow(const float* x, int64_t n, F16Bits* out) {
  uint16_t h[16];
  // Beyond f16's range the largest finite value is stored; as second operand a NaN comes through.
  store_f16(h, min(set1(kF16Max), max(set1(-kF16Max), load_part(x, n))));
  memcpy(out, h, static_cast<size_t>(n) * sizeof(uint16_t));
}
SCOUT_INLINE void narrow(const float* x, int64_t n, BF16Bits* out) {
  for (int64_t i = 0; i < n; ++i) out[i].bits = f32_to_bf16(x[i]);
}

template <typename Element>
inline void store_rows(const KvStoreArgs& a) {
  for (int64_t r = a.row_begin; r < a.row_end; ++r) {
    const int64_t slot = a.first_slot + r;
    Element* keys = static_cast<Element*>(a.pages[slot / a.page_tokens]);
    Element* values = keys + a.n_kv_heads * a.head_dim * a.page_tokens;
    const int64_t t = slot % a.page_tokens;
    for (int64_t h = 0; h < a.n_kv_heads; ++h) {
      const int64_t from = (r * a.n_kv_heads + h) * a.head_dim;
      Element* value = values + (h * a.page_tokens + t) * a.head_dim;
      for (int64_t d = 0; d < a.head_dim; d += 16) {
        const int64_t n = smaller(16, a.head_dim - d);
        narrow(a.v + from + d, n, value + d);
        Element key[16];
        narrow(a.k + from + d, n, key);
        Element* column = keys + (h * a.head_dim + d) * a.page_tokens + t;
        for (int64_t j = 0; j < n; ++j) column[j * a.page_tokens] = key[j];
      }
    }
  }
}

void kv_store(const KvStoreArgs& a) {
  switch (a.format) {
    case KvFormat::kF32:
      return store_rows<float>(a);
    case KvFormat::kF16:
      return store_rows<F16Bits>(a);
    case KvFormat::kBF16:
      return store_rows<BF16Bits>(a);
  }
}

}  // namespace
}  // namespace scout::kernels

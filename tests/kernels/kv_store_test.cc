// Keys and values into pages: place and bits, on every backend. SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/quant/half.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

uint32_t expected_bits(float v, KvFormat format) {
  switch (format) {
    case KvFormat::kF16:  // saturates
      return f32_to_f16(v > kF16Max ? kF16Max : v < -kF16Max ? -kF16Max : v);
    case KvFormat::kBF16:
      return f32_to_bf16(v);
    case KvFormat::kF32:
      break;
  }
  return bits_of(v);
}

class KvStore : public BackendTest {};

TEST_P(KvStore, EveryElementInItsPlaceAndNothingElse) {
  for (KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kBF16}) {
    for (int64_t page_tokens : {16, 32}) {
      for (int64_t head_dim : {2, 32, 34, 96}) {
        for (int64_t first_slot : {0, 5, 15, 30}) {
          SCOPED_TRACE("format " + std::to_string(static_cast<int>(format)) + " page " +
                       std::to_string(page_tokens) + " head_dim " + std::to_string(head_dim) +
                       " slot " + std::to_string(first_slot));
          const int64_t heads = 3, rows = 37, begin = 2, end = 36;
          Input<float> k = normal_input(rows * heads * head_dim, 101);
          Input<float> v = normal_input(rows * heads * head_dim, 102);
          const float ends[] = {0.0f,     -0.0f, 1e-7f,          -3e-8f,      1e-41f,  65519.0f,
                                65521.0f, 1e9f,  1.00048828125f, 1.00390625f, INFINITY};
          for (size_t i = 0; i < k.size(); i += 7) {
            k[i] = ends[(i / 7) % 11];
            v[i] = -ends[(i / 7) % 11];
          }
          const int64_t n_pages = (first_slot + rows + page_tokens - 1) / page_tokens;
          const int64_t bytes = kv_page_bytes(format, page_tokens, heads, head_dim);
          std::vector<Output<unsigned char>> pages(n_pages, Output<unsigned char>(bytes));
          std::vector<void*> list;
          for (auto& page : pages) list.push_back(page.data());
          backend().kv_store({k.data(), v.data(), list.data(), first_slot, page_tokens, heads,
                              head_dim, format, begin, end});

          const int64_t size = kv_elem_bytes(format);
          for (int64_t p = 0; p < n_pages; ++p) {
            EXPECT_TRUE(pages[p].margins_untouched());
            for (int64_t t = 0; t < page_tokens; ++t) {
              const int64_t r = p * page_tokens + t - first_slot;
              const bool written = r >= begin && r < end;
              for (int64_t i = 0; i < heads * head_dim; ++i) {
                const int64_t h = i / head_dim, d = i % head_dim;
                const int64_t k_at = (h * head_dim + d) * page_tokens + t;
                const int64_t v_at =
                    heads * head_dim * page_tokens + (h * page_tokens + t) * head_dim + d;
                uint32_t k_bits = 0, v_bits = 0;
                memcpy(&k_bits, pages[p].data() + k_at * size, size);
                memcpy(&v_bits, pages[p].data() + v_at * size, size);
                const uint32_t poison = size == 4 ? 0xffffffffu : 0xffffu;
                const int64_t at = r * heads * head_dim + i;
                ASSERT_EQ(k_bits, written ? expected_bits(k[at], format) : poison)
                    << "key of row " << r << " head " << h << " dim " << d;
                ASSERT_EQ(v_bits, written ? expected_bits(v[at], format) : poison)
                    << "value of row " << r << " head " << h << " dim " << d;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(KvStore, NotANumberStaysOneInEveryFormat) {
  for (KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kBF16}) {
    Input<float> k = normal_input(32, 103), v = normal_input(32, 104);
    k[5] = v[9] = NAN;
    Output<unsigned char> page(kv_page_bytes(format, 16, 1, 32));
    void* pages[] = {page.data()};
    backend().kv_store({k.data(), v.data(), pages, 0, 16, 1, 32, format, 0, 1});
    auto value = [&](int64_t at) {
      uint32_t bits = 0;
      memcpy(&bits, page.data() + at * kv_elem_bytes(format), kv_elem_bytes(format));
      if (format == KvFormat::kF16) return f16_to_f32(static_cast<uint16_t>(bits));
      float f;
      bits = format == KvFormat::kBF16 ? bits << 16 : bits;
      memcpy(&f, &bits, sizeof f);
      return f;
    };
    EXPECT_TRUE(std::isnan(value(5 * 16))) << static_cast<int>(format);
    EXPECT_TRUE(std::isnan(value(32 * 16 + 9))) << static_cast<int>(format);
    EXPECT_FALSE(std::isnan(value(6 * 16)));
  }
}

SCOUT_FOR_ALL_BACKENDS(KvStore);

}  // namespace
}  // namespace scout::kernels

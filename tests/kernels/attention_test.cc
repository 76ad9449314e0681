// Attention over pages on every backend: values, independence of the call's shape, merge order.
// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "kernels/quant/half.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

float stored(float v, KvFormat format) {
  switch (format) {
    case KvFormat::kF16:
      return f16_to_f32(f32_to_f16(v));
    case KvFormat::kBF16:
      return bf16_to_f32(f32_to_bf16(v));
    case KvFormat::kF32:
      break;
  }
  return v;
}

struct Shape {
  int64_t group, kv_heads, head_dim, page_tokens, n_slots;
  KvFormat format = KvFormat::kF32;
};

// Pages of keys and values, each a heap block of exactly its size, and queries.
class Cache {
 public:
  Cache(const Shape& s, int64_t n_rows, float q_size) : s_(s), q_(query_count(n_rows)) {
    const int64_t n_pages = (s.n_slots + s.page_tokens - 1) / s.page_tokens;
    const int64_t slots = n_pages * s.page_tokens;
    const int64_t width = s.kv_heads * s.head_dim;
    k_ = normal_input(slots * width, 7);
    v_ = normal_input(slots * width, 8);
    // Keys and values are rounded here, so that the storing of them is exact.
    for (size_t i = 0; i < k_.size(); ++i) {
      k_[i] = stored(k_[i], s.format);
      v_[i] = stored(v_[i], s.format);
    }
    const Input<float> q = normal_input(q_.size(), 9);
    const float scale = q_size / std::sqrt(static_cast<float>(s.head_dim));
    for (size_t i = 0; i < q_.size(); ++i) q_[i] = q[i] * scale;
    for (int64_t p = 0; p < n_pages; ++p) {
      pages_.emplace_back(
          static_cast<size_t>(kv_page_bytes(s.format, s.page_tokens, s.kv_heads, s.head_dim)));
    }
    fill(slots);
  }

  // Stores the first n slots; all bytes of the others are 0xFF, a NaN in each format.
  void fill(int64_t n) {
    std::vector<void*> list;
    for (auto& page : pages_) {
      memset(page.data(), 0xff, page.size());
      list.push_back(page.data());
    }
    reference_backend().kv_store({k_.data(), v_.data(), list.data(), 0, s_.page_tokens, s_.kv_heads,
                                  s_.head_dim, s_.format, 0, n});
  }

  int64_t query_count(int64_t n_rows) const {
    return n_rows * s_.group * s_.kv_heads * s_.head_dim;
  }
  int64_t row_size() const { return query_count(1); }
  float key(int64_t slot, int64_t h, int64_t d) const {
    return k_[(slot * s_.kv_heads + h) * s_.head_dim + d];
  }
  float value(int64_t slot, int64_t h, int64_t d) const {
    return v_[(slot * s_.kv_heads + h) * s_.head_dim + d];
  }
  const Input<float>& q() const { return q_; }

  // Rows [begin, end) and KV heads [h0, h1) of a call with `n_keys.size()` rows. The page list ends
  // with the last page that a row of the call sees.
  void run(const Backend& backend, const std::vector<int64_t>& n_keys, int64_t begin, int64_t end,
           int64_t h0, int64_t h1, float* out, bool right_to_left = false) const {
    const Input<float> q(q_.data(), query_count(static_cast<int64_t>(n_keys.size())));
    const Input<int64_t> keys(n_keys.data(), n_keys.size());
    const int64_t n_pages = (n_keys.back() + s_.page_tokens - 1) / s_.page_tokens;
    Input<const void*> list(static_cast<size_t>(n_pages));
    for (int64_t p = 0; p < n_pages; ++p) list[p] = pages_[p].data();
    const int64_t heads = s_.group * s_.kv_heads;
    const size_t floats = attention_scratch(heads, s_.kv_heads, s_.head_dim, s_.page_tokens);
    // Aligned as the interface asks; what an earlier call left in scratch must not matter.
    Input<float> room(floats + 16);
    memset(room.data(), 0xff, room.size() * sizeof(float));
    const size_t off = (64 - reinterpret_cast<uintptr_t>(room.data()) % 64) % 64 / sizeof(float);
    AttentionArgs a{};
    a.q = q.data();
    a.out = out;
    a.pages = list.data();
    a.n_keys = keys.data();
    a.n_heads = heads;
    a.n_kv_heads = s_.kv_heads;
    a.head_dim = s_.head_dim;
    a.page_tokens = s_.page_tokens;
    a.format = s_.format;
    a.row_begin = begin;
    a.row_end = end;
    a.kv_head_begin = h0;
    a.kv_head_end = h1;
    a.scratch = room.data() + off;
    a.merge_right_to_left = right_to_left;
    backend.attention(a);
    for (size_t i = off + floats; i < room.size(); ++i) {
      EXPECT_EQ(bits_of(room[i]), 0xffffffffu) << "scratch written past its end";
    }
  }

 private:
  Shape s_;
  Input<float> k_{0}, v_{0}, q_;
  std::vector<Input<unsigned char>> pages_;
};

std::vector<int64_t> ascending(int64_t n_rows, int64_t last) {
  std::vector<int64_t> n_keys;
  for (int64_t r = 0; r < n_rows; ++r) n_keys.push_back(last - (n_rows - 1 - r));
  return n_keys;
}

// Softmax in float64 over the whole row at once, and the tolerance:
//   |out - out64| <= max|v| * u * (2 S + sqrt(n_keys) + 24)
// S = (2 + sqrt(head_dim)) * max over keys of sum|q k| bounds the error of a score in units of u;
// it changes a weight by that factor, and numerator and denominator both move. The rest are the
// sums over keys, the exponentials and the merges.
void check_values(const Cache& c, const Shape& s, const std::vector<int64_t>& n_keys,
                  const float* out) {
  Worst worst;
  const int64_t heads = s.group * s.kv_heads;
  for (size_t r = 0; r < n_keys.size(); ++r) {
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t at = (static_cast<int64_t>(r) * heads + head) * s.head_dim;
      const int64_t h = head / s.group;
      std::vector<double> score(n_keys[r]);
      double top = -HUGE_VAL, magnitude = 0, v_max = 0;
      for (int64_t t = 0; t < n_keys[r]; ++t) {
        double sum = 0, size = 0;
        for (int64_t d = 0; d < s.head_dim; ++d) {
          const double product = static_cast<double>(c.q()[at + d]) * c.key(t, h, d);
          sum += product;
          size += std::fabs(product);
          v_max = std::fmax(v_max, std::fabs(c.value(t, h, d)));
        }
        score[t] = sum;
        top = std::fmax(top, sum);
        magnitude = std::fmax(magnitude, size);
      }
      double total = 0;
      for (double& v : score) total += v = std::exp(v - top);
      std::vector<double> want(s.head_dim);
      for (int64_t t = 0; t < n_keys[r]; ++t) {
        for (int64_t d = 0; d < s.head_dim; ++d) want[d] += score[t] / total * c.value(t, h, d);
      }
      const double tolerance = v_max * kU *
                               (2 * (2 + std::sqrt(static_cast<double>(s.head_dim))) * magnitude +
                                std::sqrt(static_cast<double>(n_keys[r])) + 24);
      for (int64_t d = 0; d < s.head_dim; ++d) {
        worst.check(out[at + d], want[d], tolerance, static_cast<int64_t>(r),
                    head * s.head_dim + d);
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

class Attention : public BackendTest {
 protected:
  // Everything at once against float64; then rows one by one, and slices of KV heads, against the
  // bits of that, with every slot a row may not see filled with NaN.
  void check(const Shape& s, int64_t n_rows, float q_size) {
    SCOPED_TRACE("group " + std::to_string(s.group) + " kv " + std::to_string(s.kv_heads) +
                 " head_dim " + std::to_string(s.head_dim) + " page " +
                 std::to_string(s.page_tokens) + " slots " + std::to_string(s.n_slots) +
                 " format " + std::to_string(static_cast<int>(s.format)));
    Cache c(s, n_rows, q_size);
    const std::vector<int64_t> n_keys = ascending(n_rows, s.n_slots);
    const int64_t row = c.row_size();
    Output<float> whole(static_cast<size_t>(n_rows * row));
    c.fill(n_keys.back());
    for (int64_t r = 0; r < n_rows; r += kAttentionRows) {
      const int64_t end = r + kAttentionRows < n_rows ? r + kAttentionRows : n_rows;
      c.run(backend(), n_keys, r, end, 0, s.kv_heads, whole.data());
    }
    EXPECT_TRUE(whole.margins_untouched());
    check_values(c, s, n_keys, whole.data());

    for (int64_t r : {int64_t{0}, n_rows / 2, n_rows - 1}) {
      c.fill(n_keys[r]);  // later rows' keys are NaN now
      // The row where it was, and the same row as the last of a call that ends with it.
      Output<float> there(static_cast<size_t>(n_rows * row)),
          cut(static_cast<size_t>(n_rows * row));
      c.run(backend(), n_keys, r, r + 1, 0, s.kv_heads, there.data());
      c.run(backend(), {n_keys.begin(), n_keys.begin() + r + 1}, r, r + 1, 0, s.kv_heads,
            cut.data());
      check_slice(there, whole, row, s, r, r + 1, 0, s.kv_heads);
      check_slice(cut, whole, row, s, r, r + 1, 0, s.kv_heads);
    }
    c.fill(n_keys.back());
    const int64_t middle = n_rows / 3;
    const int64_t end = middle + 5 < n_rows ? middle + 5 : n_rows;
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      Output<float> one(static_cast<size_t>(n_rows * row));
      c.run(backend(), n_keys, middle, end, h, h + 1, one.data());
      check_slice(one, whole, row, s, middle, end, h, h + 1);
    }
  }

  static void check_slice(const Output<float>& got, const Output<float>& whole, int64_t row,
                          const Shape& s, int64_t begin, int64_t end, int64_t h0, int64_t h1) {
    EXPECT_TRUE(got.margins_untouched());
    for (size_t i = 0; i < got.size(); ++i) {
      const int64_t r = static_cast<int64_t>(i) / row;
      const int64_t h = static_cast<int64_t>(i) % row / (s.group * s.head_dim);
      if (r >= begin && r < end && h >= h0 && h < h1) {
        ASSERT_EQ(bits_of(got[i]), bits_of(whole[i])) << "row " << r << " KV head " << h;
      } else {
        ASSERT_TRUE(got.untouched(i)) << "row " << r << " KV head " << h << " was written";
      }
    }
  }
};

TEST_P(Attention, HeadSizesAndGroups) {
  for (int64_t head_dim : {2, 32, 34, 64, 96, 128}) {
    for (int64_t group : {1, 2, 4, 5}) {
      check({group, 1 + group % 3, head_dim, 16, 53}, 7, 1.0f);
    }
  }
}

TEST_P(Attention, PagesAndTheirBorders) {
  for (int64_t page : {16, 32, 256}) {
    for (int64_t pages : {1, 2, 4}) {
      for (int64_t beside : {-1, 0, 1}) {
        const int64_t slots = pages * page + beside;
        check({2, 2, 32, page, slots}, slots < 19 ? slots : 19, 2.0f);
      }
    }
  }
}

TEST_P(Attention, Formats) {
  for (KvFormat format : {KvFormat::kF16, KvFormat::kBF16}) {
    for (int64_t head_dim : {34, 64, 128}) check({5, 2, head_dim, 32, 101, format}, 17, 1.5f);
  }
}

TEST_P(Attention, FirstPositions) { check({5, 1, 128, 256, 18}, 18, 1.0f); }

// Scores of the size of hundreds: one key takes it all, the other exponentials vanish.
TEST_P(Attention, SharpScores) { check({2, 1, 64, 16, 70}, 9, 300.0f); }

// The first rows see one to three keys only: for some heads every score is far below zero.
TEST_P(Attention, DeepNegativeScores) { check({5, 3, 64, 16, 6}, 6, 1000.0f); }

// More rows than a task has, in one call.
TEST_P(Attention, ManyRowsInOneCall) {
  const Shape s{2, 2, 32, 16, 90};
  Cache c(s, 40, 1.0f);
  const std::vector<int64_t> n_keys = ascending(40, 90);
  Output<float> all(static_cast<size_t>(40 * c.row_size()));
  Output<float> pieces(static_cast<size_t>(40 * c.row_size()));
  c.run(backend(), n_keys, 0, 40, 0, 2, all.data());
  for (int64_t r = 0; r < 40; r += 8) c.run(backend(), n_keys, r, r + 8, 0, 2, pieces.data());
  for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(bits_of(all[i]), bits_of(pieces[i])) << i;
}

// The same partial results merged from the other end: the same values within the tolerance, other
// bits. With two pages the merge is symmetric but for rounding, with one there is none.
TEST_P(Attention, MergeOrderShows) {
  const Shape s{2, 2, 64, 16, 150};
  Cache c(s, 7, 1.0f);
  const std::vector<int64_t> n_keys = ascending(7, 150);
  const size_t n = static_cast<size_t>(7 * c.row_size());
  Output<float> forward(n), backward(n);
  c.run(backend(), n_keys, 0, 7, 0, 2, forward.data());
  c.run(backend(), n_keys, 0, 7, 0, 2, backward.data(), true);
  check_values(c, s, n_keys, backward.data());
  size_t different = 0;
  for (size_t i = 0; i < n; ++i) different += bits_of(forward[i]) != bits_of(backward[i]);
  EXPECT_GT(different, n / 10);

  const std::vector<int64_t> short_keys = ascending(7, 16);  // one page
  Output<float> one(n), same(n);
  c.run(backend(), short_keys, 0, 7, 0, 2, one.data());
  c.run(backend(), short_keys, 0, 7, 0, 2, same.data(), true);
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(bits_of(one[i]), bits_of(same[i]));
}

SCOUT_FOR_ALL_BACKENDS(Attention);

}  // namespace
}  // namespace scout::kernels

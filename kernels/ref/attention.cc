// Softmax attention by page segments. SPDX-License-Identifier: Apache-2.0
//
// Rows are taken in tiles of kAttentionRows. For one KV head, the tile walks over the pages, and in
// each page over its rows and the query heads of the group, so that a page stays in cache while it
// is used. The state of a (row, query head) is one running result; nothing else is shared, so the
// tile's other rows cannot change it.
//
// Inside a page sums run in double. The partial result is rounded to float before the merge, and
// the merge is done in float: it is the merge whose order the tests can see.
#include <cmath>
#include <cstring>

#include "kernels/quant/half.h"
#include "kernels/ref/ops.h"

namespace scout::kernels::ref {
namespace {

constexpr int64_t kLanes = 16;  // keys scored at once, outputs summed at once

// Max and sum of exponentials; the output vector lies elsewhere.
struct Softmax {
  float max;
  float sum;
};

// Scratch of a call. See attention_scratch() for its size.
struct Scratch {
  Softmax* running;  // (rows, group)
  float* out;        // (rows, group, head_dim): outputs of `running`, not yet divided by the sum
  float* partial;    // (head_dim): output of the page at hand
  double* scores;    // (page_tokens): scores, then exponentials
};

// Reading of n stored elements, n at most kLanes.
struct Load32 {
  static constexpr int64_t kBytes = 4;
  static void load(const unsigned char* p, int64_t n, float* out) {
    memcpy(out, p, static_cast<size_t>(n) * sizeof(float));
  }
};
template <float (*kDecode)(uint16_t)>
struct Load16 {
  static constexpr int64_t kBytes = 2;
  static void load(const unsigned char* p, int64_t n, float* out) {
    uint16_t bits[kLanes];
    memcpy(bits, p, static_cast<size_t>(n) * sizeof(uint16_t));
    for (int64_t j = 0; j < n; ++j) out[j] = kDecode(bits[j]);
  }
};

// The partial result of one query over the first `visible` keys of a page. Keys are scored in
// whole groups of lanes; what lies behind the last visible one is computed and ignored.
template <typename Load>
Softmax page_partial(const AttentionArgs& a, const float* q, const unsigned char* page,
                     int64_t kv_head, int64_t visible, const Scratch& s) {
  const unsigned char* keys = page + kv_head * a.head_dim * a.page_tokens * Load::kBytes;
  const unsigned char* values = keys + a.n_kv_heads * a.head_dim * a.page_tokens * Load::kBytes;

  double max = -HUGE_VAL;
  for (int64_t t = 0; t < visible; t += kLanes) {
    double sum[kLanes] = {};
    for (int64_t d = 0; d < a.head_dim; ++d) {
      const unsigned char* k = keys + (d * a.page_tokens + t) * Load::kBytes;
      const double qd = q[d];
      float key[kLanes];
      Load::load(k, kLanes, key);
      for (int64_t j = 0; j < kLanes; ++j) sum[j] += qd * static_cast<double>(key[j]);
    }
    for (int64_t j = 0; j < kLanes && t + j < visible; ++j) {
      s.scores[t + j] = sum[j];
      if (sum[j] > max) max = sum[j];
    }
  }

  Softmax partial{static_cast<float>(max), 0.0f};
  double total = 0.0;
  for (int64_t t = 0; t < visible; ++t) {
    s.scores[t] = std::exp(s.scores[t] - static_cast<double>(partial.max));
    total += s.scores[t];
  }
  partial.sum = static_cast<float>(total);

  for (int64_t d = 0; d < a.head_dim; d += kLanes) {
    const int64_t n = a.head_dim - d < kLanes ? a.head_dim - d : kLanes;
    double sum[kLanes] = {};
    float value[kLanes] = {};
    for (int64_t t = 0; t < visible; ++t) {
      const unsigned char* v = values + (t * a.head_dim + d) * Load::kBytes;
      if (n == kLanes) {
        Load::load(v, kLanes, value);  // the count as a constant: the usual case is unrolled
      } else {
        Load::load(v, n, value);
      }
      const double weight = s.scores[t];
      for (int64_t j = 0; j < kLanes; ++j) sum[j] += weight * static_cast<double>(value[j]);
    }
    for (int64_t j = 0; j < n; ++j) s.partial[d + j] = static_cast<float>(sum[j]);
  }
  return partial;
}

// running = running + partial, both rescaled to the larger maximum.
void merge(const Softmax& partial, const float* partial_out, int64_t head_dim, Softmax* running,
           float* out) {
  const float max = partial.max > running->max ? partial.max : running->max;
  const float keep = std::exp(running->max - max);
  const float take = std::exp(partial.max - max);
  running->max = max;
  running->sum = running->sum * keep + partial.sum * take;
  for (int64_t d = 0; d < head_dim; ++d) out[d] = out[d] * keep + partial_out[d] * take;
}

// One page for all rows of the tile that see it.
template <typename Load>
void tile_page(const AttentionArgs& a, int64_t row0, int64_t rows, int64_t kv_head, int64_t page,
               const Scratch& s) {
  const int64_t group = a.n_heads / a.n_kv_heads;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t left = a.n_keys[row0 + r] - page * a.page_tokens;
    if (left <= 0) continue;
    const int64_t visible = left < a.page_tokens ? left : a.page_tokens;
    for (int64_t g = 0; g < group; ++g) {
      const int64_t head = kv_head * group + g;
      const float* q = a.q + ((row0 + r) * a.n_heads + head) * a.head_dim;
      const int64_t state = r * group + g;
      const Softmax partial = page_partial<Load>(
          a, q, static_cast<const unsigned char*>(a.pages[page]), kv_head, visible, s);
      merge(partial, s.partial, a.head_dim, s.running + state, s.out + state * a.head_dim);
    }
  }
}

template <typename Load>
void tile(const AttentionArgs& a, int64_t row0, int64_t rows, int64_t kv_head, const Scratch& s) {
  const int64_t group = a.n_heads / a.n_kv_heads;
  for (int64_t i = 0; i < rows * group; ++i) s.running[i] = {-HUGE_VALF, 0.0f};
  for (int64_t i = 0; i < rows * group * a.head_dim; ++i) s.out[i] = 0.0f;

  // n_keys ascends, so the tile's last row sees the most pages.
  const int64_t pages = (a.n_keys[row0 + rows - 1] + a.page_tokens - 1) / a.page_tokens;
  for (int64_t i = 0; i < pages; ++i) {
    const int64_t page = a.merge_right_to_left ? pages - 1 - i : i;
    tile_page<Load>(a, row0, rows, kv_head, page, s);
  }

  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < group; ++g) {
      const int64_t state = r * group + g;
      float* out = a.out + ((row0 + r) * a.n_heads + kv_head * group + g) * a.head_dim;
      for (int64_t d = 0; d < a.head_dim; ++d) {
        out[d] = s.out[state * a.head_dim + d] / s.running[state].sum;
      }
    }
  }
}

}  // namespace

void attention(const AttentionArgs& a) {
  const int64_t states = kAttentionRows * (a.n_heads / a.n_kv_heads);
  // Doubles first: the caller aligns scratch for them.
  Scratch s;
  s.scores = reinterpret_cast<double*>(a.scratch);
  s.running = reinterpret_cast<Softmax*>(a.scratch + 2 * a.page_tokens);
  s.partial = a.scratch + 2 * a.page_tokens + 2 * states;
  s.out = s.partial + a.head_dim;
  for (int64_t row = a.row_begin; row < a.row_end; row += kAttentionRows) {
    const int64_t left = a.row_end - row;
    const int64_t rows = left < kAttentionRows ? left : kAttentionRows;
    for (int64_t h = a.kv_head_begin; h < a.kv_head_end; ++h) {
      switch (a.format) {
        case KvFormat::kF32:
          tile<Load32>(a, row, rows, h, s);
          break;
        case KvFormat::kF16:
          tile<Load16<f16_to_f32>>(a, row, rows, h, s);
          break;
        case KvFormat::kBF16:
          tile<Load16<bf16_to_f32>>(a, row, rows, h, s);
          break;
      }
    }
  }
}

}  // namespace scout::kernels::ref

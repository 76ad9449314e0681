// Softmax attention by page segments. SPDX-License-Identifier: Apache-2.0
//
// For one KV head and up to kAttentionRows rows, a state is one (row, query head of the group).
// Page by page: scores of all states (lanes = keys), exponentials, weighted values (lanes =
// head_dim), merge into the running results. Tiles of states share each load of a key or value.
// A score is summed over head_dim in order, an output over keys in order, both in one accumulator,
// and all decisions are per state: tiles change no bit.
#include "kernels/ops.h"

namespace scout::kernels {
namespace {

struct ElementF32 {
  static constexpr int64_t kBytes = 4;
  static SCOUT_INLINE F32x16 load16(const uint8_t* p) { return widen_f32(p); }
};
struct ElementF16 {
  static constexpr int64_t kBytes = 2;
  static SCOUT_INLINE F32x16 load16(const uint8_t* p) { return load_f16(p); }
};
struct ElementBF16 {
  static constexpr int64_t kBytes = 2;
  static SCOUT_INLINE F32x16 load16(const uint8_t* p) { return load_bf16(p); }
};

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
// Calls f(Count<n>()), n from 1 to kMax.
template <int kMax, typename F>
SCOUT_INLINE void with_count(int64_t n, F f) {
  if constexpr (kMax > 1) {
    if (n < kMax) return with_count<kMax - 1>(n, f);
  }
  f(Count<kMax>());
}

// A piece of scratch per state; see attention_scratch() for the size.
struct AttentionScratch {
  float* scores;   // (states, page_tokens): scores, then exponentials
  float* partial;  // (states, head_dim): outputs over the page at hand
  float* out;      // (states, head_dim): running outputs, not yet divided by the sum
  float* max;      // (states): of the running result
  float* sum;      // (states)
};

// The part of a call that one KV head and up to kAttentionRows rows make up.
struct AttentionTile {
  const AttentionArgs* args;
  int64_t row0, kv_head;
  int64_t group;   // query heads of the KV head
  int64_t states;  // rows * group
  AttentionScratch scratch;

  int64_t row(int64_t state) const { return row0 + state / group; }
  int64_t vector_at(int64_t state) const {  // offset of a state's query and output
    return (row(state) * args->n_heads + kv_head * group + state % group) * args->head_dim;
  }
  int64_t visible(int64_t state, int64_t page) const {  // keys of the page that a state sees
    const int64_t left = args->n_keys[row(state)] - page * args->page_tokens;
    return left < 0 ? 0 : smaller(left, args->page_tokens);
  }
};

// scores[s][t .. t + 16 kVectors) = q[s] . k for kStates states.
template <typename Element, int kStates, int kVectors>
inline void score_keys(const uint8_t* keys, int64_t page_tokens, int64_t head_dim,
                       const float* const* q, float* scores) {
  F32x16 acc[kStates][kVectors];
#pragma GCC unroll 8
  for (int s = 0; s < kStates; ++s) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[s][v] = zero();
  }
  for (int64_t d = 0; d < head_dim; ++d) {
    const uint8_t* row = keys + d * page_tokens * Element::kBytes;
    F32x16 k[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) k[v] = Element::load16(row + 16 * v * Element::kBytes);
#pragma GCC unroll 8
    for (int s = 0; s < kStates; ++s) {
      const F32x16 x = set1(q[s][d]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[s][v] = fma(x, k[v], acc[s][v]);
    }
  }
#pragma GCC unroll 8
  for (int s = 0; s < kStates; ++s) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(scores + s * page_tokens + 16 * v, acc[s][v]);
  }
}

// Scores in place become exponentials, 0 for the lanes behind the last visible key, whose scores
// may be anything. Returns the maximum and the sum.
inline void exponentials(float* scores, int64_t visible, float* max_out, float* sum_out) {
  const F32x16 lowest = set1(-__builtin_inff());
  F32x16 largest = lowest;
  for (int64_t t = 0; t < visible; t += 16) {
    const F32x16 s = select(first_lanes(visible - t), load(scores + t), lowest);
    store(scores + t, s);
    largest = max(s, largest);
  }
  *max_out = max_lane(largest);
  const F32x16 shift = set1(*max_out);
  F32x16 total = zero();
  for (int64_t t = 0; t < visible; t += 16) {
    const F32x16 p = exp(load(scores + t) - shift);
    store(scores + t, p);
    total = total + p;
  }
  *sum_out = sum(total);
}

// 16 elements of a value row from d on, zeros where the row ends.
template <typename Element>
SCOUT_INLINE F32x16 load_value(const uint8_t* row, int64_t d, int64_t head_dim) {
  if (head_dim - d >= 16) return Element::load16(row + d * Element::kBytes);
  uint8_t part[16 * Element::kBytes] = {};
  memcpy(part, row + d * Element::kBytes, static_cast<size_t>((head_dim - d) * Element::kBytes));
  return Element::load16(part);
}

// out[s][d .. d + 16 kVectors) += weights[s] . values over keys [begin, end) for kStates states.
template <typename Element, int kStates, int kVectors>
inline void weigh_values(const uint8_t* values, int64_t page_tokens, int64_t head_dim, int64_t d,
                         int64_t begin, int64_t end, const float* weights, float* out) {
  F32x16 acc[kStates][kVectors];
#pragma GCC unroll 8
  for (int s = 0; s < kStates; ++s) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      acc[s][v] = load_part(out + s * head_dim + d + 16 * v, head_dim - d - 16 * v);
    }
  }
  for (int64_t t = begin; t < end; ++t) {
    const uint8_t* row = values + t * head_dim * Element::kBytes;
    F32x16 value[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      // Several vectors are taken only where all of them are whole.
      value[v] = kVectors > 1 ? Element::load16(row + (d + 16 * v) * Element::kBytes)
                              : load_value<Element>(row, d, head_dim);
    }
#pragma GCC unroll 8
    for (int s = 0; s < kStates; ++s) {
      const F32x16 p = set1(weights[s * page_tokens + t]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[s][v] = fma(p, value[v], acc[s][v]);
    }
  }
#pragma GCC unroll 8
  for (int s = 0; s < kStates; ++s) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      store_part(out + s * head_dim + d + 16 * v, acc[s][v], head_dim - d - 16 * v);
    }
  }
}

// Scores, exponentials and outputs of one page for states [s0, s0 + kStates), and their merge.
template <typename Element, int kStates>
void attend_page(const AttentionTile& tile, int64_t page, int64_t s0) {
  const AttentionArgs& a = *tile.args;
  const int64_t tokens = a.page_tokens, dim = a.head_dim;
  const uint8_t* keys =
      static_cast<const uint8_t*>(a.pages[page]) + tile.kv_head * dim * tokens * Element::kBytes;
  const uint8_t* values = keys + a.n_kv_heads * dim * tokens * Element::kBytes;
  float* scores = tile.scratch.scores + s0 * tokens;
  float* partial = tile.scratch.partial + s0 * dim;

  const float* q[kStates];
  int64_t visible[kStates];
  int64_t most = 0, common = tokens;
  for (int s = 0; s < kStates; ++s) {
    q[s] = a.q + tile.vector_at(s0 + s);
    visible[s] = tile.visible(s0 + s, page);
    if (visible[s] > most) most = visible[s];
    common = smaller(common, visible[s]);
  }
  if (most == 0) return;

  int64_t t = 0;
  for (; t + 16 * kTileVectors <= tokens && t < most; t += 16 * kTileVectors) {
    score_keys<Element, kStates, kTileVectors>(keys + t * Element::kBytes, tokens, dim, q,
                                               scores + t);
  }
  for (; t < most; t += 16) {
    score_keys<Element, kStates, 1>(keys + t * Element::kBytes, tokens, dim, q, scores + t);
  }

  float page_max[kStates], page_sum[kStates];
  for (int s = 0; s < kStates; ++s) {
    if (visible[s] > 0) exponentials(scores + s * tokens, visible[s], &page_max[s], &page_sum[s]);
  }

  // Keys that all states see together, then each state's own rest: a weight of 0 would not do, as
  // values behind the last visible key may be NaN.
  memset(partial, 0, static_cast<size_t>(kStates * dim) * sizeof(float));
  const auto weigh = [&](auto vectors, int64_t d) __attribute__((always_inline)) {
    constexpr int kVectors = decltype(vectors)::value;
    weigh_values<Element, kStates, kVectors>(values, tokens, dim, d, 0, common, scores, partial);
    for (int s = 0; s < kStates; ++s) {
      if (visible[s] == common) continue;
      weigh_values<Element, 1, kVectors>(values, tokens, dim, d, common, visible[s],
                                         scores + s * tokens, partial + s * dim);
    }
  };
  int64_t d = 0;
  for (; d + 16 * kTileVectors <= dim; d += 16 * kTileVectors) weigh(Count<kTileVectors>(), d);
  for (; d < dim; d += 16) weigh(Count<1>(), d);

  for (int s = 0; s < kStates; ++s) {
    if (visible[s] == 0) continue;
    float* running_max = tile.scratch.max + s0 + s;
    float* running_sum = tile.scratch.sum + s0 + s;
    const float new_max = page_max[s] > *running_max ? page_max[s] : *running_max;
    const float keep = exp(*running_max - new_max);
    const float take = exp(page_max[s] - new_max);
    *running_max = new_max;
    *running_sum = *running_sum * keep + page_sum[s] * take;
    float* out = tile.scratch.out + (s0 + s) * dim;
    for (int64_t i = 0; i < dim; i += 16) {
      const F32x16 old = load_part(out + i, dim - i) * set1(keep);
      const F32x16 added = load_part(partial + s * dim + i, dim - i) * set1(take);
      store_part(out + i, old + added, dim - i);
    }
  }
}

template <typename Element>
void attend(const AttentionTile& tile) {
  const AttentionArgs& a = *tile.args;
  const AttentionScratch& scratch = tile.scratch;
  int64_t most_keys = 0;
  for (int64_t s = 0; s < tile.states; ++s) {
    scratch.max[s] = -__builtin_inff();
    scratch.sum[s] = 0.0f;
    const int64_t n = a.n_keys[tile.row(s)];
    if (n > most_keys) most_keys = n;
  }
  memset(scratch.out, 0, static_cast<size_t>(tile.states * a.head_dim) * sizeof(float));

  const int64_t pages = (most_keys + a.page_tokens - 1) / a.page_tokens;
  for (int64_t i = 0; i < pages; ++i) {
    const int64_t page = a.merge_right_to_left ? pages - 1 - i : i;
    for (int64_t s = 0; s < tile.states; s += kTileQueries) {
      with_count<kTileQueries>(tile.states - s, [&](auto count) {
        attend_page<Element, decltype(count)::value>(tile, page, s);
      });
    }
  }

  for (int64_t s = 0; s < tile.states; ++s) {
    const float* from = scratch.out + s * a.head_dim;
    float* to = a.out + tile.vector_at(s);
    for (int64_t i = 0; i < a.head_dim; i += 16) {
      const int64_t n = a.head_dim - i;
      store_part(to + i, load_part(from + i, n) / set1(scratch.sum[s]), n);
    }
  }
}

void attention(const AttentionArgs& a) {
  AttentionTile tile;
  tile.args = &a;
  tile.group = a.n_heads / a.n_kv_heads;
  const int64_t most_states = kAttentionRows * tile.group;
  tile.scratch.scores = a.scratch;
  tile.scratch.partial = tile.scratch.scores + most_states * a.page_tokens;
  tile.scratch.out = tile.scratch.partial + most_states * a.head_dim;
  tile.scratch.max = tile.scratch.out + most_states * a.head_dim;
  tile.scratch.sum = tile.scratch.max + most_states;
  for (int64_t row = a.row_begin; row < a.row_end; row += kAttentionRows) {
    tile.row0 = row;
    tile.states = smaller(kAttentionRows, a.row_end - row) * tile.group;
    for (int64_t h = a.kv_head_begin; h < a.kv_head_end; ++h) {
      tile.kv_head = h;
      switch (a.format) {
        case KvFormat::kF32:
          attend<ElementF32>(tile);
          break;
        case KvFormat::kF16:
          attend<ElementF16>(tile);
          break;
        case KvFormat::kBF16:
          attend<ElementBF16>(tile);
          break;
      }
    }
  }
}

}  // namespace
}  // namespace scout::kernels

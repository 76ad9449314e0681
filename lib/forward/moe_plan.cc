#include "lib/forward/moe_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace scout {

MoePlan::MoePlan(int64_t max_rows, int64_t n_experts, int64_t n_used)
    : n_experts_(n_experts), n_used_(n_used) {
  const size_t rows = static_cast<size_t>(max_rows * n_used);
  offsets_.assign(static_cast<size_t>(n_experts) + 1, 0);
  fill_.assign(static_cast<size_t>(n_experts), 0);
  order_.resize(static_cast<size_t>(n_experts));
  chosen_.resize(rows);
  chosen_gate_.resize(rows);
  rows_.resize(rows);
  gates_.resize(rows);
  plan_rows_.resize(rows);
}

void MoePlan::Build(const float* router_logits, int64_t n_rows) {
  std::fill(offsets_.begin(), offsets_.end(), 0);
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* logits = router_logits + r * n_experts_;
    // NaN counts as the least, so that the order is strict whatever the router gives.
    auto before = [logits](int32_t a, int32_t b) {
      const float x = std::isnan(logits[a]) ? -INFINITY : logits[a];
      const float y = std::isnan(logits[b]) ? -INFINITY : logits[b];
      return x > y || (x == y && a < b);
    };
    std::iota(order_.begin(), order_.end(), 0);
    if (n_used_ == 1) {
      std::swap(order_[0], *std::min_element(order_.begin(), order_.end(), before));
    } else {
      std::partial_sort(order_.begin(), order_.begin() + n_used_, order_.end(), before);
    }
    for (int64_t k = 0; k < n_used_; ++k) {
      const int32_t best = order_[k];
      chosen_[r * n_used_ + k] = best;
      chosen_gate_[r * n_used_ + k] = 1.0f / (1.0f + std::exp(-logits[best]));
      ++offsets_[best + 1];
    }
  }
  for (int64_t e = 0; e < n_experts_; ++e) {
    offsets_[e + 1] += offsets_[e];
    fill_[e] = offsets_[e];
  }
  for (int64_t i = 0; i < n_rows * n_used_; ++i) {
    const int64_t at = fill_[chosen_[i]]++;
    rows_[at] = static_cast<int32_t>(i / n_used_);
    gates_[at] = chosen_gate_[i];
    plan_rows_[i] = at;
  }
}

int64_t MoePlan::n_groups() const {
  int64_t n = 0;
  for (int64_t e = 0; e < n_experts_; ++e) n += end(e) > begin(e) ? 1 : 0;
  return n;
}

}  // namespace scout

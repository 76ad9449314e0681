#include "lib/forward/moe_plan.h"

#include <algorithm>
#include <cmath>

namespace scout {

MoePlan::MoePlan(int64_t max_rows, int64_t n_experts, int64_t n_used)
    : n_experts_(n_experts), n_used_(n_used) {
  const size_t rows = static_cast<size_t>(max_rows * n_used);
  offsets_.assign(static_cast<size_t>(n_experts) + 1, 0);
  fill_.assign(static_cast<size_t>(n_experts), 0);
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
    for (int64_t k = 0; k < n_used_; ++k) {
      int32_t best = -1;
      for (int32_t e = 0; e < n_experts_; ++e) {
        const auto begin = chosen_.begin() + r * n_used_;
        if (std::find(begin, begin + k, e) != begin + k) continue;
        if (best < 0 || logits[e] > logits[best]) best = e;  // NaN never wins
      }
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

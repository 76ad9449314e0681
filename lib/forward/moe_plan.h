// The MoE execution plan of one layer and step: which rows go to which expert, in what order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace scout {

// Rows sorted by expert: plan row i computes expert e for offsets[e] <= i < offsets[e + 1].
class MoePlan {
 public:
  // Room for max_rows rows of n_used experts each; Build never allocates.
  MoePlan(int64_t max_rows, int64_t n_experts, int64_t n_used);

  // Top-k by router logit per row (of equals the lower expert first), gate = sigmoid(logit).
  // router_logits: (n_rows, n_experts).
  void Build(const float* router_logits, int64_t n_rows);

  int64_t n_experts() const { return n_experts_; }
  int64_t n_used() const { return n_used_; }
  int64_t n_plan_rows() const { return offsets_.back(); }
  int64_t begin(int64_t expert) const { return offsets_[expert]; }
  int64_t end(int64_t expert) const { return offsets_[expert + 1]; }
  int64_t n_groups() const;  // experts with at least one row
  // Of plan row i: the token row it stands for, and its gate.
  int32_t row(int64_t i) const { return rows_[i]; }
  float gate(int64_t i) const { return gates_[i]; }
  // Plan row of the k-th best expert of a token row.
  int64_t plan_row(int64_t row, int64_t k) const { return plan_rows_[row * n_used_ + k]; }
  int32_t expert(int64_t row, int64_t k) const { return chosen_[row * n_used_ + k]; }

 private:
  int64_t n_experts_, n_used_;
  std::vector<int64_t> offsets_;    // (n_experts + 1)
  std::vector<int64_t> fill_;       // (n_experts)
  std::vector<int32_t> order_;      // (n_experts), of one row
  std::vector<int32_t> chosen_;     // (n_rows, n_used)
  std::vector<float> chosen_gate_;  // (n_rows, n_used)
  std::vector<int32_t> rows_;       // (plan rows)
  std::vector<float> gates_;        // (plan rows)
  std::vector<int64_t> plan_rows_;  // (n_rows, n_used)
};

}  // namespace scout

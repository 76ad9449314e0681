// Ops of a backend spread over the threads of a pool. SPDX-License-Identifier: Apache-2.0
// Each op writes disjoint slices, and a slice's values do not depend on who computes it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "kernels/ops.h"
#include "lib/forward/workspace.h"
#include "lib/util/thread_pool.h"

namespace scout {

// y = x * w^T for n_rows rows of x, in the arithmetic that the weight's type and the mode call for.
struct LinearTask {
  const kernels::Matrix* w = nullptr;
  const ActivationBuffer* x = nullptr;
  int64_t x_row = 0;  // first row of x; these rows were quantised together, if at all
  int64_t n_rows = 0;
  float* y = nullptr;  // (n_rows, y_stride)
  int64_t y_stride = 0;
};

struct RowRange {
  int64_t begin = 0, n = 0;
};

class ParallelOps {
 public:
  ParallelOps(const kernels::Backend* backend, ThreadPool* pool, bool exact)
      : backend_(backend), pool_(pool), exact_(exact) {}

  const kernels::Backend& backend() const { return *backend_; }
  ThreadPool* pool() const { return pool_; }
  int n_threads() const { return pool_->n_threads(); }

  // The 8-bit form of activations that a matrix takes, if it takes one.
  int Form(const kernels::Matrix& w) const {
    if (exact_ || w.data == nullptr || kernels::quant_traits(w.type).is_float) return kNoForm;
    return kernels::act_block(w.type) == kernels::kFineBlock ? kFineForm : kCoarseForm;
  }
  // body(begin, end) over slices of [0, n); `cost` is the rough work of one item in operations.
  template <typename Body>
  void ForRange(int64_t n, int64_t cost, Body&& body) {
    if (n <= 0) return;
    const int64_t grain = std::max<int64_t>(1, kMinTask / std::max<int64_t>(cost, 1));
    const int64_t per = std::max(grain, (n + 4 * n_threads() - 1) / (4 * n_threads()));
    const int64_t tasks = (n + per - 1) / per;
    auto run = [&](int64_t i, int) { body(i * per, std::min(n, (i + 1) * per)); };
    if (tasks == 1 || n_threads() == 1) return body(0, n);
    pool_->Run(tasks, std::ref(run));
  }
  // Matrix products, all in one parallel region. Inputs that need it are quantised already.
  void Linear(const LinearTask* tasks, int64_t n_tasks);
  // 8-bit forms of rows of x. Each range is quantised together: a LinearTask takes a whole one.
  void QuantiseRanges(const ActivationBuffer& x, int forms, const RowRange* ranges,
                      int64_t n_ranges);
  void Quantise(const ActivationBuffer& x, int forms, int64_t row, int64_t n_rows) {
    const RowRange range{row, n_rows};
    QuantiseRanges(x, forms, &range, 1);
  }
  void RmsNorm(const float* x, const float* weight, float eps, float* y, int64_t n_rows,
               int64_t dim);

  int64_t flops = 0;  // of Linear, since creation

 private:
  static constexpr int64_t kMinTask = 32768;  // operations worth waking a thread for
  // Outputs of a matrix per task: whole groups of interleaved rows, so many that the rows' panels
  // are read from the L2 cache more often than from beyond it, so few that no thread waits long.
  static constexpr int64_t kMostOuts = 128;
  const kernels::Backend* backend_;
  ThreadPool* pool_;
  bool exact_;
};

}  // namespace scout

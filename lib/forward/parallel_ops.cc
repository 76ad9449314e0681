#include "lib/forward/parallel_ops.h"

#include <algorithm>

#include "kernels/quant/interleave.h"

namespace scout {

void ParallelOps::Linear(const LinearTask* tasks, int64_t n_tasks) {
  int64_t n_blocks = 0, work = 0, outs = 0;
  for (int64_t t = 0; t < n_tasks; ++t) outs += tasks[t].n_rows == 0 ? 0 : tasks[t].w->rows;
  const int64_t share = outs / (8 * n_threads()) / kernels::kGroupRows * kernels::kGroupRows;
  const int64_t most = std::clamp(share, kernels::kGroupRows, kMostOuts);
  for (int64_t t = 0; t < n_tasks; ++t) {
    if (tasks[t].n_rows == 0) continue;
    n_blocks += (tasks[t].w->rows + most - 1) / most;
    work += 2 * tasks[t].n_rows * tasks[t].w->rows * tasks[t].w->cols;
  }
  flops += work;
  auto run = [&](int64_t block, int) {
    int64_t t = 0;
    for (;; ++t) {
      if (tasks[t].n_rows == 0) continue;
      const int64_t blocks = (tasks[t].w->rows + most - 1) / most;
      if (block < blocks) break;
      block -= blocks;
    }
    const LinearTask& task = tasks[t];
    kernels::MatmulArgs args{};
    args.w = *task.w;
    args.x = task.x->f32(task.x_row);
    if (Form(*task.w) != kNoForm) {
      args.xq = task.x->quant(task.x_row, kernels::act_block(task.w->type));
    }
    args.y = task.y;
    args.y_stride = task.y_stride;
    args.n_rows = task.n_rows;
    args.out_begin = block * most;
    args.out_end = std::min(task.w->rows, args.out_begin + most);
    backend_->matmul(args);
  };
  if (work < kMinTask || n_threads() == 1) {
    for (int64_t b = 0; b < n_blocks; ++b) run(b, 0);
  } else {
    pool_->Run(n_blocks, std::ref(run));
  }
}

void ParallelOps::QuantiseRanges(const ActivationBuffer& x, int forms, const RowRange* ranges,
                                 int64_t n_ranges) {
  if (forms == kNoForm) return;
  constexpr int64_t kRows = kernels::kPanelRows;
  int64_t n_panels = 0;
  for (int64_t i = 0; i < n_ranges; ++i) n_panels += (ranges[i].n + kRows - 1) / kRows;
  ForRange(n_panels, 4 * kRows * x.cols(), [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // panel of the range at hand
    for (int64_t i = 0; i < n_ranges && first < end; ++i) {
      const RowRange& range = ranges[i];
      const int64_t n = (range.n + kRows - 1) / kRows;
      const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, n);
      first += n;
      if (from >= to) continue;
      for (const int64_t block : {kernels::kCoarseBlock, kernels::kFineBlock}) {
        if ((forms & (block == kernels::kFineBlock ? kFineForm : kCoarseForm)) == 0) continue;
        backend_->quantize(
            {x.f32(range.begin), x.quant(range.begin, block), x.cols(), range.n, from, to});
      }
    }
  });
}

void ParallelOps::RmsNorm(const float* x, const float* weight, float eps, float* y, int64_t n_rows,
                          int64_t dim) {
  ForRange(n_rows, 4 * dim, [&](int64_t begin, int64_t end) {
    backend_->rmsnorm({x, weight, y, dim, begin, end, eps});
  });
}

}  // namespace scout

#include "lib/forward/parallel_ops.h"

namespace scout {

void ParallelOps::Linear(const LinearTask* tasks, int64_t n_tasks) {
  int64_t n_blocks = 0, work = 0;
  for (int64_t t = 0; t < n_tasks; ++t) {
    if (tasks[t].n_rows == 0) continue;
    n_blocks += (tasks[t].w->rows + kOutBlock - 1) / kOutBlock;
    work += 2 * tasks[t].n_rows * tasks[t].w->rows * tasks[t].w->cols;
  }
  flops += work;
  auto run = [&](int64_t block, int) {
    int64_t t = 0;
    for (;; ++t) {
      if (tasks[t].n_rows == 0) continue;
      const int64_t blocks = (tasks[t].w->rows + kOutBlock - 1) / kOutBlock;
      if (block < blocks) break;
      block -= blocks;
    }
    const LinearTask& task = tasks[t];
    kernels::MatmulArgs args{};
    args.w = *task.w;
    args.x = task.x->f32(task.x_row);
    if (Quantises(*task.w)) args.xq = task.x->quant(task.x_row);
    args.y = task.y;
    args.y_stride = task.y_stride;
    args.n_rows = task.n_rows;
    args.out_begin = block * kOutBlock;
    args.out_end = std::min(task.w->rows, args.out_begin + kOutBlock);
    backend_->matmul(args);
  };
  if (work < kMinTask || n_threads() == 1) {
    for (int64_t b = 0; b < n_blocks; ++b) run(b, 0);
  } else {
    pool_->Run(n_blocks, std::ref(run));
  }
}

void ParallelOps::Quantise(const ActivationBuffer& x, int64_t row, int64_t n_rows) {
  ForRange(n_rows, 4 * x.cols(), [&](int64_t begin, int64_t end) {
    backend_->quantize({x.f32(row), x.quant(row), x.cols(), begin, end});
  });
}

void ParallelOps::RmsNorm(const float* x, const float* weight, float eps, float* y, int64_t n_rows,
                          int64_t dim) {
  ForRange(n_rows, 4 * dim, [&](int64_t begin, int64_t end) {
    backend_->rmsnorm({x, weight, y, dim, begin, end, eps});
  });
}

}  // namespace scout

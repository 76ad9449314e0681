// Feed-forward half of a layer: dense, or shared expert plus routed experts by the execution plan.
#include <algorithm>
#include <cstring>

#include "lib/forward/llama4.h"

namespace scout {

// stream += ffn(rmsnorm(stream)) for n_rows rows.
void Forward::Ffn(const LayerWeights& weights, const LayerConfig& config, int64_t n_rows) {
  ops_.RmsNorm(stream_, weights.ffn_norm, static_cast<float>(config_.rms_eps), stream_norm_->f32(),
               n_rows, config_.hidden);
  if (config.moe) {
    MoeFfn(weights, n_rows);
  } else {
    DenseFfn(weights.dense, n_rows);
  }
}

void Forward::DenseFfn(const FfnWeights& ffn, int64_t n_rows) {
  const int64_t width = ffn.gate.rows, hidden = config_.hidden;
  const kernels::Backend& backend = ops_.backend();
  ops_.Quantise(*stream_norm_, ops_.Form(ffn.gate) | ops_.Form(ffn.up), 0, n_rows);
  const LinearTask in[] = {{&ffn.gate, stream_norm_, 0, n_rows, gate_.get(), width},
                           {&ffn.up, stream_norm_, 0, n_rows, up_.get(), width}};
  ops_.Linear(in, 2);
  ops_.ForRange(n_rows, 16 * width, [&](int64_t begin, int64_t end) {
    backend.swiglu({gate_.get(), up_.get(), act_.f32(), width, width, begin, end});
  });
  ops_.Quantise(act_, ops_.Form(ffn.down), 0, n_rows);
  const LinearTask out{&ffn.down, &act_, 0, n_rows, delta_.get(), hidden};
  ops_.Linear(&out, 1);
  ops_.ForRange(n_rows, hidden, [&](int64_t begin, int64_t end) {
    backend.add({stream_, delta_.get(), hidden, begin, end});
  });
}

void Forward::MoeFfn(const LayerWeights& weights, int64_t n_rows) {
  const int64_t hidden = config_.hidden, width = config_.expert_ffn, shared = config_.shared_ffn;
  const kernels::Backend& backend = ops_.backend();

  // Router, then rows times gate, sorted by expert.
  ops_.Quantise(
      *stream_norm_,
      ops_.Form(weights.shared.gate) | ops_.Form(weights.shared.up) | ops_.Form(weights.router), 0,
      n_rows);
  const LinearTask route{&weights.router, stream_norm_,  0,
                         n_rows,          router_.get(), config_.n_experts};
  ops_.Linear(&route, 1);
  plan_.Build(router_.get(), n_rows);
  const int64_t n_plan = n_rows * plan_.n_used();
  stats_.expert_rows += n_plan;
  stats_.expert_groups += plan_.n_groups();
  ops_.ForRange(n_plan, hidden, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(expert_in_.f32(i), stream_norm_->f32(plan_.row(i)),
                  static_cast<size_t>(hidden) * sizeof(float));
      row_scale_.get()[i] = plan_.gate(i);
    }
    backend.scale_rows({expert_in_.f32(), row_scale_.get(), expert_in_.f32(), hidden, begin, end});
  });
  ranges_.clear();
  int in_forms = kNoForm, out_forms = kNoForm;
  for (int64_t e = 0; e < plan_.n_experts(); ++e) {
    if (plan_.end(e) == plan_.begin(e)) continue;
    ranges_.push_back({plan_.begin(e), plan_.end(e) - plan_.begin(e)});
    const FfnWeights& expert = weights.experts[e];
    in_forms |= ops_.Form(expert.gate) | ops_.Form(expert.up);
    out_forms |= ops_.Form(expert.down);
  }
  const int64_t n_ranges = static_cast<int64_t>(ranges_.size());
  ops_.QuantiseRanges(expert_in_, in_forms, ranges_.data(), n_ranges);

  // Gate and up of the shared expert and of every expert that has rows: one task list.
  tasks_.clear();
  if (shared > 0) {
    tasks_.push_back({&weights.shared.gate, stream_norm_, 0, n_rows, gate_.get(), shared});
    tasks_.push_back({&weights.shared.up, stream_norm_, 0, n_rows, up_.get(), shared});
  }
  for (int64_t e = 0; e < plan_.n_experts(); ++e) {
    const int64_t row = plan_.begin(e), n = plan_.end(e) - row;
    if (n == 0) continue;
    const FfnWeights& expert = weights.experts[e];
    tasks_.push_back({&expert.gate, &expert_in_, row, n, expert_gate_.get() + row * width, width});
    tasks_.push_back({&expert.up, &expert_in_, row, n, expert_up_.get() + row * width, width});
  }
  ops_.Linear(tasks_.data(), static_cast<int64_t>(tasks_.size()));

  if (shared > 0) {
    ops_.ForRange(n_rows, 16 * shared, [&](int64_t begin, int64_t end) {
      backend.swiglu({gate_.get(), up_.get(), act_shared_.f32(), shared, shared, begin, end});
    });
    ops_.Quantise(act_shared_, ops_.Form(weights.shared.down), 0, n_rows);
  }
  ops_.ForRange(n_plan, 16 * width, [&](int64_t begin, int64_t end) {
    backend.swiglu(
        {expert_gate_.get(), expert_up_.get(), expert_act_.f32(), width, width, begin, end});
  });
  ops_.QuantiseRanges(expert_act_, out_forms, ranges_.data(), n_ranges);

  // Down projections, again one task list; then each row adds its experts, best first.
  tasks_.clear();
  if (shared > 0) {
    tasks_.push_back({&weights.shared.down, &act_shared_, 0, n_rows, delta_.get(), hidden});
  }
  for (int64_t e = 0; e < plan_.n_experts(); ++e) {
    const int64_t row = plan_.begin(e), n = plan_.end(e) - row;
    if (n == 0) continue;
    tasks_.push_back(
        {&weights.experts[e].down, &expert_act_, row, n, expert_out_.get() + row * hidden, hidden});
  }
  ops_.Linear(tasks_.data(), static_cast<int64_t>(tasks_.size()));
  ops_.ForRange(n_rows, 3 * hidden, [&](int64_t begin, int64_t end) {
    if (shared > 0) backend.add({stream_, delta_.get(), hidden, begin, end});
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t k = 0; k < plan_.n_used(); ++k) {
        backend.add({stream_ + r * hidden, expert_out_.get() + plan_.plan_row(r, k) * hidden,
                     hidden, 0, 1});
      }
    }
  });
}

}  // namespace scout

// The forward pass of a Llama 4 text model, written once over kernels/ops.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "lib/forward/moe_plan.h"
#include "lib/forward/parallel_ops.h"
#include "lib/forward/step.h"
#include "lib/forward/workspace.h"
#include "lib/model/model.h"
#include "lib/util/thread_pool.h"

namespace scout {

struct ForwardOptions {
  bool exact = false;
  int64_t max_rows = 512;            // of a step
  bool merge_right_to_left = false;  // tests only: see kernels::AttentionArgs
};

struct ForwardStats {
  int64_t rows = 0, flops = 0, expert_rows = 0, expert_groups = 0;
  // Seconds in the stages of the pass.
  double embedding = 0, attention = 0, ffn = 0, head = 0;
};

// Not thread-safe: one step at a time. Keeps the model alive.
class Forward {
 public:
  // Takes all scratch (throws std::bad_alloc).
  Forward(std::shared_ptr<const Model> model, const kernels::Backend* backend, ThreadPool* pool,
          const ForwardOptions& options, int64_t page_tokens);

  // Runs the step: stores K/V of every row in every layer and writes the wanted logits. The caller
  // has checked tokens and positions and prepared the KV. Allocates nothing. Spans for which
  // step->leaves said true have n_rows 0 and no wanted rows afterwards.
  void Run(Step* step);

  const ForwardStats& stats() const { return stats_; }

 private:
  // Rows that pass through a layer's attention and FFN: all rows, or the wanted ones in the last.
  struct ActiveRows {
    int64_t n = 0;
    std::vector<int64_t> position;    // (n)
    std::vector<int64_t> n_keys;      // (n), of a global or a chunked layer
    std::vector<int64_t> span_begin;  // (spans + 1), index of each span's first active row
    const float* cos_sin = nullptr;   // (n, head_dim / 2, 2)
  };

  // Rows of several callers that go through the head together.
  static constexpr int64_t kHeadRows = 32;

  void AddFlops(int64_t n);
  void PrepareRows(const Step& step);
  bool AskSpans(Step* step, const ActiveRows* rows);
  void FillCosSin(const std::vector<int64_t>& positions, int64_t n, float* out);
  void KeysAndValues(const Step& step, int64_t layer);
  void Queries(int64_t layer, const ActiveRows& rows);
  void Attention(const Step& step, int64_t layer, ActiveRows* rows);
  void Ffn(const LayerWeights& weights, const LayerConfig& config, int64_t n_rows);
  void DenseFfn(const FfnWeights& ffn, int64_t n_rows);
  void MoeFfn(const LayerWeights& weights, int64_t n_rows);
  void CompactWanted(const Step& step);
  void Logits(const Step& step);

  std::shared_ptr<const Model> model_;
  const ModelConfig& config_;
  ForwardOptions options_;
  ParallelOps ops_;
  int64_t page_tokens_;
  ForwardStats stats_;
  std::vector<double> inv_freq_;  // (head_dim / 2), radians per token

  ActiveRows all_, wanted_;
  // Shapes: T = max_rows, P = T * n_experts_used.
  AlignedBuffer<float> h_;                         // (T, hidden) residual stream
  AlignedBuffer<float> h_wanted_;                  // (T, hidden) its wanted rows, in the last layer
  ActivationBuffer norm_;                          // (T, hidden)
  ActivationBuffer norm_wanted_;                   // (T, hidden)
  AlignedBuffer<float> q_;                         // (T, n_heads, head_dim)
  AlignedBuffer<float> k_, v_;                     // (T, n_kv_heads, head_dim)
  ActivationBuffer attention_;                     // (T, n_heads, head_dim)
  AlignedBuffer<float> delta_;                     // (T, hidden) what a block adds to the stream
  AlignedBuffer<float> cos_sin_, cos_sin_wanted_;  // (T, head_dim / 2, 2)
  AlignedBuffer<float> row_scale_;                 // (T) or (P)
  AlignedBuffer<float> attention_scratch_;         // (threads, attention_scratch)
  int64_t attention_scratch_each_ = 0;
  AlignedBuffer<float> gate_, up_;                // (T, widest dense or shared FFN)
  ActivationBuffer act_;                          // (T, dense FFN)
  ActivationBuffer act_shared_;                   // (T, shared FFN)
  AlignedBuffer<float> router_;                   // (T, n_experts)
  ActivationBuffer expert_in_;                    // (P, hidden) rows times gate, sorted by expert
  AlignedBuffer<float> expert_gate_, expert_up_;  // (P, expert FFN)
  ActivationBuffer expert_act_;                   // (P, expert FFN)
  AlignedBuffer<float> expert_out_;               // (P, hidden)
  MoePlan plan_;
  std::vector<LinearTask> tasks_;
  std::vector<RowRange> ranges_;     // rows of each expert that has some
  std::vector<int64_t> span_tasks_;  // (spans + 1)
  AlignedBuffer<float> head_out_;    // (kHeadRows, vocab)

  // The stream that the current layer works on: h_ and norm_, or their wanted rows.
  float* stream_ = nullptr;
  ActivationBuffer* stream_norm_ = nullptr;
};

}  // namespace scout

// Tensor names of a GGUF file of architecture llama4. SPDX-License-Identifier: Apache-2.0
// Matrices are (out, in); the experts of a layer are one tensor (expert, out, in).
#include "absl/strings/str_cat.h"
#include "lib/model/weights.h"

namespace scout {
namespace {

absl::Status BindFfn(const std::string& prefix, const std::string& suffix, int64_t width,
                     int64_t hidden, WeightPlan* plan, FfnWeights* ffn) {
  const std::string end = suffix + ".weight";
  SCOUT_RETURN_IF_ERROR(plan->AddMatrix(prefix + "ffn_gate" + end, width, hidden, &ffn->gate));
  SCOUT_RETURN_IF_ERROR(plan->AddMatrix(prefix + "ffn_up" + end, width, hidden, &ffn->up));
  return plan->AddMatrix(prefix + "ffn_down" + end, hidden, width, &ffn->down);
}

absl::Status BindExperts(const ModelConfig& config, const std::string& prefix, WeightPlan* plan,
                         LayerWeights* layer) {
  SCOUT_RETURN_IF_ERROR(plan->AddMatrix(prefix + "ffn_gate_inp.weight", config.n_experts,
                                        config.hidden, &layer->router));
  layer->experts.resize(config.n_experts);
  std::vector<kernels::Matrix*> gate, up, down;
  for (FfnWeights& expert : layer->experts) {
    gate.push_back(&expert.gate);
    up.push_back(&expert.up);
    down.push_back(&expert.down);
  }
  const int64_t width = config.expert_ffn;
  SCOUT_RETURN_IF_ERROR(
      plan->AddStack(prefix + "ffn_gate_exps.weight", width, config.hidden, gate));
  SCOUT_RETURN_IF_ERROR(plan->AddStack(prefix + "ffn_up_exps.weight", width, config.hidden, up));
  SCOUT_RETURN_IF_ERROR(
      plan->AddStack(prefix + "ffn_down_exps.weight", config.hidden, width, down));
  if (config.shared_ffn == 0) return absl::OkStatus();
  return BindFfn(prefix, "_shexp", config.shared_ffn, config.hidden, plan, &layer->shared);
}

}  // namespace

absl::Status BindGguf(const TensorTable& table, ModelConfig* config, WeightPlan* plan,
                      ModelWeights* weights) {
  const int64_t hidden = config->hidden;
  const int64_t q_rows = config->n_heads * config->head_dim;
  const int64_t kv_rows = config->n_kv_heads * config->head_dim;
  config->tied_embeddings = table.find("output.weight") == nullptr;
  SCOUT_RETURN_IF_ERROR(
      plan->AddMatrix("token_embd.weight", config->vocab, hidden, &weights->embedding));
  if (!config->tied_embeddings) {
    SCOUT_RETURN_IF_ERROR(plan->AddMatrix("output.weight", config->vocab, hidden, &weights->head));
  }
  SCOUT_RETURN_IF_ERROR(plan->AddVector("output_norm.weight", hidden, &weights->final_norm));

  weights->layers.resize(config->n_layers);  // targets point into it: not resized again
  for (int64_t i = 0; i < config->n_layers; ++i) {
    LayerWeights& layer = weights->layers[i];
    const std::string p = absl::StrCat("blk.", i, ".");
    SCOUT_RETURN_IF_ERROR(plan->AddVector(p + "attn_norm.weight", hidden, &layer.attn_norm));
    SCOUT_RETURN_IF_ERROR(plan->AddMatrix(p + "attn_q.weight", q_rows, hidden, &layer.wq));
    SCOUT_RETURN_IF_ERROR(plan->AddMatrix(p + "attn_k.weight", kv_rows, hidden, &layer.wk));
    SCOUT_RETURN_IF_ERROR(plan->AddMatrix(p + "attn_v.weight", kv_rows, hidden, &layer.wv));
    SCOUT_RETURN_IF_ERROR(plan->AddMatrix(p + "attn_output.weight", hidden, q_rows, &layer.wo));
    SCOUT_RETURN_IF_ERROR(plan->AddVector(p + "ffn_norm.weight", hidden, &layer.ffn_norm));
    SCOUT_RETURN_IF_ERROR(config->layers[i].moe
                              ? BindExperts(*config, p, plan, &layer)
                              : BindFfn(p, "", config->dense_ffn, hidden, plan, &layer.dense));
  }
  return absl::OkStatus();
}

}  // namespace scout

// Tensor names of a Hugging Face checkpoint of Llama 4. SPDX-License-Identifier: Apache-2.0
//
// Linear layers are (out, in). Fused experts are not: gate_up_proj is (expert, hidden, 2 * ffn),
// gate before up, and down_proj (expert, ffn, hidden). They are turned to (out, in) at reading.
#include "absl/strings/str_cat.h"
#include "lib/model/weights.h"

namespace scout {
namespace {

// Text inside a model with images, or alone.
constexpr char kNestedPrefix[] = "language_model.";

absl::Status BindFfn(const std::string& prefix, int64_t width, int64_t hidden, WeightPlan* plan,
                     FfnWeights* ffn) {
  SCOUT_RETURN_IF_ERROR(plan->AddLinear(prefix + "gate_proj", width, hidden, &ffn->gate));
  SCOUT_RETURN_IF_ERROR(plan->AddLinear(prefix + "up_proj", width, hidden, &ffn->up));
  return plan->AddLinear(prefix + "down_proj", hidden, width, &ffn->down);
}

absl::Status BindExperts(const ModelConfig& config, const std::string& prefix, WeightPlan* plan,
                         LayerWeights* layer) {
  SCOUT_RETURN_IF_ERROR(
      plan->AddLinear(prefix + "router", config.n_experts, config.hidden, &layer->router));
  SCOUT_RETURN_IF_ERROR(
      BindFfn(prefix + "shared_expert.", config.shared_ffn, config.hidden, plan, &layer->shared));
  layer->experts.resize(config.n_experts);
  const std::string experts = prefix + "experts.";
  if (plan->HasModule(experts + "0.gate_proj")) {  // one linear layer per expert
    for (int64_t e = 0; e < config.n_experts; ++e) {
      SCOUT_RETURN_IF_ERROR(BindFfn(absl::StrCat(experts, e, "."), config.expert_ffn, config.hidden,
                                    plan, &layer->experts[e]));
    }
    return absl::OkStatus();
  }
  std::vector<kernels::Matrix*> gate_up, down;
  for (FfnWeights& expert : layer->experts) {
    gate_up.push_back(&expert.gate);
    gate_up.push_back(&expert.up);
    down.push_back(&expert.down);
  }
  SCOUT_RETURN_IF_ERROR(
      plan->AddTransposed(experts + "gate_up_proj", 2, config.expert_ffn, config.hidden, gate_up));
  return plan->AddTransposed(experts + "down_proj", 1, config.hidden, config.expert_ffn, down);
}

}  // namespace

absl::Status BindHuggingFace(const TensorTable& table, ModelConfig* config, WeightPlan* plan,
                             ModelWeights* weights) {
  const std::string embed = "model.embed_tokens.weight";
  const std::string outer = table.find(kNestedPrefix + embed) != nullptr ? kNestedPrefix : "";
  const std::string model = outer + "model.";
  const int64_t hidden = config->hidden;
  const int64_t q_rows = config->n_heads * config->head_dim;
  const int64_t kv_rows = config->n_kv_heads * config->head_dim;
  SCOUT_RETURN_IF_ERROR(plan->AddMatrix(outer + embed, config->vocab, hidden, &weights->embedding));
  const std::string head = outer + "lm_head";
  // A file that says "tied" and has a head all the same is taken at its head.
  if (plan->HasModule(head)) config->tied_embeddings = false;
  if (!config->tied_embeddings) {
    SCOUT_RETURN_IF_ERROR(plan->AddLinear(head, config->vocab, hidden, &weights->head));
  }
  SCOUT_RETURN_IF_ERROR(plan->AddVector(model + "norm.weight", hidden, &weights->final_norm));

  weights->layers.resize(config->n_layers);  // targets point into it: not resized again
  for (int64_t i = 0; i < config->n_layers; ++i) {
    LayerWeights& layer = weights->layers[i];
    const std::string p = absl::StrCat(model, "layers.", i, ".");
    const std::string attn = p + "self_attn.";
    SCOUT_RETURN_IF_ERROR(plan->AddVector(p + "input_layernorm.weight", hidden, &layer.attn_norm));
    SCOUT_RETURN_IF_ERROR(plan->AddLinear(attn + "q_proj", q_rows, hidden, &layer.wq));
    SCOUT_RETURN_IF_ERROR(plan->AddLinear(attn + "k_proj", kv_rows, hidden, &layer.wk));
    SCOUT_RETURN_IF_ERROR(plan->AddLinear(attn + "v_proj", kv_rows, hidden, &layer.wv));
    SCOUT_RETURN_IF_ERROR(plan->AddLinear(attn + "o_proj", hidden, q_rows, &layer.wo));
    SCOUT_RETURN_IF_ERROR(
        plan->AddVector(p + "post_attention_layernorm.weight", hidden, &layer.ffn_norm));
    const std::string ffn = p + "feed_forward.";
    SCOUT_RETURN_IF_ERROR(config->layers[i].moe
                              ? BindExperts(*config, ffn, plan, &layer)
                              : BindFfn(ffn, config->dense_ffn, hidden, plan, &layer.dense));
  }
  return absl::OkStatus();
}

}  // namespace scout

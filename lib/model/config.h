// Configuration of a model, read from its metadata. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/format/gguf.h"
#include "lib/format/json.h"
#include "lib/util/status.h"

namespace scout {

struct RopeConfig {
  double theta = 500000;
  bool llama3_scaling = false;
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 1;
  int64_t original_context = 8192;
  // GGUF rope_freqs.weight, (head_dim / 2): divisors of the frequencies. Empty: the fields above.
  std::vector<float> divisors;
};

struct LayerConfig {
  bool global = false;  // no rope, whole context; else chunked with rope
  bool moe = true;
};

struct ModelConfig {
  std::string architecture;  // "llama4_text", as the file says
  int64_t hidden = 0, vocab = 0, context_length = 0;
  int64_t n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int64_t n_experts = 0, n_experts_used = 0;
  int64_t expert_ffn = 0;  // width of one routed expert
  int64_t shared_ffn = 0;  // width of the shared expert (of a MoE layer), 0 none
  int64_t dense_ffn = 0;   // width of a dense layer's FFN
  std::vector<LayerConfig> layers;
  double rms_eps = 1e-5;
  bool qk_norm = true;  // unit RMS of each head of q and k after rotation, in chunked layers
  bool attention_bias = false;
  bool tied_embeddings = false;
  RopeConfig rope;
  int64_t attention_chunk = 8192;
  bool temperature_tuning = true;
  double temperature_scale = 0.1;  // q *= 1 + scale * ln(1 + floor((p + 1) / floor))
  int64_t temperature_floor = 8192;

  int64_t n_global_layers() const;
  int64_t n_moe_layers() const;
  // (head_dim / 2), radians per token: angle(p, j) = p * inv_freq[j], scaling applied. llama3
  // scaling is that of Meta's reference: a smooth blend between the two borders.
  std::vector<double> InvFreq() const;
};

// What scout_model_options overrides; unset fields keep the file's value.
struct ConfigOverrides {
  int temperature_tuning = -1;     // -1 keep
  int64_t attention_chunk = -1;    // -1 keep
  double temperature_scale = -1;   // < 0 keep
  int64_t temperature_floor = -1;  // -1 keep
  double rope_theta = 0;           // <= 0 keep
  int rope_scaling = -1;           // -1 keep, 0 none, 1 llama3
  double rope_factor = 0, rope_low_freq_factor = 0, rope_high_freq_factor = 0;  // <= 0 keep
  int64_t rope_original_context = 0;                                            // <= 0 keep
};

// Whether sizes and constants are ones that the forward pass can run, with limits that hold before
// anything is allocated by them: Corrupt where they contradict each other, else Unsupported.
absl::Status CheckConfig(const ModelConfig& config);
// From config.json: Llama4ForCausalLM, or the text_config of Llama4ForConditionalGeneration; older
// (rope_scaling, torch_dtype) and newer (rope_parameters, dtype) key styles. Every size is checked.
absl::StatusOr<ModelConfig> ConfigFromJson(const Json& json);
// From the llama4.* keys of a GGUF file and its tensor table (rope_freqs.weight is read from it).
absl::StatusOr<ModelConfig> ConfigFromGguf(const Gguf& gguf);
// Applies overrides and checks the result (InvalidArgument; the config is then unchanged).
// rope_scaling 1 takes what is not given from the file, and needs a factor from one of them.
absl::Status ApplyOverrides(const ConfigOverrides& overrides, ModelConfig* config);
// A canonical text of every field that decides the output; the same fields give the same text.
std::string CanonicalText(const ModelConfig& config);

}  // namespace scout

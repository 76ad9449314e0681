// A Llama 4 model of a few kilobytes as files. SPDX-License-Identifier: Apache-2.0
#include "tests/model/small_model.h"

#include <fstream>
#include <sstream>

#include "tests/util/gguf_builder.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

constexpr int64_t kHidden = 8, kHeads = 2, kHeadDim = 4, kVocab = 16, kExperts = 2, kExpertFfn = 4,
                  kDenseFfn = 6;

// Values that every float type holds exactly, another for each place of each tensor.
std::vector<float> Values(size_t tensor, int64_t n) {
  std::vector<float> values(n);
  for (int64_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>((static_cast<int64_t>(tensor) * 37 + i * 5) % 241 - 120) / 64;
  }
  return values;
}

struct Adder {
  SmallModel* model;
  std::string type;
  void operator()(const std::string& name, std::vector<int64_t> shape) const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    model->tensors[name] = {type, std::move(shape), Values(model->tensors.size(), n)};
  }
};

kernels::QuantType TypeByName(const std::string& name) {
  for (int i = 0; i < static_cast<int>(kernels::QuantType::kCount); ++i) {
    const auto type = static_cast<kernels::QuantType>(i);
    if (name == kernels::quant_traits(type).name) return type;
  }
  return kernels::QuantType::kCount;
}

uint32_t GgufNumber(const std::string& name) {
  for (uint32_t i = 0; i < 64; ++i) {
    const char* known = kernels::gguf_type_name(i);
    if (known != nullptr && name == known) return i;
  }
  return 63;
}

}  // namespace

SmallModel SmallModel::HuggingFace(const std::string& type, bool fused) {
  SmallModel model;
  model.config = {{"model_type", "\"llama4_text\""},
                  {"hidden_size", "8"},
                  {"vocab_size", "16"},
                  {"num_hidden_layers", "2"},
                  {"num_attention_heads", "2"},
                  {"num_key_value_heads", "1"},
                  {"head_dim", "4"},
                  {"max_position_embeddings", "1024"},
                  {"intermediate_size", "4"},
                  {"intermediate_size_mlp", "6"},
                  {"num_local_experts", "2"},
                  {"num_experts_per_tok", "1"},
                  {"moe_layers", "[1]"},
                  {"no_rope_layers", "[1,0]"},
                  {"attention_chunk_size", "32"},
                  {"floor_scale", "16"},
                  {"attn_scale", "0.1"},
                  {"rope_theta", "10000.0"},
                  {"rms_norm_eps", "1e-5"},
                  {"tie_word_embeddings", "false"}};
  const Adder add{&model, type};
  add("model.embed_tokens.weight", {kVocab, kHidden});
  add("lm_head.weight", {kVocab, kHidden});
  add("model.norm.weight", {kHidden});
  for (int i = 0; i < 2; ++i) {
    const std::string p = "model.layers." + std::to_string(i) + ".";
    add(p + "input_layernorm.weight", {kHidden});
    add(p + "post_attention_layernorm.weight", {kHidden});
    add(p + "self_attn.q_proj.weight", {kHeads * kHeadDim, kHidden});
    add(p + "self_attn.k_proj.weight", {kHeadDim, kHidden});
    add(p + "self_attn.v_proj.weight", {kHeadDim, kHidden});
    add(p + "self_attn.o_proj.weight", {kHidden, kHeads * kHeadDim});
    const std::string f = p + "feed_forward.";
    const auto ffn = [&](const std::string& at, int64_t width) {
      add(at + "gate_proj.weight", {width, kHidden});
      add(at + "up_proj.weight", {width, kHidden});
      add(at + "down_proj.weight", {kHidden, width});
    };
    if (i == 0) {
      ffn(f, kDenseFfn);
      continue;
    }
    add(f + "router.weight", {kExperts, kHidden});
    ffn(f + "shared_expert.", kExpertFfn);
    if (fused) {
      add(f + "experts.gate_up_proj", {kExperts, kHidden, 2 * kExpertFfn});
      add(f + "experts.down_proj", {kExperts, kExpertFfn, kHidden});
    } else {
      for (int64_t e = 0; e < kExperts; ++e) {
        ffn(f + "experts." + std::to_string(e) + ".", kExpertFfn);
      }
    }
  }
  return model;
}

SmallModel SmallModel::Gguf() {
  SmallModel model;
  model.config = {{"block_count", "2"},
                  {"context_length", "1024"},
                  {"embedding_length", "8"},
                  {"feed_forward_length", "6"},
                  {"attention.head_count", "2"},
                  {"attention.head_count_kv", "1"},
                  {"attention.key_length", "4"},
                  {"attention.value_length", "4"},
                  {"rope.dimension_count", "4"},
                  {"vocab_size", "16"},
                  {"expert_count", "2"},
                  {"expert_used_count", "1"},
                  {"interleave_moe_layer_step", "2"},
                  {"expert_feed_forward_length", "4"}};
  const Adder add{&model, "F32"};
  add("token_embd.weight", {kVocab, kHidden});
  add("output.weight", {kVocab, kHidden});
  add("output_norm.weight", {kHidden});
  add("rope_freqs.weight", {kHeadDim / 2});
  model.tensors["rope_freqs.weight"].values = {1, 16};
  for (int i = 0; i < 2; ++i) {
    const std::string p = "blk." + std::to_string(i) + ".";
    add(p + "attn_norm.weight", {kHidden});
    add(p + "ffn_norm.weight", {kHidden});
    add(p + "attn_q.weight", {kHeads * kHeadDim, kHidden});
    add(p + "attn_k.weight", {kHeadDim, kHidden});
    add(p + "attn_v.weight", {kHeadDim, kHidden});
    add(p + "attn_output.weight", {kHidden, kHeads * kHeadDim});
    const auto ffn = [&](const std::string& kind, int64_t width) {
      add(p + "ffn_gate" + kind + ".weight", {width, kHidden});
      add(p + "ffn_up" + kind + ".weight", {width, kHidden});
      add(p + "ffn_down" + kind + ".weight", {kHidden, width});
    };
    if (i == 0) {
      ffn("", kDenseFfn);
      continue;
    }
    add(p + "ffn_gate_inp.weight", {kExperts, kHidden});
    ffn("_shexp", kExpertFfn);
    add(p + "ffn_gate_exps.weight", {kExperts, kExpertFfn, kHidden});
    add(p + "ffn_up_exps.weight", {kExperts, kExpertFfn, kHidden});
    add(p + "ffn_down_exps.weight", {kExperts, kHidden, kExpertFfn});
  }
  return model;
}

std::string SmallModel::ConfigJson() const {
  std::string text;
  for (const auto& [key, value] : config) {
    text += (text.empty() ? "{\"" : ",\"") + key + "\":" + value;
  }
  return text + "}";
}

std::string SmallModel::SafetensorsBytes() const {
  SafetensorsBuilder builder;
  for (const auto& [name, tensor] : tensors) {
    builder.Tensor(prefix + name, tensor.type, tensor.shape, Encode(tensor.type, tensor.values));
  }
  return builder.Build();
}

std::string SmallModel::GgufBytes(int part, int n_parts) const {
  GgufBuilder builder;
  if (part == 0) {
    builder.Text("general.architecture", "llama4");
    for (const auto& [key, value] : config) {
      builder.U32("llama4." + key, static_cast<uint32_t>(std::stoul(value)));
    }
  }
  if (n_parts > 1) {
    builder.Key("split.no", kGgufU16, Raw(static_cast<uint16_t>(part)));
    builder.Key("split.count", kGgufU16, Raw(static_cast<uint16_t>(n_parts)));
    builder.Key("split.tensors.count", kGgufI32, Raw(static_cast<int32_t>(tensors.size())));
  }
  int64_t i = 0;
  for (const auto& [name, tensor] : tensors) {
    if (i++ * n_parts / static_cast<int64_t>(tensors.size()) != part) continue;
    std::vector<uint64_t> dims(tensor.shape.rbegin(), tensor.shape.rend());
    builder.Tensor(name, dims, GgufNumber(tensor.type), Encode(tensor.type, tensor.values));
  }
  return builder.Build();
}

void SmallModel::WriteFolder(const Folder& folder) const {
  folder.Write("config.json", ConfigJson());
  folder.Write("model.safetensors", SafetensorsBytes());
}

std::string Encode(const std::string& type, const std::vector<float>& values) {
  const kernels::QuantType known = TypeByName(type);
  if (known == kernels::QuantType::kCount) return std::string(values.size() * 4, '\0');
  if (values.empty()) return "";
  const kernels::QuantTraits& traits = kernels::quant_traits(known);
  const int64_t n = static_cast<int64_t>(values.size());
  if (n % traits.block_elems != 0) return std::string(values.size(), '\0');
  std::string bytes(n / traits.block_elems * traits.block_bytes, '\0');
  traits.encode(values.data(), bytes.data(), n);
  return bytes;
}

std::vector<float> RowOf(const kernels::Matrix& matrix, int64_t row) {
  const kernels::QuantTraits& traits = kernels::quant_traits(matrix.type);
  std::vector<float> values(matrix.cols);
  traits.decode(static_cast<const uint8_t*>(matrix.data) + row * matrix.row_bytes, values.data(),
                matrix.cols);
  return values;
}

std::string GoldenPath(const std::string& name) {
  return std::string(SCOUT_SOURCE_DIR "/tests/golden/") + name;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  EXPECT_TRUE(in.good()) << path;
  return bytes.str();
}

void ExpectError(const absl::Status& status, absl::StatusCode code,
                 std::initializer_list<std::string> texts) {
  EXPECT_EQ(status.code(), code) << status;
  for (const std::string& text : texts) {
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos)
        << "\"" << text << "\" is not in: " << status;
  }
}

}  // namespace scout::test

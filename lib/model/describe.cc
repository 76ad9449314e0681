// The model as a message, and the message as JSON. SPDX-License-Identifier: Apache-2.0
#include "lib/format/byte_source.h"
#include "lib/model/json_writer.h"
#include "lib/model/model.h"
#include "lib/model/model_info.pb.h"

namespace scout {
namespace {

// Sizes are far below 2^31: CheckConfig holds their bounds.
int32_t Narrow(int64_t value) { return static_cast<int32_t>(value); }

void DescribeRope(const RopeConfig& rope, proto::RopeInfo* info) {
  info->set_theta(rope.theta);
  info->set_scaling(!rope.divisors.empty() ? "divisors" : rope.llama3_scaling ? "llama3" : "none");
  info->set_factor(rope.factor);
  info->set_low_freq_factor(rope.low_freq_factor);
  info->set_high_freq_factor(rope.high_freq_factor);
  info->set_original_context(rope.original_context);
  for (float divisor : rope.divisors) info->add_divisors(divisor);
}

void DescribeConfig(const ModelConfig& config, proto::ConfigInfo* info) {
  info->set_architecture(config.architecture);
  info->set_hidden_size(Narrow(config.hidden));
  info->set_vocab_size(Narrow(config.vocab));
  info->set_context_length(config.context_length);
  info->set_n_layers(Narrow(config.n_layers));
  for (int64_t i = 0; i < config.n_layers; ++i) {
    if (config.layers[i].global) info->add_global_layers(Narrow(i));
    if (config.layers[i].moe) info->add_moe_layers(Narrow(i));
  }
  info->set_rms_norm_eps(config.rms_eps);
  info->set_tied_embeddings(config.tied_embeddings);
  proto::AttentionInfo* attention = info->mutable_attention();
  attention->set_n_heads(Narrow(config.n_heads));
  attention->set_n_kv_heads(Narrow(config.n_kv_heads));
  attention->set_head_dim(Narrow(config.head_dim));
  attention->set_qk_norm(config.qk_norm);
  attention->set_chunk(config.attention_chunk);
  attention->set_temperature_tuning(config.temperature_tuning);
  attention->set_temperature_scale(config.temperature_scale);
  attention->set_temperature_floor(config.temperature_floor);
  proto::FfnInfo* ffn = info->mutable_ffn();
  ffn->set_n_experts(Narrow(config.n_experts));
  ffn->set_n_experts_used(Narrow(config.n_experts_used));
  ffn->set_expert_width(Narrow(config.expert_ffn));
  ffn->set_shared_width(Narrow(config.shared_ffn));
  ffn->set_dense_width(Narrow(config.dense_ffn));
  DescribeRope(config.rope, info->mutable_rope());
}

void DescribeTokenizer(const Tokenizer& tokenizer, proto::TokenizerInfo* info) {
  info->set_vocab_size(tokenizer.vocab_size());
  info->set_bos_token(tokenizer.bos());
  for (int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.IsEnd(Narrow(id))) info->add_end_tokens(Narrow(id));
  }
  info->set_digest(tokenizer.digest());
  info->set_chat_template(tokenizer.chat_template());
}

template <typename Values>
void WriteInts(const char* key, const Values& values, JsonWriter* out) {
  out->OpenArray(key, false);
  for (const auto value : values) out->Int({}, value);
  out->Close();
}

void WriteRope(const proto::RopeInfo& rope, JsonWriter* out) {
  out->OpenObject("rope");
  out->Number("theta", rope.theta());
  out->String("scaling", rope.scaling());
  out->Number("factor", rope.factor());
  out->Number("low_freq_factor", rope.low_freq_factor());
  out->Number("high_freq_factor", rope.high_freq_factor());
  out->Int("original_context", rope.original_context());
  out->OpenArray("divisors", false);
  for (const float divisor : rope.divisors()) out->Number({}, divisor);
  out->Close();
  out->Close();
}

void WriteConfig(const proto::ConfigInfo& config, JsonWriter* out) {
  out->OpenObject("config");
  out->String("architecture", config.architecture());
  out->Int("hidden_size", config.hidden_size());
  out->Int("vocab_size", config.vocab_size());
  out->Int("context_length", config.context_length());
  out->Int("n_layers", config.n_layers());
  WriteInts("global_layers", config.global_layers(), out);
  WriteInts("moe_layers", config.moe_layers(), out);
  out->Number("rms_norm_eps", config.rms_norm_eps());
  out->Bool("tied_embeddings", config.tied_embeddings());
  const proto::AttentionInfo& attention = config.attention();
  out->OpenObject("attention");
  out->Int("n_heads", attention.n_heads());
  out->Int("n_kv_heads", attention.n_kv_heads());
  out->Int("head_dim", attention.head_dim());
  out->Bool("qk_norm", attention.qk_norm());
  out->Int("chunk", attention.chunk());
  out->Bool("temperature_tuning", attention.temperature_tuning());
  out->Number("temperature_scale", attention.temperature_scale());
  out->Int("temperature_floor", attention.temperature_floor());
  out->Close();
  const proto::FfnInfo& ffn = config.ffn();
  out->OpenObject("ffn");
  out->Int("n_experts", ffn.n_experts());
  out->Int("n_experts_used", ffn.n_experts_used());
  out->Int("expert_width", ffn.expert_width());
  out->Int("shared_width", ffn.shared_width());
  out->Int("dense_width", ffn.dense_width());
  out->Close();
  WriteRope(config.rope(), out);
  out->Close();
}

// null where it is not known.
void WriteDigest(const char* key, const std::string& digest, JsonWriter* out) {
  digest.empty() ? out->Null(key) : out->String(key, digest);
}

void WriteModel(const proto::ModelInfo& info, JsonWriter* out) {
  out->OpenObject();
  out->String("path", info.path());
  out->String("format", info.format());
  WriteDigest("identity", info.identity(), out);
  WriteDigest("weights_digest", info.weights_digest(), out);
  out->Int("n_parameters", info.n_parameters());
  out->Int("weight_bytes", info.weight_bytes());
  out->OpenArray("tensor_types", true);
  for (const proto::TensorTypeInfo& type : info.tensor_types()) {
    out->OpenObject();
    out->String("type", type.type());
    out->Int("tensors", type.tensors());
    out->Int("bytes", type.bytes());
    out->Close();
  }
  out->Close();
  WriteConfig(info.config(), out);
  if (info.has_tokenizer()) {
    out->OpenObject("tokenizer");
    out->Int("vocab_size", info.tokenizer().vocab_size());
    out->Int("bos_token", info.tokenizer().bos_token());
    WriteInts("end_tokens", info.tokenizer().end_tokens(), out);
    out->String("digest", info.tokenizer().digest());
    out->String("chat_template", info.tokenizer().chat_template());
    out->Close();
  }
  out->Close();
}

}  // namespace

absl::StatusOr<std::string> Model::DescribeJson() const {
  proto::ModelInfo info;
  info.set_path(Printable(path_));  // JSON is UTF-8, a path need not be
  info.set_format(format_);
  info.set_identity(identity_);
  info.set_weights_digest(weights_digest_);
  info.set_n_parameters(n_parameters_);
  info.set_weight_bytes(weight_bytes_);
  // Room first: growing while it adds, protobuf would lose the element of a failed allocation.
  info.mutable_tensor_types()->Reserve(static_cast<int>(types_.size()));
  for (const TypeCount& count : types_) {
    proto::TensorTypeInfo* type = info.add_tensor_types();
    type->set_type(count.type);
    type->set_tensors(Narrow(count.tensors));
    type->set_bytes(count.bytes);
  }
  DescribeConfig(config_, info.mutable_config());
  if (tokenizer_ != nullptr) DescribeTokenizer(*tokenizer_, info.mutable_tokenizer());
  JsonWriter out;
  WriteModel(info, &out);
  return out.text() + "\n";
}

}  // namespace scout

// The model as JSON, through protobuf's own printer. SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "lib/format/byte_source.h"
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
}

}  // namespace

absl::StatusOr<std::string> Model::DescribeJson() const {
  // Every string is made valid UTF-8 first: protobuf would complain on stderr.
  proto::ModelInfo info;
  info.set_path(Printable(path_));
  info.set_format(format_);
  info.set_identity(identity_);
  info.set_n_parameters(n_parameters_);
  info.set_weight_bytes(weight_bytes_);
  for (const TypeCount& count : types_) {
    proto::TensorTypeInfo* type = info.add_tensor_types();
    type->set_type(count.type);
    type->set_tensors(Narrow(count.tensors));
    type->set_bytes(count.bytes);
  }
  DescribeConfig(config_, info.mutable_config());
  if (tokenizer_ != nullptr) DescribeTokenizer(*tokenizer_, info.mutable_tokenizer());

  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(info, &json, options);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat("printing the model as JSON: ", status.ToString()));
  }
  return json;
}

}  // namespace scout

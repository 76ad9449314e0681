// Configuration from a Hugging Face config.json. SPDX-License-Identifier: Apache-2.0
//
// A missing key takes the value that the reference implementation's configuration class gives it.
// The sizes of a plain text model must be there; inside text_config they may be missing too, since
// that implementation leaves out what equals its default when it saves a nested configuration.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "lib/format/byte_source.h"
#include "lib/model/config.h"

namespace scout {
namespace {

// Longest list of layers that is looked at: the check of the sizes comes later.
constexpr int64_t kMaxLayers = 4096;

// Reads members of one object; the first error sticks, so that a list of keys reads as a list.
class Reader {
 public:
  Reader(const Json& object, std::string where, bool sizes_may_miss)
      : object_(object), where_(std::move(where)), sizes_may_miss_(sizes_may_miss) {}

  const Json* Get(const char* key) const {
    const Json* value = object_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  int64_t Int(const char* key, int64_t fallback) {
    const Json* value = Get(key);
    if (value == nullptr) return fallback;
    if (value->is_int()) return value->as_int();
    const double number = value->is_number() ? value->as_double() : NAN;
    if (std::abs(number) < 9e15 && number == std::floor(number)) {
      return static_cast<int64_t>(number);
    }
    Fail(key, "is not an integer");
    return fallback;
  }

  // As Int, where null says something else than a missing key.
  int64_t IntOrNull(const char* key, int64_t missing, int64_t null) {
    return Int(key, object_.find(key) == nullptr ? missing : null);
  }

  int64_t Size(const char* key, int64_t fallback) {
    if (Get(key) == nullptr && !sizes_may_miss_) Fail(key, "is missing");
    return Int(key, fallback);
  }

  double Double(const char* key, double fallback) {
    const Json* value = Get(key);
    if (value == nullptr) return fallback;
    if (value->is_number()) return value->as_double();
    Fail(key, "is not a number");
    return fallback;
  }

  // Early Llama 4 files give a number where a flag is meant: anything but 0 is true.
  bool Bool(const char* key, bool fallback) {
    const Json* value = Get(key);
    if (value == nullptr) return fallback;
    if (value->is_bool()) return value->as_bool();
    if (value->is_number()) return value->as_double() != 0;
    Fail(key, "is not true or false");
    return fallback;
  }

  std::string String(const char* key, const char* fallback) {
    const Json* value = Get(key);
    if (value == nullptr) return fallback;
    if (value->is_string()) return Printable(value->as_string());
    Fail(key, "is not a string");
    return fallback;
  }

  const std::vector<Json>* Array(const char* key) {
    const Json* value = Get(key);
    if (value == nullptr) return nullptr;
    if (value->is_array()) return &value->items();
    Fail(key, "is not a list");
    return nullptr;
  }

  void Fail(const char* key, std::string_view reason) {
    if (status_.ok()) {
      status_ = AtPlace(CorruptError(absl::StrCat("\"", where_, key, "\" ", AbslView(reason))),
                        {.tensor = absl::StrCat(where_, key)});
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  const Json& object_;
  std::string where_;
  bool sizes_may_miss_;
  absl::Status status_;
};

// rope_parameters (newer), or rope_scaling and rope_theta beside it (older).
absl::Status ReadRope(Reader& text, const Json& object, int64_t context, RopeConfig* rope) {
  rope->theta = text.Double("rope_theta", 500000);
  const char* key = text.Get("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const Json* scaling = text.Get(key);
  if (scaling == nullptr) return text.status();
  if (!scaling->is_object()) {
    text.Fail(key, "is not an object");
    return text.status();
  }
  Reader in(*object.find(key), absl::StrCat(key, "."), true);
  rope->theta = in.Double("rope_theta", rope->theta);
  const std::string type = in.String("rope_type", in.String("type", "default").c_str());
  if (in.Double("partial_rotary_factor", 1) != 1) {
    return UnsupportedError("a rotation of a part of the head (partial_rotary_factor)");
  }
  if (type == "llama3") {
    rope->llama3_scaling = true;
    for (const char* needed : {"factor", "low_freq_factor", "high_freq_factor"}) {
      if (in.Get(needed) == nullptr) in.Fail(needed, "is missing");
    }
    rope->factor = in.Double("factor", 1);
    rope->low_freq_factor = in.Double("low_freq_factor", 1);
    rope->high_freq_factor = in.Double("high_freq_factor", 1);
    rope->original_context = in.Int("original_max_position_embeddings", context);
  } else if (in.status().ok() && type != "default") {
    return UnsupportedError(absl::StrCat("rope scaling of type \"", type, "\""));
  }
  return in.status();
}

// Which layers are global: no_rope_layers (0 marks one), else every interval-th. layer_types, where
// present, must say the same: a layer that rotates and sees everything is another architecture.
absl::Status ReadGlobalLayers(Reader& text, ModelConfig* config) {
  const std::vector<Json>* flags = text.Array("no_rope_layers");
  const int64_t interval = text.Int("no_rope_layer_interval", 4);
  const std::vector<Json>* types = text.Array("layer_types");
  SCOUT_RETURN_IF_ERROR(text.status());
  const bool by_flags = flags != nullptr && !flags->empty();
  if (by_flags && static_cast<int64_t>(flags->size()) < config->n_layers) {
    text.Fail("no_rope_layers",
              absl::StrCat("has ", flags->size(), " entries for ", config->n_layers, " layers"));
  }
  if (interval < 1) text.Fail("no_rope_layer_interval", "is below 1");
  if (types != nullptr && static_cast<int64_t>(types->size()) < config->n_layers) {
    text.Fail("layer_types",
              absl::StrCat("has ", types->size(), " entries for ", config->n_layers, " layers"));
  }
  SCOUT_RETURN_IF_ERROR(text.status());
  for (int64_t i = 0; i < config->n_layers; ++i) {
    bool& global = config->layers[i].global;
    global = (i + 1) % interval == 0;
    if (by_flags) {
      const Json& flag = (*flags)[i];
      if (!flag.is_bool() && !flag.is_int()) {
        text.Fail("no_rope_layers", absl::StrCat("has no 0 or 1 for layer ", i));
        return text.status();
      }
      global = flag.as_int() == 0;
    }
    if (types == nullptr) continue;
    const Json& type = (*types)[i];
    const bool full = type.is_string() && type.as_string() == "full_attention";
    if (!full && !(type.is_string() && type.as_string() == "chunked_attention")) {
      return UnsupportedError(
          absl::StrCat("the attention kind of layer ", i, ": ",
                       type.is_string() ? Printable(type.as_string()) : "not a string"));
    }
    if (full != global) {
      return UnsupportedError(absl::StrCat("layer ", i, ": ", full ? "full" : "chunked",
                                           " attention ", global ? "without" : "with",
                                           " rotary positions (layer_types, no_rope_layers)"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadMoeLayers(Reader& text, ModelConfig* config) {
  const std::vector<Json>* listed = text.Array("moe_layers");
  const int64_t step = text.Int("interleave_moe_layer_step", 1);
  SCOUT_RETURN_IF_ERROR(text.status());
  for (LayerConfig& layer : config->layers) layer.moe = false;
  if (listed != nullptr) {
    for (const Json& item : *listed) {
      if (!item.is_int() || item.as_int() < 0) {
        text.Fail("moe_layers", "has an entry that is no layer");
        return text.status();
      }
      if (item.as_int() < config->n_layers) config->layers[item.as_int()].moe = true;
    }
    return absl::OkStatus();
  }
  if (step < 0) text.Fail("interleave_moe_layer_step", "is negative");
  if (step > 0) {
    for (int64_t i = step - 1; i < config->n_layers; i += step) config->layers[i].moe = true;
  }
  return text.status();
}

absl::StatusOr<ModelConfig> ReadText(const Json& object, const Json& outer, bool nested) {
  Reader text(object, nested ? "text_config." : "", nested);
  ModelConfig config;
  config.architecture = text.String("model_type", "llama4_text");
  config.hidden = text.Size("hidden_size", 5120);
  config.vocab = text.Size("vocab_size", 202048);
  config.n_layers = text.Size("num_hidden_layers", 48);
  config.n_heads = text.Size("num_attention_heads", 40);
  config.n_kv_heads = text.IntOrNull("num_key_value_heads", 8, config.n_heads);
  config.context_length = text.Int("max_position_embeddings", 131072);
  config.head_dim =
      text.IntOrNull("head_dim", 128, config.n_heads < 1 ? 128 : config.hidden / config.n_heads);
  config.rms_eps = text.Double("rms_norm_eps", 1e-5);
  config.qk_norm = text.Bool("use_qk_norm", true);
  config.attention_bias = text.Bool("attention_bias", false);
  config.tied_embeddings = text.Bool("tie_word_embeddings", false);
  if (nested) {
    Reader whole(outer, "", true);
    config.tied_embeddings |= whole.Bool("tie_word_embeddings", false);
    SCOUT_RETURN_IF_ERROR(whole.status());
  }
  // null: no chunks, every layer sees the whole context.
  const Json* chunk = object.find("attention_chunk_size");
  config.attention_chunk = chunk != nullptr && chunk->is_null()
                               ? config.context_length
                               : text.Int("attention_chunk_size", 8192);
  config.temperature_tuning = text.Bool("attn_temperature_tuning", true);
  config.temperature_scale = text.Double("attn_scale", 0.1);
  config.temperature_floor = text.Int("floor_scale", 8192);
  const std::string activation = text.String("hidden_act", "silu");
  SCOUT_RETURN_IF_ERROR(text.status());
  if (activation != "silu") {
    return UnsupportedError(absl::StrCat("the activation \"", activation, "\" (not silu)"));
  }
  if (config.n_layers < 1 || config.n_layers > kMaxLayers) {
    text.Fail("num_hidden_layers",
              absl::StrCat("is ", config.n_layers, ", outside [1, ", kMaxLayers, "]"));
    return text.status();
  }
  config.layers.resize(config.n_layers);
  SCOUT_RETURN_IF_ERROR(ReadGlobalLayers(text, &config));
  SCOUT_RETURN_IF_ERROR(ReadMoeLayers(text, &config));
  SCOUT_RETURN_IF_ERROR(ReadRope(text, object, config.context_length, &config.rope));

  const int64_t n_moe = config.n_moe_layers();
  if (n_moe > 0) {
    config.n_experts = text.Size("num_local_experts", 16);
    config.n_experts_used = text.Int("num_experts_per_tok", 1);
    config.expert_ffn = text.Size("intermediate_size", 8192);
    config.shared_ffn = config.expert_ffn;
  }
  if (n_moe < config.n_layers) config.dense_ffn = text.Size("intermediate_size_mlp", 16384);
  SCOUT_RETURN_IF_ERROR(text.status());
  SCOUT_RETURN_IF_ERROR(CheckConfig(config));
  return config;
}

}  // namespace

absl::StatusOr<ModelConfig> ConfigFromJson(const Json& json) {
  if (!json.is_object()) return CorruptError("the configuration is not a JSON object");
  const Json* text = json.find("text_config");
  const bool nested = text != nullptr && text->is_object();
  if (!nested) text = &json;

  const Json* type = json.find("model_type");
  const std::string kind = type != nullptr && type->is_string() ? type->as_string() : "";
  if (kind != "llama4" && kind != "llama4_text") {
    if (kind.empty()) return UnsupportedError("a configuration without \"model_type\"");
    return UnsupportedError(absl::StrCat("model type \"", Printable(kind), "\" (not llama4)"));
  }
  if (kind == "llama4" && !nested) return CorruptError("\"text_config\" is missing");
  return ReadText(*text, json, nested);
}

}  // namespace scout

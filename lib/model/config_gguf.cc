// Configuration from the metadata of a GGUF file. SPDX-License-Identifier: Apache-2.0
//
// The format has no fields of its own for chunk size, temperature and the place of the global
// layers; general ones are used where a file has them, else the values every Llama 4 model has.
#include <cstring>

#include "absl/strings/str_cat.h"
#include "lib/format/byte_source.h"
#include "lib/model/config.h"

namespace scout {
namespace {

constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kExpertsWithoutQkNorm = 128;  // Maverick: the format's only sign of it

// Reads "llama4.*" keys; the first error sticks.
class Keys {
 public:
  explicit Keys(const Gguf& gguf) : gguf_(gguf) {}

  bool Has(std::string_view key) const { return gguf_.metadata.contains(key); }

  // An integer, or a list of equal ones (a value per layer).
  int64_t Int(const std::string& key, int64_t fallback) {
    if (!Has(key)) return fallback;
    if (const int64_t* value = gguf_.find_int(key)) return *value;
    const std::vector<int64_t>* values = gguf_.find_ints(key);
    if (values == nullptr || values->empty()) {
      Fail(key, "is not an integer");
      return fallback;
    }
    for (int64_t value : *values) {
      if (value == values->front()) continue;
      Unsupported(key, "differs from layer to layer");
      return fallback;
    }
    return values->front();
  }

  int64_t Needed(const std::string& key) {
    if (!Has(key)) Fail(key, "is missing");
    return Int(key, 0);
  }

  double Double(const std::string& key, double fallback) {
    double value = fallback;
    if (Has(key) && !gguf_.find_double(key, &value)) Fail(key, "is not a number");
    return value;
  }

  void Fail(const std::string& key, std::string_view reason) {
    if (status_.ok()) status_ = At(key, CorruptError(Text(key, reason)));
  }
  void Unsupported(const std::string& key, std::string_view reason) {
    if (status_.ok()) status_ = At(key, UnsupportedError(Text(key, reason)));
  }
  const absl::Status& status() const { return status_; }

 private:
  static std::string Text(const std::string& key, std::string_view reason) {
    return absl::StrCat("metadata key ", key, " ", AbslView(reason));
  }
  static absl::Status At(const std::string& key, absl::Status status) {
    return AtPlace(std::move(status), {.tensor = key});
  }
  const Gguf& gguf_;
  absl::Status status_;
};

absl::Status CheckKind(const Gguf& gguf, Keys& keys) {
  const std::string* architecture = gguf.find_string("general.architecture");
  if (architecture == nullptr) {
    return CorruptError("metadata key general.architecture is missing");
  }
  if (*architecture == "clip") {
    return UnsupportedError("this file holds an image encoder, not a language model");
  }
  if (*architecture != "llama4") {
    return UnsupportedError(
        absl::StrCat("architecture \"", Printable(*architecture), "\" (not llama4)"));
  }
  const std::string* scaling = gguf.find_string("llama4.rope.scaling.type");
  if (scaling != nullptr && *scaling != "none") {
    return UnsupportedError(absl::StrCat("rope scaling of type \"", Printable(*scaling), "\""));
  }
  return keys.status();
}

// rope_freqs.weight, the divisors of the frequencies: few enough to be part of the configuration.
absl::Status ReadDivisors(const Gguf& gguf, int64_t head_dim, std::vector<float>* divisors) {
  const TensorEntry* entry = gguf.table.find("rope_freqs.weight");
  if (entry == nullptr) return absl::OkStatus();
  const std::shared_ptr<const File>& file = gguf.table.files[entry->file];
  const ErrorPlace place{file->path(), entry->name, entry->offset};
  if (!entry->supported || entry->type != kernels::QuantType::kF32) {
    return AtPlace(UnsupportedError(absl::StrCat("rope_freqs.weight is of type ", entry->type_name,
                                                 ", not F32")),
                   place);
  }
  const int64_t n = head_dim / 2;
  if (entry->n_elements() != n || entry->nbytes != n * static_cast<int64_t>(sizeof(float))) {
    return AtPlace(CorruptError(absl::StrCat("rope_freqs.weight has ", entry->n_elements(),
                                             " values for a head of ", head_dim)),
                   place);
  }
  std::vector<unsigned char> bytes(entry->nbytes);
  SCOUT_RETURN_IF_ERROR(AtPlace(file->ReadAt(entry->offset, bytes.data(), entry->nbytes), place));
  divisors->resize(n);
  std::memcpy(divisors->data(), bytes.data(), bytes.size());
  return absl::OkStatus();
}

// Width of a matrix that a layer has, from its shape (rows), or 0.
int64_t RowsOf(const Gguf& gguf, const std::string& name) {
  const TensorEntry* entry = gguf.table.find(name);
  return entry == nullptr || entry->shape.size() < 2 ? 0 : entry->shape[entry->shape.size() - 2];
}

}  // namespace

absl::StatusOr<ModelConfig> ConfigFromGguf(const Gguf& gguf) {
  Keys keys(gguf);
  SCOUT_RETURN_IF_ERROR(CheckKind(gguf, keys));
  const std::string a = "llama4.";
  ModelConfig config;
  config.architecture = "llama4";
  config.n_layers = keys.Needed(a + "block_count");
  config.hidden = keys.Needed(a + "embedding_length");
  config.context_length = keys.Needed(a + "context_length");
  config.n_heads = keys.Needed(a + "attention.head_count");
  config.n_kv_heads = keys.Int(a + "attention.head_count_kv", config.n_heads);
  config.rms_eps = keys.Double(a + "attention.layer_norm_rms_epsilon", 1e-5);
  config.rope.theta = keys.Double(a + "rope.freq_base", 500000);
  config.vocab = keys.Int(a + "vocab_size", RowsOf(gguf, "token_embd.weight"));
  SCOUT_RETURN_IF_ERROR(keys.status());
  if (config.n_layers < 1 || config.n_layers > kMaxLayers) {
    keys.Fail(a + "block_count",
              absl::StrCat("is ", config.n_layers, ", outside [1, ", kMaxLayers, "]"));
    return keys.status();
  }
  config.head_dim =
      keys.Int(a + "attention.key_length", config.n_heads < 1 ? 0 : config.hidden / config.n_heads);
  if (keys.Int(a + "attention.value_length", config.head_dim) != config.head_dim) {
    keys.Unsupported(a + "attention.value_length", "differs from attention.key_length");
  }
  if (keys.Int(a + "rope.dimension_count", config.head_dim) != config.head_dim) {
    keys.Unsupported(a + "rope.dimension_count", "differs from the head size");
  }
  if (gguf.table.find("blk.0.attn_q.bias") != nullptr) config.attention_bias = true;
  config.tied_embeddings = gguf.table.find("output.weight") == nullptr;

  // A window of 0 says that no layer is chunked and all rotate.
  const int64_t window = keys.Int(a + "attention.sliding_window", 8192);
  const int64_t interval = keys.Int(a + "attention.sliding_window_pattern", 4);
  config.attention_chunk = window == 0 ? config.context_length : window;
  config.temperature_floor = keys.Int(a + "attention.temperature_length", 8192);
  config.temperature_scale = keys.Double(a + "attention.temperature_scale", 0.1);
  if (interval < 1) keys.Fail(a + "attention.sliding_window_pattern", "is below 1");

  config.n_experts = keys.Int(a + "expert_count", 0);
  config.qk_norm = config.n_experts != kExpertsWithoutQkNorm;
  const int64_t step = keys.Int(a + "interleave_moe_layer_step", 1);
  if (step < 0) keys.Fail(a + "interleave_moe_layer_step", "is negative");
  SCOUT_RETURN_IF_ERROR(keys.status());
  config.layers.resize(config.n_layers);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    config.layers[i].global = window != 0 && (i + 1) % interval == 0;
    config.layers[i].moe = config.n_experts > 0 && step > 0 && (i + 1) % step == 0;
  }

  const int64_t n_moe = config.n_moe_layers();
  if (n_moe > 0) {
    config.n_experts_used = keys.Int(a + "expert_used_count", 1);
    config.expert_ffn = keys.Needed(a + "expert_feed_forward_length");
    config.shared_ffn = keys.Int(a + "expert_shared_feed_forward_length", config.expert_ffn);
  } else {
    config.n_experts = 0;
  }
  if (n_moe < config.n_layers) config.dense_ffn = keys.Needed(a + "feed_forward_length");
  SCOUT_RETURN_IF_ERROR(keys.status());
  if (config.head_dim > 0 && config.head_dim <= 1024) {
    SCOUT_RETURN_IF_ERROR(ReadDivisors(gguf, config.head_dim, &config.rope.divisors));
  }
  SCOUT_RETURN_IF_ERROR(CheckConfig(config));
  return config;
}

}  // namespace scout

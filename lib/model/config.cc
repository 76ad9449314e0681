// Checks, overrides and derived values of a configuration. SPDX-License-Identifier: Apache-2.0
#include "lib/model/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace scout {
namespace {

// Bounds far above any Llama 4 model, low enough that no product below leaves int64.
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxHidden = int64_t{1} << 20;
constexpr int64_t kMaxHeads = int64_t{1} << 14;
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxExperts = int64_t{1} << 14;
constexpr int64_t kMaxFfn = int64_t{1} << 22;
constexpr int64_t kMaxPositions = int64_t{1} << 48;

absl::Status InRange(const char* what, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return CorruptError(absl::StrCat(what, " is ", value, ", outside [", low, ", ", high, "]"));
}

absl::Status Positive(const char* what, double value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return CorruptError(absl::StrCat(what, " is ", value, ", not a positive number"));
}

absl::Status CheckRope(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  SCOUT_RETURN_IF_ERROR(Positive("the rope base", rope.theta));
  if (!rope.divisors.empty() && static_cast<int64_t>(rope.divisors.size()) != config.head_dim / 2) {
    return CorruptError(absl::StrCat(rope.divisors.size(),
                                     " rope frequency divisors for a head of ", config.head_dim));
  }
  for (float divisor : rope.divisors) {
    SCOUT_RETURN_IF_ERROR(Positive("a rope frequency divisor", divisor));
  }
  if (!rope.llama3_scaling) return absl::OkStatus();
  SCOUT_RETURN_IF_ERROR(Positive("the rope scaling factor", rope.factor));
  SCOUT_RETURN_IF_ERROR(Positive("the rope low frequency factor", rope.low_freq_factor));
  SCOUT_RETURN_IF_ERROR(Positive("the rope high frequency factor", rope.high_freq_factor));
  SCOUT_RETURN_IF_ERROR(
      InRange("the rope original context", rope.original_context, 1, kMaxPositions));
  if (rope.high_freq_factor < rope.low_freq_factor) {
    return CorruptError(absl::StrCat("the rope high frequency factor ", rope.high_freq_factor,
                                     " is below the low frequency factor ", rope.low_freq_factor));
  }
  return absl::OkStatus();
}

absl::Status CheckFfn(const ModelConfig& config) {
  const int64_t n_moe = config.n_moe_layers();
  if (n_moe < config.n_layers) {
    SCOUT_RETURN_IF_ERROR(InRange("the dense feed-forward width", config.dense_ffn, 1, kMaxFfn));
  }
  if (n_moe == 0) return absl::OkStatus();
  SCOUT_RETURN_IF_ERROR(InRange("the number of experts", config.n_experts, 1, kMaxExperts));
  SCOUT_RETURN_IF_ERROR(InRange("the expert width", config.expert_ffn, 1, kMaxFfn));
  SCOUT_RETURN_IF_ERROR(InRange("the shared expert's width", config.shared_ffn, 0, kMaxFfn));
  if (config.n_experts_used < 1 || config.n_experts_used > config.n_experts) {
    return CorruptError(
        absl::StrCat(config.n_experts_used, " experts per token of ", config.n_experts));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t ModelConfig::n_global_layers() const {
  return std::count_if(layers.begin(), layers.end(), [](const LayerConfig& l) { return l.global; });
}

int64_t ModelConfig::n_moe_layers() const {
  return std::count_if(layers.begin(), layers.end(), [](const LayerConfig& l) { return l.moe; });
}

std::vector<double> ModelConfig::InvFreq() const {
  std::vector<double> inv_freq(head_dim / 2);
  for (int64_t j = 0; j < head_dim / 2; ++j) {
    const double plain =
        std::pow(rope.theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim));
    inv_freq[j] = plain;
    if (!rope.divisors.empty()) {
      inv_freq[j] = plain / rope.divisors[j];
    } else if (rope.llama3_scaling) {
      // Long waves are slowed down by the factor, short ones kept, those between blended.
      const double wavelength = 2 * std::numbers::pi / plain;
      const double context = static_cast<double>(rope.original_context);
      const double low_border = context / rope.low_freq_factor;
      const double high_border = context / rope.high_freq_factor;
      if (wavelength > low_border) {
        inv_freq[j] = plain / rope.factor;
      } else if (wavelength >= high_border && low_border > high_border) {
        const double smooth = (context / wavelength - rope.low_freq_factor) /
                              (rope.high_freq_factor - rope.low_freq_factor);
        inv_freq[j] = (1 - smooth) * plain / rope.factor + smooth * plain;
      }
    }
  }
  return inv_freq;
}

absl::Status CheckConfig(const ModelConfig& config) {
  SCOUT_RETURN_IF_ERROR(InRange("the number of layers", config.n_layers, 1, kMaxLayers));
  if (static_cast<int64_t>(config.layers.size()) != config.n_layers) {
    return CorruptError("the layer kinds do not cover the layers");
  }
  SCOUT_RETURN_IF_ERROR(InRange("the hidden size", config.hidden, 1, kMaxHidden));
  SCOUT_RETURN_IF_ERROR(InRange("the vocabulary size", config.vocab, 1, kMaxVocab));
  SCOUT_RETURN_IF_ERROR(InRange("the context length", config.context_length, 1, kMaxPositions));
  SCOUT_RETURN_IF_ERROR(InRange("the number of heads", config.n_heads, 1, kMaxHeads));
  SCOUT_RETURN_IF_ERROR(InRange("the number of key heads", config.n_kv_heads, 1, kMaxHeads));
  SCOUT_RETURN_IF_ERROR(InRange("the head size", config.head_dim, 1, kMaxHeadDim));
  if (config.head_dim % 2 != 0) {
    return UnsupportedError(absl::StrCat("the head size ", config.head_dim, " is odd"));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    return CorruptError(absl::StrCat(config.n_heads, " query heads are no multiple of ",
                                     config.n_kv_heads, " key heads"));
  }
  if (config.attention_bias) {
    return UnsupportedError(
        "attention with bias terms: no Llama 4 model has them and the forward pass adds none");
  }
  SCOUT_RETURN_IF_ERROR(CheckFfn(config));
  SCOUT_RETURN_IF_ERROR(CheckRope(config));
  SCOUT_RETURN_IF_ERROR(Positive("the norm epsilon", config.rms_eps));
  SCOUT_RETURN_IF_ERROR(InRange("the attention chunk", config.attention_chunk, 1, kMaxPositions));
  if (!std::isfinite(config.temperature_scale)) {
    return CorruptError("the attention temperature scale is not a finite number");
  }
  SCOUT_RETURN_IF_ERROR(
      InRange("the attention temperature floor", config.temperature_floor, 1, kMaxPositions));
  for (double frequency : config.InvFreq()) {
    if (!std::isfinite(frequency)) {
      return CorruptError("the rope settings give a frequency that is not a finite number");
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyOverrides(const ConfigOverrides& overrides, ModelConfig* config) {
  const auto invalid = [](const char* what, double value) {
    return absl::InvalidArgumentError(absl::StrCat("override ", what, " cannot be ", value));
  };
  const auto bad_number = [](double value) { return !std::isfinite(value); };
  ModelConfig out = *config;
  if (overrides.temperature_tuning < -1 || overrides.temperature_tuning > 1) {
    return invalid("temperature_tuning", overrides.temperature_tuning);
  }
  if (overrides.temperature_tuning >= 0) out.temperature_tuning = overrides.temperature_tuning == 1;

  struct Count {
    const char* name;
    int64_t value, keep;  // keep: what leaves the file's value; other values below 1 are refused
    int64_t* target;
  };
  for (const Count& c :
       {Count{"attention_chunk", overrides.attention_chunk, -1, &out.attention_chunk},
        Count{"temperature_floor", overrides.temperature_floor, -1, &out.temperature_floor}}) {
    if (c.value == c.keep) continue;
    if (c.value < 1 || c.value > kMaxPositions) {
      return invalid(c.name, static_cast<double>(c.value));
    }
    *c.target = c.value;
  }
  if (bad_number(overrides.temperature_scale)) {
    return invalid("temperature_scale", overrides.temperature_scale);
  }
  if (overrides.temperature_scale >= 0) out.temperature_scale = overrides.temperature_scale;

  if (bad_number(overrides.rope_theta)) return invalid("rope_theta", overrides.rope_theta);
  if (overrides.rope_theta > 0) {
    if (!out.rope.divisors.empty() && overrides.rope_scaling < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "override rope_theta needs rope_scaling beside it: rope_freqs.weight of this "
          "file was made for theta ",
          out.rope.theta));
    }
    out.rope.theta = overrides.rope_theta;
  }
  if (overrides.rope_scaling < -1 || overrides.rope_scaling > 1) {
    return invalid("rope_scaling", overrides.rope_scaling);
  }
  if (overrides.rope_scaling >= 0) {
    if (overrides.rope_scaling == 1 && !out.rope.llama3_scaling && !(overrides.rope_factor > 0)) {
      return absl::InvalidArgumentError(
          "override rope_scaling llama3 needs rope_factor: the file has none");
    }
    out.rope.llama3_scaling = overrides.rope_scaling == 1;
    out.rope.divisors.clear();
  }
  struct Number {
    const char* name;
    double value;
    double* target;
  };
  bool scaled = overrides.rope_original_context > 0;
  for (const Number& n :
       {Number{"rope_factor", overrides.rope_factor, &out.rope.factor},
        Number{"rope_low_freq_factor", overrides.rope_low_freq_factor, &out.rope.low_freq_factor},
        Number{"rope_high_freq_factor", overrides.rope_high_freq_factor,
               &out.rope.high_freq_factor}}) {
    if (bad_number(n.value)) return invalid(n.name, n.value);
    if (n.value <= 0) continue;
    *n.target = n.value;
    scaled = true;
  }
  if (overrides.rope_original_context > 0) {
    out.rope.original_context = overrides.rope_original_context;
  }
  if (scaled && !out.rope.llama3_scaling) {
    return absl::InvalidArgumentError(
        "overrides of rope scaling values need rope_scaling llama3: the file does not scale so");
  }
  if (absl::Status status = CheckConfig(out); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("overrides: ", status.message()));
  }
  *config = std::move(out);
  return absl::OkStatus();
}

std::string CanonicalText(const ModelConfig& config) {
  std::string text = "scout model 1\n";
  const auto count = [&](const char* name, int64_t value) {
    absl::StrAppend(&text, name, " ", value, "\n");
  };
  const auto number = [&](const char* name, double value) {
    char digits[32];  // the shortest text that gives the same bits back
    const char* end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    absl::StrAppend(&text, name, " ", absl::string_view(digits, end - digits), "\n");
  };
  count("hidden", config.hidden);
  count("vocab", config.vocab);
  count("layers", config.n_layers);
  count("heads", config.n_heads);
  count("kv_heads", config.n_kv_heads);
  count("head_dim", config.head_dim);
  count("experts", config.n_experts);
  count("experts_used", config.n_experts_used);
  count("expert_ffn", config.expert_ffn);
  count("shared_ffn", config.shared_ffn);
  count("dense_ffn", config.dense_ffn);
  text += "kinds ";  // g global, c chunked; m mixture of experts, d dense
  for (const LayerConfig& layer : config.layers) {
    text += layer.global ? 'g' : 'c';
    text += layer.moe ? 'm' : 'd';
  }
  text += '\n';
  number("rms_eps", config.rms_eps);
  count("qk_norm", config.qk_norm);
  count("tied", config.tied_embeddings);
  count("chunk", config.attention_chunk);
  count("temperature", config.temperature_tuning);
  number("temperature_scale", config.temperature_scale);
  count("temperature_floor", config.temperature_floor);
  number("rope_theta", config.rope.theta);
  count("rope_llama3", config.rope.llama3_scaling);
  if (config.rope.llama3_scaling) {
    number("rope_factor", config.rope.factor);
    number("rope_low", config.rope.low_freq_factor);
    number("rope_high", config.rope.high_freq_factor);
    count("rope_context", config.rope.original_context);
  }
  for (float divisor : config.rope.divisors) number("rope_divisor", divisor);
  return text;
}

}  // namespace scout

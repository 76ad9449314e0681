// Overrides, frequencies, canonical text; GGUF configuration. SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "tests/model/small_model.h"
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

using absl::StatusCode;

ModelConfig Base() {
  auto json = ParseJson(SmallModel::HuggingFace().ConfigJson());
  return ConfigFromJson(*json).value();
}

// ---- Frequencies ------------------------------------------------------------------------------

void ExpectNear(const std::vector<double>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t j = 0; j < got.size(); ++j) EXPECT_NEAR(got[j], want[j], 1e-6 * want[j]) << j;
}

ModelConfig RopeOfHead32(double factor, double low, double high) {
  ModelConfig config = Base();
  config.head_dim = 32;
  config.rope = {.theta = 500000,
                 .llama3_scaling = factor != 1,
                 .factor = factor,
                 .low_freq_factor = low,
                 .high_freq_factor = high,
                 .original_context = 8192,
                 .divisors = {}};
  return config;
}

// The numbers are those of the transformers package (float32).
TEST(InvFreq, EqualBordersCutHard) {
  ExpectNear(RopeOfHead32(16, 1, 1).InvFreq(),
             {1.0, 0.440366626, 0.193922758, 0.0853971019, 0.0376060307, 0.0165604409,
              0.00729266508, 0.00321144611, 0.00141421345, 3.89232773e-05, 1.71405118e-05,
              7.5481089e-06, 3.32393483e-06, 1.46374987e-06, 6.44586578e-07, 2.83854405e-07});
}

TEST(InvFreq, BlendsBetweenTheBorders) {
  ExpectNear(RopeOfHead32(8, 1, 4).InvFreq(),
             {1.0, 0.440366626, 0.193922758, 0.0853971019, 0.0376060307, 0.0165604409,
              0.00729266508, 0.00321144611, 0.000524846022, 7.78465546e-05, 3.42810235e-05,
              1.50962178e-05, 6.64786967e-06, 2.92749974e-06, 1.28917316e-06, 5.6770881e-07});
}

TEST(InvFreq, PlainAndDivisors) {
  ModelConfig config = RopeOfHead32(1, 1, 1);
  const std::vector<double> plain = config.InvFreq();
  for (int j = 0; j < 16; ++j) EXPECT_DOUBLE_EQ(plain[j], std::pow(500000.0, -j / 16.0)) << j;
  config.rope.divisors.assign(16, 1.0f);
  config.rope.divisors[3] = 16;
  const std::vector<double> divided = config.InvFreq();
  EXPECT_DOUBLE_EQ(divided[2], plain[2]);
  EXPECT_DOUBLE_EQ(divided[3], plain[3] / 16);
}

// ---- Overrides --------------------------------------------------------------------------------

TEST(Overrides, NothingSetKeepsEverything) {
  ModelConfig config = Base();
  const std::string before = CanonicalText(config);
  ASSERT_TRUE(ApplyOverrides({}, &config).ok());
  EXPECT_EQ(CanonicalText(config), before);
}

TEST(Overrides, EachChangesItsFieldAndTheText) {
  ModelConfig scaled = Base();
  scaled.rope.llama3_scaling = true;
  scaled.rope.factor = 8;
  scaled.rope.high_freq_factor = 4;
  struct Case {
    ConfigOverrides overrides;
    std::function<bool(const ModelConfig&)> done;
  };
  const std::vector<Case> cases = {
      {{.temperature_tuning = 0}, [](const auto& c) { return !c.temperature_tuning; }},
      {{.attention_chunk = 64}, [](const auto& c) { return c.attention_chunk == 64; }},
      {{.temperature_scale = 0}, [](const auto& c) { return c.temperature_scale == 0; }},
      {{.temperature_scale = 0.25}, [](const auto& c) { return c.temperature_scale == 0.25; }},
      {{.temperature_floor = 17}, [](const auto& c) { return c.temperature_floor == 17; }},
      {{.rope_theta = 500}, [](const auto& c) { return c.rope.theta == 500; }},
      {{.rope_scaling = 0}, [](const auto& c) { return !c.rope.llama3_scaling; }},
      {{.rope_factor = 3}, [](const auto& c) { return c.rope.factor == 3; }},
      {{.rope_low_freq_factor = 2}, [](const auto& c) { return c.rope.low_freq_factor == 2; }},
      {{.rope_high_freq_factor = 5}, [](const auto& c) { return c.rope.high_freq_factor == 5; }},
      {{.rope_original_context = 9}, [](const auto& c) { return c.rope.original_context == 9; }},
  };
  std::set<std::string> texts = {CanonicalText(scaled)};
  for (size_t i = 0; i < cases.size(); ++i) {
    ModelConfig config = scaled;
    ASSERT_TRUE(ApplyOverrides(cases[i].overrides, &config).ok()) << i;
    EXPECT_TRUE(cases[i].done(config)) << i;
    EXPECT_TRUE(texts.insert(CanonicalText(config)).second) << i;
  }
  ModelConfig off = scaled;
  off.temperature_tuning = false;
  ASSERT_TRUE(ApplyOverrides({.temperature_tuning = 1}, &off).ok());
  EXPECT_TRUE(off.temperature_tuning);
}

TEST(Overrides, ScalingReplacesDivisors) {
  ModelConfig config = Base();
  config.rope.divisors = {1, 16};
  ASSERT_TRUE(ApplyOverrides({.rope_scaling = 1, .rope_factor = 16}, &config).ok());
  EXPECT_TRUE(config.rope.divisors.empty());
  EXPECT_TRUE(config.rope.llama3_scaling);
  EXPECT_EQ(config.rope.factor, 16);
  EXPECT_EQ(config.rope.original_context, 8192);
  config.rope.divisors = {1, 16};
  config.rope.llama3_scaling = false;
  ASSERT_TRUE(ApplyOverrides({.rope_scaling = 0}, &config).ok());
  EXPECT_TRUE(config.rope.divisors.empty());
}

TEST(Overrides, BadValuesChangeNothing) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double nan = std::nan("");
  const std::vector<std::pair<ConfigOverrides, const char*>> cases = {
      {{.temperature_tuning = 2}, "temperature_tuning"},
      {{.temperature_tuning = -2}, "temperature_tuning"},
      {{.attention_chunk = 0}, "attention_chunk"},
      {{.attention_chunk = -2}, "attention_chunk"},
      {{.attention_chunk = std::numeric_limits<int64_t>::max()}, "attention_chunk"},
      {{.temperature_scale = nan}, "temperature_scale"},
      {{.temperature_scale = kInf}, "temperature_scale"},
      {{.temperature_floor = 0}, "temperature_floor"},
      {{.temperature_floor = -7}, "temperature_floor"},
      {{.rope_theta = nan}, "rope_theta"},
      {{.rope_theta = kInf}, "rope_theta"},
      {{.rope_scaling = 2}, "rope_scaling"},
      {{.rope_scaling = -2}, "rope_scaling"},
      {{.rope_scaling = 1}, "rope_factor"},       // the file has no factor
      {{.rope_factor = 2}, "need rope_scaling"},  // and does not scale
      {{.rope_original_context = 64}, "need rope_scaling"},
      {{.rope_scaling = 0, .rope_factor = 2}, "need rope_scaling"},
      {{.rope_scaling = 1, .rope_factor = nan}, "rope_factor"},
      {{.rope_scaling = 1, .rope_factor = kInf}, "rope_factor"},
      {{.rope_scaling = 1, .rope_factor = 2, .rope_low_freq_factor = nan}, "rope_low_freq_factor"},
      {{.rope_scaling = 1, .rope_factor = 2, .rope_low_freq_factor = 4}, "below the low"},
      {{.rope_scaling = 1, .rope_factor = 2, .rope_high_freq_factor = kInf}, "high_freq_factor"},
      {{.rope_scaling = 1, .rope_factor = 2, .rope_original_context = int64_t{1} << 60},
       "original context"},
  };
  for (const auto& [overrides, text] : cases) {
    ModelConfig config = Base();
    const std::string before = CanonicalText(config);
    ExpectError(ApplyOverrides(overrides, &config), StatusCode::kInvalidArgument, {text});
    EXPECT_EQ(CanonicalText(config), before) << text;
  }
}

TEST(CanonicalText, EveryDecidingFieldIsInIt) {
  const std::vector<std::function<void(ModelConfig*)>> changes = {
      [](auto* c) { c->hidden = 16; },
      [](auto* c) { c->vocab = 17; },
      [](auto* c) { c->n_heads = 4; },
      [](auto* c) { c->n_kv_heads = 2; },
      [](auto* c) { c->head_dim = 8; },
      [](auto* c) { c->n_experts = 3; },
      [](auto* c) { c->n_experts_used = 2; },
      [](auto* c) { c->expert_ffn = 5; },
      [](auto* c) { c->shared_ffn = 0; },
      [](auto* c) { c->dense_ffn = 7; },
      [](auto* c) { c->layers[0].global = true; },
      [](auto* c) { c->layers[0].moe = true; },
      [](auto* c) { c->rms_eps = 1e-6; },
      [](auto* c) { c->qk_norm = false; },
      [](auto* c) { c->tied_embeddings = true; },
      [](auto* c) {
        c->rope.divisors = {1, 2};
      },
      [](auto* c) {
        c->rope.divisors = {1, std::nextafter(2.0f, 3.0f)};
      },
      [](auto* c) { c->rope.theta = std::nextafter(c->rope.theta, 1e9); },
  };
  std::set<std::string> texts = {CanonicalText(Base())};
  for (size_t i = 0; i < changes.size(); ++i) {
    ModelConfig config = Base();
    changes[i](&config);
    EXPECT_TRUE(texts.insert(CanonicalText(config)).second) << i;
  }
  ModelConfig other = Base();
  other.context_length = 4096;  // decides nothing about a token that fits
  EXPECT_EQ(CanonicalText(other), CanonicalText(Base()));
}

// ---- GGUF -------------------------------------------------------------------------------------

absl::StatusOr<ModelConfig> FromGguf(const std::string& bytes) {
  Folder folder;
  auto gguf = ReadGguf(folder.Write("m.gguf", bytes));
  if (!gguf.ok()) return gguf.status();
  return ConfigFromGguf(*gguf);
}

absl::StatusOr<ModelConfig> GgufWith(const char* key, const char* value) {
  SmallModel model = SmallModel::Gguf();
  if (*value == '\0') {
    model.config.erase(key);
  } else {
    model.config[key] = value;
  }
  return FromGguf(model.GgufBytes());
}

TEST(ConfigGguf, ReadsEveryKey) {
  auto config = FromGguf(SmallModel::Gguf().GgufBytes());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "llama4");
  EXPECT_EQ(config->hidden, 8);
  EXPECT_EQ(config->vocab, 16);
  EXPECT_EQ(config->context_length, 1024);
  EXPECT_EQ(config->n_heads, 2);
  EXPECT_EQ(config->n_kv_heads, 1);
  EXPECT_EQ(config->head_dim, 4);
  EXPECT_EQ(config->n_experts, 2);
  EXPECT_EQ(config->expert_ffn, 4);
  EXPECT_EQ(config->shared_ffn, 4);
  EXPECT_EQ(config->dense_ffn, 6);
  EXPECT_FALSE(config->layers[0].moe);
  EXPECT_TRUE(config->layers[1].moe);
  EXPECT_EQ(config->n_global_layers(), 0);  // every fourth of two
  EXPECT_TRUE(config->qk_norm);
  EXPECT_EQ(config->attention_chunk, 8192);
  EXPECT_EQ(config->temperature_floor, 8192);
  EXPECT_EQ(config->temperature_scale, 0.1);
  EXPECT_TRUE(config->temperature_tuning);
  EXPECT_EQ(config->rope.divisors, (std::vector<float>{1, 16}));
  EXPECT_EQ(config->rope.theta, 500000);
}

TEST(ConfigGguf, KnownVariants) {
  EXPECT_FALSE(GgufWith("expert_count", "128")->qk_norm);
  EXPECT_TRUE(GgufWith("expert_count", "127")->qk_norm);
  EXPECT_EQ(GgufWith("expert_count", "0")->n_moe_layers(), 0);
  EXPECT_EQ(GgufWith("vocab_size", "")->vocab, 16);  // from the embedding
  EXPECT_EQ(GgufWith("attention.head_count_kv", "")->n_kv_heads, 2);
  EXPECT_EQ(GgufWith("attention.sliding_window", "64")->attention_chunk, 64);
  EXPECT_EQ(GgufWith("attention.sliding_window", "0")->attention_chunk, 1024);
  EXPECT_EQ(GgufWith("attention.sliding_window_pattern", "2")->n_global_layers(), 1);
  EXPECT_EQ(GgufWith("attention.temperature_length", "77")->temperature_floor, 77);
}

TEST(ConfigGguf, BadValuesAreRefused) {
  struct Case {
    const char *key, *value;
    StatusCode code;
    const char* text;
  };
  for (const Case& c : {Case{"block_count", "", StatusCode::kDataLoss, "block_count is missing"},
                        Case{"block_count", "0", StatusCode::kDataLoss, "block_count"},
                        Case{"block_count", "4294967295", StatusCode::kDataLoss, "block_count"},
                        Case{"embedding_length", "", StatusCode::kDataLoss, "embedding_length"},
                        Case{"embedding_length", "0", StatusCode::kDataLoss, "hidden size"},
                        Case{"context_length", "", StatusCode::kDataLoss, "context_length"},
                        Case{"context_length", "0", StatusCode::kDataLoss, "context length"},
                        Case{"attention.head_count", "", StatusCode::kDataLoss, "head_count"},
                        Case{"attention.head_count", "0", StatusCode::kDataLoss, "heads"},
                        Case{"attention.head_count_kv", "3", StatusCode::kDataLoss, "no multiple"},
                        Case{"attention.key_length", "6", StatusCode::kUnimplemented, "length"},
                        Case{"attention.key_length", "4000000000", StatusCode::kUnimplemented, ""},
                        Case{"attention.value_length", "8", StatusCode::kUnimplemented, "value"},
                        Case{"rope.dimension_count", "2", StatusCode::kUnimplemented, "rope."},
                        Case{"expert_used_count", "3", StatusCode::kDataLoss, "experts per token"},
                        Case{"expert_feed_forward_length", "", StatusCode::kDataLoss, "expert"},
                        Case{"feed_forward_length", "", StatusCode::kDataLoss, "feed_forward_"},
                        Case{"feed_forward_length", "0", StatusCode::kDataLoss, "dense"},
                        Case{"attention.sliding_window_pattern", "0", StatusCode::kDataLoss, ""},
                        Case{"attention.temperature_length", "0", StatusCode::kDataLoss, ""}}) {
    ExpectError(GgufWith(c.key, c.value).status(), c.code, {c.text});
  }
}

TEST(ConfigGguf, KindOfFile) {
  ExpectError(FromGguf(GgufBuilder().U32("x", 1).Build()).status(), StatusCode::kDataLoss,
              {"general.architecture"});
  ExpectError(FromGguf(GgufBuilder().Text("general.architecture", "llama").Build()).status(),
              StatusCode::kUnimplemented, {"\"llama\""});
  ExpectError(FromGguf(GgufBuilder().Text("general.architecture", "clip").Build()).status(),
              StatusCode::kUnimplemented, {"image"});
}

TEST(ConfigGguf, DivisorsMustFitTheHead) {
  SmallModel model = SmallModel::Gguf();
  model.tensors["rope_freqs.weight"] = {"F32", {3}, {1, 1, 1}};
  ExpectError(FromGguf(model.GgufBytes()).status(), StatusCode::kDataLoss, {"3 values"});
  model.tensors["rope_freqs.weight"] = {"F32", {2}, {1, 0}};
  ExpectError(FromGguf(model.GgufBytes()).status(), StatusCode::kDataLoss, {"divisor is 0"});
  model.tensors["rope_freqs.weight"] = {"F32", {2}, {1, std::nanf("")}};
  ExpectError(FromGguf(model.GgufBytes()).status(), StatusCode::kDataLoss, {"divisor"});
  model.tensors["rope_freqs.weight"] = {"F16", {2}, {1, 1}};
  ExpectError(FromGguf(model.GgufBytes()).status(), StatusCode::kUnimplemented, {"F16"});
  model.tensors.erase("rope_freqs.weight");
  EXPECT_TRUE(FromGguf(model.GgufBytes())->rope.divisors.empty());
}

}  // namespace
}  // namespace scout::test

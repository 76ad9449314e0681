// config.json -> ModelConfig: key styles, defaults, values that must be refused.
// SPDX-License-Identifier: Apache-2.0
#include "tests/model/small_model.h"

namespace scout::test {
namespace {

using absl::StatusCode;

absl::StatusOr<ModelConfig> Parse(const std::string& text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << json.status();
  return ConfigFromJson(*json);
}

// The small model's configuration with some members replaced; an empty text takes one out.
absl::StatusOr<ModelConfig> With(
    std::initializer_list<std::pair<const char*, const char*>> members) {
  SmallModel model = SmallModel::HuggingFace();
  for (const auto& [key, value] : members) {
    if (*value == '\0') {
      model.config.erase(key);
    } else {
      model.config[key] = value;
    }
  }
  return Parse(model.ConfigJson());
}

TEST(ConfigJson, ReadsOlderKeys) {
  auto config = Parse(ReadFile(GoldenPath("scout-small/config.json")));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "llama4_text");
  EXPECT_EQ(config->hidden, 64);
  EXPECT_EQ(config->vocab, 512);
  EXPECT_EQ(config->context_length, 10485760);
  EXPECT_EQ(config->n_layers, 4);
  EXPECT_EQ(config->n_heads, 2);
  EXPECT_EQ(config->n_kv_heads, 1);
  EXPECT_EQ(config->head_dim, 32);
  EXPECT_EQ(config->n_experts, 4);
  EXPECT_EQ(config->n_experts_used, 1);
  EXPECT_EQ(config->expert_ffn, 96);
  EXPECT_EQ(config->shared_ffn, 96);
  EXPECT_EQ(config->dense_ffn, 0);  // no dense layer
  EXPECT_EQ(config->rms_eps, 1e-5);
  EXPECT_TRUE(config->qk_norm);
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_EQ(config->attention_chunk, 8192);
  EXPECT_TRUE(config->temperature_tuning);
  EXPECT_EQ(config->temperature_scale, 0.1);
  EXPECT_EQ(config->temperature_floor, 8192);
  EXPECT_EQ(config->rope.theta, 500000);
  EXPECT_TRUE(config->rope.llama3_scaling);
  EXPECT_EQ(config->rope.factor, 16);
  EXPECT_EQ(config->rope.original_context, 8192);
  EXPECT_EQ(config->n_global_layers(), 1);
  EXPECT_TRUE(config->layers[3].global);
  EXPECT_EQ(config->n_moe_layers(), 4);
}

TEST(ConfigJson, ReadsNewerKeys) {
  auto config = Parse(ReadFile(GoldenPath("scout-tiny-bf16/config.json")));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rope.theta, 500000);
  EXPECT_TRUE(config->rope.llama3_scaling);
  EXPECT_EQ(config->rope.factor, 16);
  EXPECT_EQ(config->attention_chunk, 32);
  EXPECT_EQ(config->temperature_floor, 16);
  EXPECT_EQ(config->n_global_layers(), 2);
}

TEST(ConfigJson, BothKeyStylesGiveTheSameText) {
  auto older = With({{"rope_theta", "1000.0"},
                     {"rope_scaling", R"({"type":"llama3","factor":8,"low_freq_factor":1,
                       "high_freq_factor":4,"original_max_position_embeddings":64})"}});
  auto newer = With({{"rope_theta", ""},
                     {"layer_types", R"(["chunked_attention","full_attention"])"},
                     {"rope_parameters", R"({"rope_type":"llama3","factor":8.0,"rope_theta":1000,
                       "low_freq_factor":1,"high_freq_factor":4.0,
                       "original_max_position_embeddings":64})"}});
  ASSERT_TRUE(older.ok()) << older.status();
  ASSERT_TRUE(newer.ok()) << newer.status();
  EXPECT_EQ(CanonicalText(*older), CanonicalText(*newer));
  EXPECT_NE(CanonicalText(*older), CanonicalText(*With({})));
}

TEST(ConfigJson, ReadsMaverick) {
  auto config = Parse(ReadFile(GoldenPath("maverick-tiny/config.json")));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->qk_norm);
  EXPECT_FALSE(config->rope.llama3_scaling);
  EXPECT_EQ(config->dense_ffn, 160);
  EXPECT_EQ(config->expert_ffn, 64);
  EXPECT_EQ(config->n_moe_layers(), 4);
  EXPECT_FALSE(config->layers[0].moe);
  EXPECT_TRUE(config->layers[1].moe);
}

TEST(ConfigJson, NestedTextConfigTakesDefaults) {
  auto config = Parse(R"({"model_type":"llama4","tie_word_embeddings":true,
                          "text_config":{"model_type":"llama4_text","num_local_experts":128,
                          "interleave_moe_layer_step":2}, "vision_config":{}})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->hidden, 5120);
  EXPECT_EQ(config->vocab, 202048);
  EXPECT_EQ(config->n_layers, 48);
  EXPECT_EQ(config->n_heads, 40);
  EXPECT_EQ(config->n_kv_heads, 8);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_EQ(config->expert_ffn, 8192);
  EXPECT_EQ(config->dense_ffn, 16384);
  EXPECT_EQ(config->n_experts, 128);
  EXPECT_EQ(config->n_moe_layers(), 24);
  EXPECT_EQ(config->n_global_layers(), 12);
  EXPECT_TRUE(config->layers[47].global);
  EXPECT_TRUE(config->tied_embeddings);
}

TEST(ConfigJson, LayerKinds) {
  auto by_interval = With({{"no_rope_layers", "[]"}, {"no_rope_layer_interval", "2"}});
  ASSERT_TRUE(by_interval.ok()) << by_interval.status();
  EXPECT_FALSE(by_interval->layers[0].global);
  EXPECT_TRUE(by_interval->layers[1].global);
  EXPECT_EQ(With({{"no_rope_layers", ""}})->n_global_layers(), 0);  // every fourth of two
  EXPECT_EQ(With({{"no_rope_layers", "[0,0,1]"}})->n_global_layers(), 2);
  for (const char* bad : {"0", "-4"}) {  // refused, also where it is not needed
    EXPECT_FALSE(With({{"no_rope_layer_interval", bad}}).ok()) << bad;
    EXPECT_FALSE(With({{"no_rope_layers", "[]"}, {"no_rope_layer_interval", bad}}).ok()) << bad;
  }
  auto dense = With({{"moe_layers", "[]"}, {"num_local_experts", ""}});
  ASSERT_TRUE(dense.ok()) << dense.status();
  EXPECT_EQ(dense->n_moe_layers(), 0);
  EXPECT_EQ(dense->n_experts, 0);
  EXPECT_EQ(dense->dense_ffn, 6);
  EXPECT_EQ(With({{"moe_layers", ""}})->n_moe_layers(), 2);
  EXPECT_EQ(With({{"moe_layers", ""}, {"interleave_moe_layer_step", "2"}})->n_moe_layers(), 1);
  EXPECT_EQ(With({{"moe_layers", "null"}, {"interleave_moe_layer_step", "0"}})->n_moe_layers(), 0);
}

TEST(ConfigJson, OddButUsualValues) {
  auto config = With({{"attn_temperature_tuning", "4"},
                      {"floor_scale", "16.0"},
                      {"num_key_value_heads", "null"},
                      {"head_dim", "null"},
                      {"attention_chunk_size", "null"},
                      {"rope_scaling", "null"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->temperature_tuning);
  EXPECT_EQ(config->temperature_floor, 16);
  EXPECT_EQ(config->n_kv_heads, 2);
  EXPECT_EQ(config->head_dim, 4);
  EXPECT_EQ(config->attention_chunk, 1024);  // no chunks: the context
  // A missing key is what the reference implementation's class has.
  EXPECT_EQ(With({{"head_dim", ""}})->head_dim, 128);
  EXPECT_EQ(With({{"num_key_value_heads", ""}, {"num_attention_heads", "16"}})->n_kv_heads, 8);
  auto nested = Parse(R"({"model_type":"llama4","text_config":{"num_key_value_heads":null,
                          "head_dim":null}})");
  ASSERT_TRUE(nested.ok()) << nested.status();
  EXPECT_EQ(nested->n_kv_heads, 40);
  EXPECT_EQ(nested->head_dim, 128);  // 5120 / 40
  EXPECT_FALSE(With({{"attn_temperature_tuning", "0"}})->temperature_tuning);
  EXPECT_FALSE(With({{"attn_temperature_tuning", "false"}})->temperature_tuning);
}

struct BadValue {
  const char *key, *value;
  StatusCode code;
  const char* text;
};

class ConfigJsonBad : public testing::TestWithParam<BadValue> {};

TEST_P(ConfigJsonBad, IsRefused) {
  const BadValue& bad = GetParam();
  auto config = With({{bad.key, bad.value}});
  ExpectError(config.status(), bad.code, {bad.text});
}

constexpr StatusCode kCorrupt = StatusCode::kDataLoss, kUnsupported = StatusCode::kUnimplemented;

INSTANTIATE_TEST_SUITE_P(
    Values, ConfigJsonBad,
    testing::Values(
        BadValue{"hidden_size", "", kCorrupt, "\"hidden_size\" is missing"},
        BadValue{"hidden_size", "0", kCorrupt, "hidden size is 0"},
        BadValue{"hidden_size", "-8", kCorrupt, "hidden size is -8"},
        BadValue{"hidden_size", "8.5", kCorrupt, "not an integer"},
        BadValue{"hidden_size", "\"8\"", kCorrupt, "not an integer"},
        BadValue{"hidden_size", "1e300", kCorrupt, "not an integer"},
        BadValue{"hidden_size", "99999999", kCorrupt, "hidden size"},
        BadValue{"vocab_size", "", kCorrupt, "missing"},
        BadValue{"vocab_size", "16777217", kCorrupt, "vocabulary"},
        BadValue{"num_hidden_layers", "", kCorrupt, "missing"},
        BadValue{"num_hidden_layers", "0", kCorrupt, "num_hidden_layers"},
        BadValue{"num_hidden_layers", "4097", kCorrupt, "num_hidden_layers"},
        BadValue{"num_hidden_layers", "9223372036854775807", kCorrupt, "num_hidden_layers"},
        BadValue{"num_hidden_layers", "3", kCorrupt, "no_rope_layers"},
        BadValue{"num_attention_heads", "0", kCorrupt, "number of heads"},
        BadValue{"num_key_value_heads", "3", kCorrupt, "no multiple"},
        BadValue{"num_key_value_heads", "0", kCorrupt, "key heads"},
        BadValue{"head_dim", "5", kUnsupported, "odd"},
        BadValue{"head_dim", "1026", kCorrupt, "head size"},
        BadValue{"head_dim", "[4]", kCorrupt, "not an integer"},
        BadValue{"max_position_embeddings", "0", kCorrupt, "context length"},
        BadValue{"intermediate_size", "", kCorrupt, "missing"},
        BadValue{"intermediate_size", "0", kCorrupt, "expert width"},
        BadValue{"intermediate_size_mlp", "-1", kCorrupt, "dense feed-forward"},
        BadValue{"num_local_experts", "0", kCorrupt, "experts"},
        BadValue{"num_experts_per_tok", "0", kCorrupt, "experts per token"},
        BadValue{"num_experts_per_tok", "3", kCorrupt, "3 experts per token of 2"},
        BadValue{"moe_layers", "[-1]", kCorrupt, "moe_layers"},
        BadValue{"moe_layers", "7", kCorrupt, "moe_layers"},
        BadValue{"no_rope_layers", "[1]", kCorrupt, "1 entries for 2 layers"},
        BadValue{"no_rope_layers", "[1,\"x\"]", kCorrupt, "no 0 or 1 for layer 1"},
        BadValue{"layer_types", "[\"full_attention\"]", kCorrupt, "layer_types"},
        BadValue{"layer_types", "[\"full_attention\",\"full_attention\"]", kUnsupported, "layer 0"},
        BadValue{"layer_types", "[\"sliding_attention\",\"full_attention\"]", kUnsupported,
                 "sliding_attention"},
        BadValue{"layer_types", "[3,4]", kUnsupported, "attention kind"},
        BadValue{"attention_chunk_size", "0", kCorrupt, "attention chunk"},
        BadValue{"floor_scale", "0", kCorrupt, "floor"},
        BadValue{"attn_scale", "\"x\"", kCorrupt, "not a number"},
        BadValue{"attention_bias", "true", kUnsupported, "bias"},
        BadValue{"use_qk_norm", "\"yes\"", kCorrupt, "use_qk_norm"},
        BadValue{"hidden_act", "\"gelu\"", kUnsupported, "gelu"},
        BadValue{"rms_norm_eps", "0", kCorrupt, "epsilon"},
        BadValue{"rms_norm_eps", "-1", kCorrupt, "epsilon"},
        BadValue{"rope_theta", "0", kCorrupt, "rope base"},
        BadValue{"rope_scaling", "7", kCorrupt, "not an object"},
        BadValue{"rope_scaling", R"({"rope_type":"yarn","factor":2})", kUnsupported, "yarn"},
        BadValue{"rope_scaling", R"({"rope_type":"llama3","factor":2})", kCorrupt,
                 "low_freq_factor"},
        BadValue{"rope_scaling",
                 R"({"rope_type":"llama3","factor":0,"low_freq_factor":1,"high_freq_factor":4})",
                 kCorrupt, "scaling factor"},
        BadValue{"rope_scaling",
                 R"({"rope_type":"llama3","factor":2,"low_freq_factor":4,"high_freq_factor":1})",
                 kCorrupt, "below the low"},
        BadValue{"rope_parameters", R"({"partial_rotary_factor":0.5})", kUnsupported, "part"},
        BadValue{"model_type", "\"llama\"", kUnsupported, "\"llama\""},
        BadValue{"model_type", "", kUnsupported, "model_type"},
        BadValue{"model_type", "\"llama4\"", kCorrupt, "text_config"}));

TEST(ConfigJson, RefusesWhatIsNoObject) {
  for (const char* text : {"[]", "3", "null", "\"x\""}) {
    ExpectError(Parse(text).status(), StatusCode::kDataLoss, {"not a JSON object"});
  }
}

}  // namespace
}  // namespace scout::test

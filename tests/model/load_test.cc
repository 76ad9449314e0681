// Loading: layouts, options, cancellation, identity, files that lack something.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>
#include <set>

#include "tests/model/small_model.h"

namespace scout::test {
namespace {

using absl::StatusCode;

absl::StatusOr<std::shared_ptr<const Model>> Load(const SmallModel& small,
                                                  const LoadOptions& options = {}) {
  Folder folder;
  small.WriteFolder(folder);
  return Model::Load(folder.path(), options);
}

absl::StatusOr<std::shared_ptr<const Model>> LoadGguf(const SmallModel& small,
                                                      const LoadOptions& options = {}) {
  Folder folder;
  return Model::Load(folder.Write("m.gguf", small.GgufBytes()), options);
}

void ExpectSame(const kernels::Matrix& a, const kernels::Matrix& b) {
  ASSERT_EQ(a.rows, b.rows);
  ASSERT_EQ(a.cols, b.cols);
  for (int64_t r = 0; r < a.rows; ++r) ASSERT_EQ(RowOf(a, r), RowOf(b, r)) << r;
}

TEST(Load, FusedExpertsAreTurnedToRowsOfOutputs) {
  for (const char* type : {"F32", "F16", "BF16"}) {
    SCOPED_TRACE(type);
    const SmallModel small = SmallModel::HuggingFace(type);
    auto model = Load(small);
    ASSERT_TRUE(model.ok()) << model.status();
    const std::string fused = "model.layers.1.feed_forward.experts.";
    const SmallTensor& gate_up = small.tensors.at(fused + "gate_up_proj");
    const SmallTensor& down = small.tensors.at(fused + "down_proj");
    const std::vector<FfnWeights>& experts = (*model)->layers()[1].experts;
    ASSERT_EQ(experts.size(), 2u);
    for (int64_t e = 0; e < 2; ++e) {
      EXPECT_STREQ(kernels::quant_traits(experts[e].gate.type).name, type);
      for (int64_t f = 0; f < 4; ++f) {
        for (int64_t h = 0; h < 8; ++h) {
          EXPECT_EQ(At(experts[e].gate, f, h), gate_up.values[(e * 8 + h) * 8 + f]);
          EXPECT_EQ(At(experts[e].up, f, h), gate_up.values[(e * 8 + h) * 8 + 4 + f]);
          EXPECT_EQ(At(experts[e].down, h, f), down.values[(e * 4 + f) * 8 + h]);
        }
      }
    }
    EXPECT_EQ((*model)->layers()[0].dense.gate.rows, 6);
    EXPECT_EQ((*model)->layers()[0].router.data, nullptr);
    EXPECT_EQ((*model)->layers()[1].dense.gate.data, nullptr);
    const SmallTensor& norm = small.tensors.at("model.norm.weight");
    for (int i = 0; i < 8; ++i) EXPECT_EQ((*model)->final_norm()[i], norm.values[i]);
  }
}

// Larger than a piece of 8 MiB, and no whole number of strips and tiles.
TEST(Load, TransposesAcrossPieces) {
  const int64_t ffn = 401, hidden = 6002;
  SmallModel small;
  small.config = SmallModel::HuggingFace().config;
  small.config["hidden_size"] = std::to_string(hidden);
  small.config["intermediate_size"] = std::to_string(ffn);
  small.config["num_hidden_layers"] = "1";
  small.config["moe_layers"] = "[0]";
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    std::vector<float> values(n);
    for (int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(i % 251) - 125;
    small.tensors[name] = {"BF16", std::move(shape), std::move(values)};
  };
  const std::string p = "model.layers.0.";
  add("model.embed_tokens.weight", {16, hidden});
  add("lm_head.weight", {16, hidden});
  add("model.norm.weight", {hidden});
  add(p + "input_layernorm.weight", {hidden});
  add(p + "post_attention_layernorm.weight", {hidden});
  add(p + "self_attn.q_proj.weight", {8, hidden});
  add(p + "self_attn.k_proj.weight", {4, hidden});
  add(p + "self_attn.v_proj.weight", {4, hidden});
  add(p + "self_attn.o_proj.weight", {hidden, 8});
  add(p + "feed_forward.router.weight", {2, hidden});
  add(p + "feed_forward.shared_expert.gate_proj.weight", {ffn, hidden});
  add(p + "feed_forward.shared_expert.up_proj.weight", {ffn, hidden});
  add(p + "feed_forward.shared_expert.down_proj.weight", {hidden, ffn});
  add(p + "feed_forward.experts.gate_up_proj", {2, hidden, 2 * ffn});
  add(p + "feed_forward.experts.down_proj", {2, ffn, hidden});

  int64_t last = -1, largest = 0, total_seen = 0;
  LoadOptions options;
  options.n_threads = 1;
  options.progress = [&](int64_t done, int64_t total) {
    if (last >= 0) largest = std::max(largest, done - last);
    EXPECT_GE(done, last);
    last = done;
    total_seen = total;
    return true;
  };
  auto model = Load(small, options);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(last, total_seen);
  EXPECT_LE(largest, int64_t{8} << 20);
  for (int64_t e = 0; e < 2; ++e) {
    const FfnWeights& expert = (*model)->layers()[0].experts[e];
    for (const int64_t f : {int64_t{0}, int64_t{31}, int64_t{32}, ffn - 1}) {
      for (const int64_t h : {int64_t{0}, int64_t{33}, int64_t{5229}, int64_t{5230}, hidden - 1}) {
        const int64_t gate = (e * hidden + h) * 2 * ffn + f;
        EXPECT_EQ(At(expert.gate, f, h), static_cast<float>(gate % 251) - 125);
        EXPECT_EQ(At(expert.up, f, h), static_cast<float>((gate + ffn) % 251) - 125);
        EXPECT_EQ(At(expert.down, h, f),
                  static_cast<float>(((e * ffn + f) * hidden + h) % 251) - 125);
      }
    }
  }
}

TEST(Load, ExpertsAsLinearLayers) {
  const SmallModel small = SmallModel::HuggingFace("BF16", /*fused=*/false);
  auto model = Load(small);
  ASSERT_TRUE(model.ok()) << model.status();
  const SmallTensor& up = small.tensors.at("model.layers.1.feed_forward.experts.1.up_proj.weight");
  for (int64_t f = 0; f < 4; ++f) {
    for (int64_t h = 0; h < 8; ++h) {
      EXPECT_EQ(At((*model)->layers()[1].experts[1].up, f, h), up.values[f * 8 + h]);
    }
  }
}

TEST(Load, TextInsideAModelWithImages) {
  SmallModel small = SmallModel::HuggingFace("BF16");
  auto plain = Load(small);
  const std::string text = small.ConfigJson();
  small.config = {{"model_type", "\"llama4\""}, {"text_config", text}};
  small.prefix = "language_model.";
  std::vector<std::string> log;
  LoadOptions options;
  options.logger = Logger(
      [](void* user, int32_t, const char* line) {
        static_cast<std::vector<std::string>*>(user)->push_back(line);
      },
      &log, 2);
  auto nested = Load(small, options);
  ASSERT_TRUE(plain.ok()) << plain.status();
  ASSERT_TRUE(nested.ok()) << nested.status();
  ExpectSame((*plain)->layers()[1].experts[1].down, (*nested)->layers()[1].experts[1].down);
  EXPECT_TRUE(log.empty());

  for (auto& [name, tensor] : std::map(small.tensors)) {
    small.tensors["language_model." + name] = tensor;
    small.tensors.erase(name);
  }
  small.prefix = "";
  small.tensors["vision_model.class_embedding"] = {"BF16", {4}, {1, 2, 3, 4}};
  nested = Load(small, options);
  ASSERT_TRUE(nested.ok()) << nested.status();
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log[0].find("1 tensors outside the text model"), std::string::npos) << log[0];
  EXPECT_NE(log[0].find("vision_model.class_embedding"), std::string::npos) << log[0];
}

TEST(Load, TiedEmbeddings) {
  SmallModel small = SmallModel::HuggingFace();
  small.config["tie_word_embeddings"] = "true";
  small.tensors.erase("lm_head.weight");
  auto model = Load(small);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->head().data, (*model)->embedding().data);
  EXPECT_TRUE((*model)->config().tied_embeddings);
  small.config["tie_word_embeddings"] = "false";
  ExpectError(Load(small).status(), StatusCode::kNotFound, {"lm_head.weight"});
  SmallModel gguf = SmallModel::Gguf();
  gguf.tensors.erase("output.weight");
  model = LoadGguf(gguf);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->head().data, (*model)->embedding().data);
}

TEST(Load, MetadataOnlyChecksEverythingAndHoldsNothing) {
  LoadOptions options;
  options.metadata_only = true;
  options.progress = [](int64_t, int64_t) {
    ADD_FAILURE() << "progress without weights";
    return true;
  };
  SmallModel small = SmallModel::HuggingFace();
  auto whole = Load(small);
  auto model = Load(small, options);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_FALSE((*model)->has_weights());
  EXPECT_TRUE((*whole)->has_weights());
  EXPECT_EQ((*model)->weight_bytes(), 0);
  EXPECT_EQ((*model)->embedding().data, nullptr);
  EXPECT_EQ((*model)->n_parameters(), (*whole)->n_parameters());
  EXPECT_EQ((*model)->identity(), "");  // not known without the weights
  EXPECT_EQ((*whole)->identity().size(), 32u);
  small.tensors.erase("model.layers.1.self_attn.v_proj.weight");
  ExpectError(Load(small, options).status(), StatusCode::kNotFound, {"v_proj"});
}

TEST(Load, CancelAtEachCall) {
  const SmallModel hf = SmallModel::HuggingFace(), gguf = SmallModel::Gguf();
  for (const bool folder : {true, false}) {
    int calls = 0;
    LoadOptions options;
    options.progress = [&](int64_t, int64_t) {
      ++calls;
      return true;
    };
    ASSERT_TRUE((folder ? Load(hf, options) : LoadGguf(gguf, options)).ok());
    ASSERT_GT(calls, 20);
    const int all = calls;
    for (int stop = 1; stop <= all; ++stop) {
      calls = 0;
      options.progress = [&](int64_t, int64_t) { return ++calls < stop; };
      auto model = folder ? Load(hf, options) : LoadGguf(gguf, options);
      EXPECT_EQ(model.status().code(), StatusCode::kCancelled) << stop;
      EXPECT_EQ(calls, stop);
    }
  }
}

TEST(Load, EveryTensorIsNeededInItsShapeAndType) {
  for (const bool folder : {true, false}) {
    const SmallModel whole = folder ? SmallModel::HuggingFace() : SmallModel::Gguf();
    const auto load = [&](const SmallModel& m) { return folder ? Load(m) : LoadGguf(m); };
    for (const auto& [name, tensor] : whole.tensors) {
      SCOPED_TRACE(name);
      if (name == "rope_freqs.weight") continue;  // ConfigGguf.DivisorsMustFitTheHead
      SmallModel small = whole;
      small.tensors.erase(name);
      if (name != "output.weight") {
        const absl::Status status = load(small).status();
        ExpectError(status, StatusCode::kNotFound, {name});
        EXPECT_EQ(PlaceOf(status).tensor, name);
        EXPECT_FALSE(PlaceOf(status).file.empty());
      }
      small = whole;
      small.tensors[name].shape.push_back(1);  // the same bytes in another shape
      absl::Status status = load(small).status();
      ExpectError(status, StatusCode::kDataLoss, {name, "shape"});
      EXPECT_EQ(PlaceOf(status).tensor, name);
      EXPECT_GE(PlaceOf(status).offset, 0);
      small = whole;
      small.tensors[name].type = folder ? "I32" : "F64";
      if (!folder) small.tensors[name].values.resize(2 * tensor.values.size());
      status = load(small).status();
      ExpectError(status, StatusCode::kUnimplemented, {name, small.tensors[name].type});
    }
  }
}

TEST(Load, NormsMustBeFloat) {
  SmallModel small = SmallModel::Gguf();
  // A quantised norm needs 32 values, so the shape is wrong as well; one of the two is said.
  small.tensors["output_norm.weight"] = {"Q8_0", {32}, std::vector<float>(32, 1)};
  EXPECT_FALSE(LoadGguf(small).ok());
}

TEST(Load, ShapesThatContradictTheConfiguration) {
  for (const char* key : {"hidden_size", "vocab_size", "num_attention_heads", "head_dim",
                          "intermediate_size", "intermediate_size_mlp", "num_local_experts"}) {
    SmallModel small = SmallModel::HuggingFace();
    small.config[key] = std::to_string(2 * std::stoi(small.config[key]));
    ExpectError(Load(small).status(), StatusCode::kDataLoss, {"shape"});
  }
  SmallModel small = SmallModel::HuggingFace();
  small.config["num_hidden_layers"] = "3";
  small.config["no_rope_layers"] = "[1,1,0]";
  ExpectError(Load(small).status(), StatusCode::kNotFound, {"model.layers.2."});
}

TEST(Load, PathsThatAreNoModel) {
  Folder folder;
  ExpectError(Model::Load(folder.path() + "/none", {}).status(), StatusCode::kNotFound,
              {"no file or folder"});
  ExpectError(Model::Load(folder.path(), {}).status(), StatusCode::kNotFound, {"no config.json"});
  ExpectError(Model::Load(folder.Write("a.safetensors", "x"), {}).status(),
              StatusCode::kInvalidArgument, {"give its folder"});
  ExpectError(Model::Load(folder.Write("a.gguf", "x"), {}).status(), StatusCode::kDataLoss, {});
  ExpectError(Model::Load("/dev/null", {}).status(), StatusCode::kInvalidArgument, {"regular"});
  folder.Write("config.json", "{\"model_type\":");
  const absl::Status status = Model::Load(folder.path(), {}).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
  EXPECT_EQ(PlaceOf(status).file, folder.path() + "/config.json");
  folder.Write("config.json", SmallModel::HuggingFace().ConfigJson());
  EXPECT_FALSE(Model::Load(folder.path(), {}).ok());  // no weights
}

TEST(Load, TokenizerIsOptionalButMustBeWhole) {
  const SmallModel small = SmallModel::HuggingFace();
  Folder folder;
  small.WriteFolder(folder);
  auto without = Model::Load(folder.path(), {});
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ((*without)->tokenizer(), nullptr);
  folder.Write("tokenizer.json", "{\"model\":");
  const absl::Status status = Model::Load(folder.path(), {}).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(PlaceOf(status).file.find("tokenizer.json"), std::string::npos) << status;
  folder.Write("tokenizer.json", ReadFile(GoldenPath("scout-hd128/tokenizer.json")));
  auto with = Model::Load(folder.path(), {});
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_NE((*with)->tokenizer(), nullptr);
  EXPECT_NE((*with)->identity(), (*without)->identity());

  auto gguf = LoadGguf(SmallModel::Gguf());
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ((*gguf)->tokenizer(), nullptr);
}

TEST(Identity, ChangesWithEachOverrideAndNothingElse) {
  const SmallModel small = SmallModel::HuggingFace();
  std::set<std::string> seen;
  const auto identity = [&](const SmallModel& m, const ConfigOverrides& overrides) {
    LoadOptions options;
    options.overrides = overrides;
    auto model = Load(m, options);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? (*model)->identity() : "";
  };
  const std::string base = identity(small, {});
  EXPECT_EQ(base.size(), 32u);
  EXPECT_EQ(identity(small, {}), base);                       // another folder, the same model
  EXPECT_EQ(identity(small, {.attention_chunk = 32}), base);  // what the file says
  seen.insert(base);
  const ConfigOverrides llama3 = {.rope_scaling = 1, .rope_factor = 8};
  const auto also = [&](auto change) {
    ConfigOverrides o = llama3;
    change(&o);
    return o;
  };
  for (const ConfigOverrides& o :
       {ConfigOverrides{.temperature_tuning = 0}, ConfigOverrides{.attention_chunk = 64},
        ConfigOverrides{.temperature_scale = 0.2}, ConfigOverrides{.temperature_floor = 32},
        ConfigOverrides{.rope_theta = 5}, llama3, also([](auto* c) { c->rope_factor = 4; }),
        also([](auto* c) { c->rope_low_freq_factor = 0.5; }),
        also([](auto* c) { c->rope_high_freq_factor = 4; }),
        also([](auto* c) { c->rope_original_context = 4096; })}) {
    EXPECT_TRUE(seen.insert(identity(small, o)).second);
  }
  SmallModel typed = SmallModel::HuggingFace("BF16");
  EXPECT_TRUE(seen.insert(identity(typed, {})).second);
  for (const char* name : {"model.norm.weight", "model.layers.1.feed_forward.experts.down_proj"}) {
    SmallModel other = small;
    other.tensors[name].values.back() += 1;
    EXPECT_TRUE(seen.insert(identity(other, {})).second) << name;
  }
  SmallModel more = small;  // what the text model does not read is no part of it
  more.tensors["vision_model.class_embedding"] = {"F32", {1}, {1}};
  EXPECT_EQ(identity(more, {}), base);
}

TEST(Unused, WhatIsOutsideTheTextModelIsOneNote) {
  SmallModel small = SmallModel::HuggingFace();
  const auto base = Load(small);
  for (const char* name : {"vision_model.class_embedding", "multi_modal_projector.linear_1.weight",
                           "model.layers.0.self_attn.rotary_emb.inv_freq",
                           "model.layers.1.self_attn.k_scale", "model.layers.1.self_attn.v_scale",
                           "optimizer.state.0", "model.layers.0.self_attn.q_proj.input_scale"}) {
    small.tensors[name] = {"F32", {1}, {1}};
  }
  std::vector<std::string> log;
  LoadOptions options;
  options.logger = Logger(
      [](void* user, int32_t level, const char* line) {
        static_cast<std::vector<std::string>*>(user)->push_back(std::to_string(level) + line);
      },
      &log, 2);
  auto model = Load(small, options);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->identity(), (*base)->identity());
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log[0].find("7 tensors outside the text model"), std::string::npos) << log[0];
  EXPECT_NE(log[0].find(", "), std::string::npos) << log[0];
  log.clear();
  small.tensors["model.layers.2.input_layernorm.weight"] = {"F32", {1}, {1}};  // of no layer
  ASSERT_TRUE(Load(small, options).ok());
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[1][0], '1');
  EXPECT_NE(log[1].find("model.layers.2.input_layernorm.weight"), std::string::npos) << log[1];
}

// Empty tensors and types that are not known: nothing where nobody asks for them, an error that
// names the tensor where the model does.
TEST(Unused, TensorsThatCannotBeReadAreRefusedWhereTheyAreNeeded) {
  SmallModel small = SmallModel::HuggingFace();
  small.tensors["vision_model.empty"] = {"F32", {0}, {}};
  small.tensors["vision_model.patch"] = {"F4", {4, 2}, {1}};  // 4 bytes each
  small.tensors["vision_model.scale"] = {"F8_E4M3FNUZ", {4}, {1}};
  small.tensors["multi_modal_projector.x"] = {"X9", {3}, {1}};
  auto model = Load(small);
  EXPECT_TRUE(model.ok()) << model.status();
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  for (const char* type : {"F8_E5M2", "F8_E4M3FNUZ", "X9"}) {
    SmallModel changed = small;
    SmallTensor& tensor = changed.tensors[name];
    tensor = {type, tensor.shape, std::vector<float>(8 * 8 / 4)};
    const absl::Status status = Load(changed).status();
    ExpectError(status, StatusCode::kUnimplemented, {name, type});
    EXPECT_EQ(PlaceOf(status).tensor, name);
  }
  for (const char* bound : {"model.norm.weight", name.c_str()}) {
    SmallModel changed = small;
    changed.tensors[bound] = {"F32", {0, 8}, {}};
    ExpectError(Load(changed).status(), StatusCode::kDataLoss, {bound, "(0, 8)"});
  }
  SmallModel inside = small;  // in a layer, where it might change the results
  inside.tensors["model.layers.0.self_attn.extra"] = {"F32", {0}, {}};
  ExpectError(Load(inside).status(), StatusCode::kUnimplemented, {"self_attn.extra"});
}

TEST(Unused, WhatWouldChangeResultsIsRefused) {
  for (const char* name :
       {"model.layers.0.self_attn.q_proj.bias", "model.layers.1.feed_forward.router.bias",
        "model.layers.1.self_attn.q_norm.weight",
        "model.layers.1.feed_forward.experts.down_proj_bias",
        "model.layers.0.self_attn.o_proj.weight_scale", "lm_head.bias", "model.norm.bias"}) {
    SmallModel small = SmallModel::HuggingFace();
    small.tensors[name] = {"F32", {1}, {1}};
    const absl::Status status = Load(small).status();
    ExpectError(status, StatusCode::kUnimplemented, {name});
    EXPECT_EQ(PlaceOf(status).tensor, name);
  }
  for (const char* name : {"blk.1.attn_output.bias", "blk.0.attn_q_norm.weight", "output.bias"}) {
    SmallModel small = SmallModel::Gguf();
    small.tensors[name] = {"F32", {1}, {1}};
    ExpectError(LoadGguf(small).status(), StatusCode::kUnimplemented, {name});
  }
}

TEST(Describe, ParsesBack) {
  LoadOptions options;
  options.overrides.attention_chunk = 4096;
  auto model = Model::Load(GoldenPath("gguf/scout-hd128/Q4_K_M.gguf"), options);
  ASSERT_TRUE(model.ok()) << model.status();
  auto text = (*model)->DescribeJson();
  ASSERT_TRUE(text.ok()) << text.status();
  auto json = ParseJson(*text);
  ASSERT_TRUE(json.ok()) << json.status() << *text;
  EXPECT_EQ(json->find("identity")->as_string(), (*model)->identity());
  EXPECT_EQ(json->find("format")->as_string(), "gguf");
  const Json* config = json->find("config");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->find("hidden_size")->as_int(), 256);
  EXPECT_EQ(config->find("moe_layers")->items().size(), 1u);
  EXPECT_FALSE(config->find("tied_embeddings")->as_bool());  // printed though it is false
  EXPECT_EQ(config->find("attention")->find("chunk")->as_int(), 4096);
  EXPECT_EQ(config->find("rope")->find("scaling")->as_string(), "divisors");
  EXPECT_EQ(json->find("tensor_types")->items().size(), 3u);
  EXPECT_EQ(json->find("tokenizer")->find("end_tokens")->items().size(), 3u);

  // A path need not be UTF-8.
  Folder folder;
  std::filesystem::create_directory(folder.path() + "/\xFF");
  const std::string path = folder.Write("\xFF/m.gguf", SmallModel::Gguf().GgufBytes());
  model = Model::Load(path, {});
  ASSERT_TRUE(model.ok()) << model.status();
  text = (*model)->DescribeJson();
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_TRUE(ParseJson(*text).ok()) << *text;
  EXPECT_EQ(ParseJson(*text)->find("tokenizer"), nullptr);
}

}  // namespace
}  // namespace scout::test

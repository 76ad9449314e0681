// Quantised Hugging Face layers: every layout against its definition, and what contradicts it.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/quant/f8.h"
#include "kernels/quant/half.h"
#include "lib/format/safetensors.h"
#include "lib/model/quant_config.h"
#include "lib/model/weight_reader.h"
#include "lib/model/weights.h"
#include "tests/model/small_model.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

using absl::StatusCode;
constexpr int64_t kAwqOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};

// A fixed sequence of numbers that look like none.
uint32_t Hash(uint64_t i) {
  i = (i + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
  i = (i ^ (i >> 27)) * 0x94D049BB133111EBu;
  return static_cast<uint32_t>(i >> 32);
}

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// One layer "m", its values by definition and the files' bytes of them.
struct Layer {
  int64_t rows = 16, cols = 256, group = 64;
  bool zeros = false;
  std::vector<int> q, zero;  // 0 .. 15: (rows, cols), (rows, cols / group)
  std::vector<float> scale;  // (rows, cols / group), numbers of 8 significant bits
  std::string packed, scales, packed_zeros, int8_zeros;
  std::string awq, awq_scales, awq_zeros;

  int64_t n_groups() const { return cols / group; }

  Layer(int64_t rows_, int64_t cols_, int64_t group_, bool zeros_)
      : rows(rows_), cols(cols_), group(group_), zeros(zeros_) {
    for (int64_t i = 0; i < rows * cols; ++i) q.push_back(static_cast<int>(Hash(i) % 16));
    for (int64_t i = 0; i < rows * n_groups(); ++i) {
      zero.push_back(zeros ? static_cast<int>(Hash(i + 1'000'000) % 16) : 8);
      scale.push_back(std::ldexp(static_cast<float>(Hash(i + 2'000'000) % 256), -12));
    }
    const auto words = [](int64_t n, const std::function<int(int64_t word, int64_t k)>& nibble) {
      std::vector<uint32_t> out(static_cast<size_t>(n));
      for (int64_t w = 0; w < n; ++w) {
        for (int64_t k = 0; k < 8; ++k) {
          out[static_cast<size_t>(w)] |= static_cast<uint32_t>(nibble(w, k)) << (4 * k);
        }
      }
      return BytesOf(out);
    };
    const int64_t g = n_groups();
    packed = words(rows * cols / 8, [&](int64_t w, int64_t k) { return q[w * 8 + k]; });
    packed_zeros = words((rows + 7) / 8 * g, [&](int64_t w, int64_t k) {
      const int64_t row = w / g * 8 + k;
      return row < rows ? zero[row * g + w % g] : 0;
    });
    if (rows % 8 == 0) {
      awq = words(cols * rows / 8, [&](int64_t w, int64_t k) {
        return q[(w % (rows / 8) * 8 + kAwqOrder[k]) * cols + w / (rows / 8)];
      });
      awq_zeros = words(g * rows / 8, [&](int64_t w, int64_t k) {
        return zero[(w % (rows / 8) * 8 + kAwqOrder[k]) * g + w / (rows / 8)];
      });
    }
    std::vector<uint16_t> bf16, f16;
    std::vector<int8_t> small;
    for (float s : scale) bf16.push_back(kernels::f32_to_bf16(s));
    for (int64_t i = 0; i < g; ++i) {
      for (int64_t r = 0; r < rows; ++r) f16.push_back(kernels::f32_to_f16(scale[r * g + i]));
    }
    for (int z : zero) small.push_back(static_cast<int8_t>(z - 8));
    scales = BytesOf(bf16);
    awq_scales = BytesOf(f16);
    int8_zeros = BytesOf(small);
  }

  float Value(int64_t row, int64_t col) const {
    const int64_t at = row * n_groups() + col / group;
    return scale[at] * static_cast<float>(q[row * cols + col] - zero[at]);
  }

  SafetensorsBuilder Packed() const {
    SafetensorsBuilder b;
    b.Tensor("m.weight_packed", "I32", {rows, cols / 8}, packed)
        .Tensor("m.weight_scale", "BF16", {rows, n_groups()}, scales)
        .Tensor("m.weight_shape", "I64", {2}, BytesOf(std::vector<int64_t>{rows, cols}));
    if (zeros) b.Tensor("m.weight_zero_point", "I32", {(rows + 7) / 8, n_groups()}, packed_zeros);
    return b;
  }
  SafetensorsBuilder Awq() const {
    SafetensorsBuilder b;
    b.Tensor("m.qweight", "I32", {cols, rows / 8}, awq)
        .Tensor("m.scales", "F16", {n_groups(), rows}, awq_scales);
    if (zeros) b.Tensor("m.qzeros", "I32", {n_groups(), rows / 8}, awq_zeros);
    return b;
  }
};

std::string GroupJson(int64_t group_size, bool symmetric, const std::string& more = "") {
  return R"({"quantization_config": {"quant_method": "compressed-tensors",
    "format": "pack-quantized", "ignore": ["re:.*router"], "config_groups": {"group_0": {
    "targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": ")" +
         std::string(group_size > 0 ? "group" : "channel") + R"(", "group_size": )" +
         (group_size > 0 ? std::to_string(group_size) : "null") + R"(, "symmetric": )" +
         (symmetric ? "true" : "false") + more + "}}}}}";
}
std::string AwqJson(int64_t group_size, const std::string& more = "") {
  return R"({"quantization_config": {"quant_method": "awq", "bits": 4, "version": "GEMM",
    "zero_point": true, "group_size": )" +
         std::to_string(group_size) + more + "}}";
}
const char kFloat8Json[] = R"({"compression_config": {"quant_method": "compressed-tensors",
    "format": "float-quantized", "config_groups": {"g": {"targets": ["Linear"], "weights":
    {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true},
    "input_activations": {"num_bits": 8, "dynamic": true}}}}})";

// kFloat8Json with one scale per matrix.
std::string Float8PerTensorJson() {
  std::string text = kFloat8Json;
  return text.replace(text.find("\"channel\""), 9, "\"tensor\"");
}

absl::StatusOr<QuantConfig> Config(const std::string& text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << json.status() << text;
  if (!json.ok()) return json.status();
  return QuantConfigFromJson(*json);
}

// The layer "m" of a file as a (rows, cols) matrix.
struct Loaded {
  absl::Status status;
  kernels::Matrix matrix;
  ReadResult result;

  std::vector<float> Row(int64_t row) const {
    std::vector<float> values = RowOf(matrix, row);
    if (matrix.row_scale != nullptr) {
      for (float& v : values) v *= matrix.row_scale[row];
    }
    return values;
  }
};

Loaded LoadLayer(const SafetensorsBuilder& file, const std::string& config, int64_t rows,
                 int64_t cols) {
  Loaded loaded;
  const auto load = [&]() -> absl::Status {
    TempFolder folder;
    SCOUT_ASSIGN_OR_RETURN(const QuantConfig quant, Config(config));
    TensorTable table;
    SCOUT_RETURN_IF_ERROR(AppendSafetensors(folder.Write("f", file.Build()), &table));
    WeightPlan plan(table, quant);
    SCOUT_RETURN_IF_ERROR(plan.AddLinear("m", rows, cols, &loaded.matrix));
    SCOUT_ASSIGN_OR_RETURN(loaded.result, ReadWeights(plan, {}));
    EXPECT_TRUE(plan.unbound().empty());
    return absl::OkStatus();
  };
  loaded.status = load();
  return loaded;
}

void ExpectLayer(const Loaded& loaded, const Layer& layer, const char* type) {
  ASSERT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_STREQ(kernels::quant_traits(loaded.matrix.type).name, type);
  for (int64_t r = 0; r < layer.rows; ++r) {
    const std::vector<float> row = loaded.Row(r);
    for (int64_t c = 0; c < layer.cols; ++c) {
      ASSERT_EQ(row[c], layer.Value(r, c)) << r << ", " << c;
    }
  }
}

struct Shape {
  int64_t rows, cols, group;
  const char* type;
};
constexpr Shape kShapes[] = {
    {16, 256, 32, "I4_32"},   {16, 256, 64, "I4_32"},     {16, 256, 128, "I4_128"},
    {24, 512, 256, "I4_128"}, {8, 96, 32, "I4_32"},       {136, 384, 128, "I4_128"},
    {264, 320, 64, "I4_32"},  {16, 16384, 128, "I4_128"}, {2048, 4736, 128, "I4_128"},
};

TEST(Quant, PackedOfEveryGroupSize) {
  for (const Shape& s : kShapes) {
    for (const bool zeros : {false, true}) {
      SCOPED_TRACE(absl::StrCat(s.rows, " ", s.cols, " ", s.group, " ", zeros));
      const Layer layer(s.rows, s.cols, s.group, zeros);
      ExpectLayer(LoadLayer(layer.Packed(), GroupJson(s.group, !zeros), s.rows, s.cols), layer,
                  s.type);
    }
  }
}

TEST(Quant, AwqOfEveryGroupSize) {
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(absl::StrCat(s.rows, " ", s.cols, " ", s.group));
    const Layer layer(s.rows, s.cols, s.group, true);
    ExpectLayer(LoadLayer(layer.Awq(), AwqJson(s.group), s.rows, s.cols), layer, s.type);
  }
}

TEST(Quant, OneScalePerRow) {
  for (const bool zeros : {false, true}) {
    const Layer layer(16, 384, 384, zeros), odd(16, 96, 96, zeros);
    ExpectLayer(LoadLayer(layer.Packed(), GroupJson(0, !zeros), 16, 384), layer, "I4_128");
    ExpectLayer(LoadLayer(odd.Packed(), GroupJson(0, !zeros), 16, 96), odd, "I4_32");
  }
}

TEST(Quant, RowsThatFillNoWordOfZeroPoints) {
  const Layer layer(13, 128, 32, true);
  ExpectLayer(LoadLayer(layer.Packed(), GroupJson(32, false), 13, 128), layer, "I4_32");
}

TEST(Quant, OlderZeroPointsOfOneByte) {
  const Layer layer(13, 128, 32, true);
  SafetensorsBuilder b;
  b.Tensor("m.weight_packed", "I32", {13, 16}, layer.packed)
      .Tensor("m.weight_scale", "BF16", {13, 4}, layer.scales)
      .Tensor("m.weight_zero_point", "I8", {13, 4}, layer.int8_zeros);
  ExpectLayer(LoadLayer(b, GroupJson(32, false), 13, 128), layer, "I4_32");
  std::string bad = layer.int8_zeros;
  for (const int value : {8, -9, 127, -128}) {
    bad[5] = static_cast<char>(value);
    SafetensorsBuilder c;
    c.Tensor("m.weight_packed", "I32", {13, 16}, layer.packed)
        .Tensor("m.weight_scale", "BF16", {13, 4}, layer.scales)
        .Tensor("m.weight_zero_point", "I8", {13, 4}, bad);
    ExpectError(LoadLayer(c, GroupJson(32, false), 13, 128).status, StatusCode::kDataLoss,
                {"zero point 5 is " + std::to_string(value)});
  }
}

TEST(Quant, ScalesOfOtherTypes) {
  const Layer layer(16, 128, 32, false);
  const auto file = [&](const std::string& type, const std::string& bytes) {
    SafetensorsBuilder b;
    b.Tensor("m.weight_packed", "I32", {16, 16}, layer.packed)
        .Tensor("m.weight_scale", type, {16, 4}, bytes);
    return b;
  };
  std::vector<uint16_t> f16;
  for (float s : layer.scale) f16.push_back(kernels::f32_to_f16(s));
  ExpectLayer(LoadLayer(file("F16", BytesOf(f16)), GroupJson(32, true), 16, 128), layer, "I4_32");
  std::vector<float> f32 = layer.scale;
  ExpectLayer(LoadLayer(file("F32", BytesOf(f32)), GroupJson(32, true), 16, 128), layer, "I4_32");
  f32[3] = 0.1f;
  ExpectError(LoadLayer(file("F32", BytesOf(f32)), GroupJson(32, true), 16, 128).status,
              StatusCode::kUnimplemented, {"float32 scales"});
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    f32[3] = bad;
    const absl::Status status =
        LoadLayer(file("F32", BytesOf(f32)), GroupJson(32, true), 16, 128).status;
    ExpectError(status, StatusCode::kDataLoss, {"scale 3", "finite"});
    EXPECT_EQ(PlaceOf(status).tensor, "m.weight_scale");
  }
}

TEST(Quant, Float8PerRowAndPerTensor) {
  const int64_t rows = 7, cols = 48;
  std::vector<uint8_t> q;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const auto bits = static_cast<uint8_t>(Hash(i) % 256);
    q.push_back((bits & 0x7F) == 0x7F ? 0 : bits);  // no NaN
  }
  for (const bool per_row : {true, false}) {
    for (const char* type : {"BF16", "F32"}) {
      std::vector<float> scale;
      for (int64_t i = 0; i < (per_row ? rows : 1); ++i) {
        scale.push_back(std::ldexp(static_cast<float>(Hash(i + 77) % 256), -9));
      }
      SafetensorsBuilder b;
      b.Tensor("m.weight", "F8_E4M3", {rows, cols}, BytesOf(q))
          .Tensor("m.weight_scale", type,
                  per_row ? std::vector<int64_t>{rows, 1} : std::vector<int64_t>{1},
                  Encode(type, scale));
      const std::string said = per_row ? std::string(kFloat8Json) : Float8PerTensorJson();
      const std::string other = per_row ? Float8PerTensorJson() : std::string(kFloat8Json);
      ExpectError(LoadLayer(b, other, rows, cols).status, StatusCode::kDataLoss,
                  {"m.weight_scale", per_row ? "(7, 1)" : "(1)"});
      const Loaded loaded = LoadLayer(b, said, rows, cols);
      ASSERT_TRUE(loaded.status.ok()) << loaded.status;
      for (int64_t r = 0; r < rows; ++r) {
        const std::vector<float> row = loaded.Row(r);
        for (int64_t c = 0; c < cols; ++c) {
          ASSERT_EQ(row[c], kernels::f8_e4m3_to_f32(q[r * cols + c]) * scale[per_row ? r : 0]);
        }
      }
    }
  }
  SafetensorsBuilder bare;
  bare.Tensor("m.weight", "F8_E4M3", {rows, cols}, BytesOf(q));
  ExpectError(LoadLayer(bare, kFloat8Json, rows, cols).status, StatusCode::kNotFound,
              {"m.weight_scale"});
  SafetensorsBuilder bad;
  bad.Tensor("m.weight", "F8_E4M3", {rows, cols}, BytesOf(q))
      .Tensor("m.weight_scale", "F32", {1}, Encode("F32", {NAN}));
  ExpectError(LoadLayer(bad, Float8PerTensorJson(), rows, cols).status, StatusCode::kDataLoss,
              {"scale 0", "finite"});
  SafetensorsBuilder blocks;
  blocks.Tensor("m.weight", "F8_E4M3", {rows, cols}, BytesOf(q))
      .Tensor("m.weight_scale_inv", "F32", {1, 1}, Encode("F32", {1}));
  ExpectError(LoadLayer(blocks, kFloat8Json, rows, cols).status, StatusCode::kUnimplemented,
              {"m.weight_scale_inv"});
}

TEST(Quant, WhatContradictsTheConfiguration) {
  const Layer layer(16, 256, 64, false);
  const auto expect = [&](const SafetensorsBuilder& b, const std::string& config, StatusCode code,
                          std::initializer_list<std::string> texts) {
    const absl::Status status = LoadLayer(b, config, 16, 256).status;
    ExpectError(status, code, texts);
  };
  expect(layer.Packed(), "{}", StatusCode::kDataLoss, {"m.weight_packed", "says nothing"});
  expect(layer.Packed(), AwqJson(64), StatusCode::kDataLoss, {"another quantisation method"});
  expect(layer.Awq(), GroupJson(64, true), StatusCode::kDataLoss, {"another quantisation method"});
  expect(layer.Packed(), kFloat8Json, StatusCode::kDataLoss, {"4-bit integers", "group \"g\""});
  expect(layer.Packed(), GroupJson(32, true), StatusCode::kDataLoss,
         {"m.weight_scale", "(16, 4)", "(16, 8)"});
  expect(layer.Packed(), GroupJson(0, true), StatusCode::kDataLoss, {"m.weight_scale", "(16, 1)"});
  expect(layer.Packed(), GroupJson(64, false), StatusCode::kNotFound, {"m.weight_zero_point"});
  expect(layer.Packed(), GroupJson(48, true), StatusCode::kUnimplemented,
         {"groups of 48", "rows of 256"});
  expect(layer.Packed(), GroupJson(16, true), StatusCode::kUnimplemented, {"groups of 16"});
  expect(layer.Awq(), AwqJson(64), StatusCode::kNotFound, {"m.qzeros"});
  expect(layer.Packed().Tensor("m.weight_g_idx", "I32", {256}, std::string(1024, '\0')),
         GroupJson(64, true), StatusCode::kUnimplemented, {"m.weight_g_idx"});
  expect(layer.Packed().Tensor("m.weight", "F32", {1}, std::string(4, '\0')), GroupJson(64, true),
         StatusCode::kDataLoss, {"two forms"});
  ExpectError(LoadLayer(layer.Packed(), GroupJson(64, true), 256, 16).status,
              StatusCode::kUnimplemented, {"groups of 64"});
  ExpectError(LoadLayer(layer.Packed(), GroupJson(64, true), 8, 256).status, StatusCode::kDataLoss,
              {"m.weight_packed", "shape"});
  for (const std::vector<int64_t>& lie :
       {std::vector<int64_t>{256, 16}, {16, 257}, {-16, 256}, {INT64_MAX, 2}}) {
    SafetensorsBuilder b;
    b.Tensor("m.weight_packed", "I32", {16, 32}, layer.packed)
        .Tensor("m.weight_scale", "BF16", {16, 4}, layer.scales)
        .Tensor("m.weight_shape", "I64", {2}, BytesOf(lie));
    expect(b, GroupJson(64, true), StatusCode::kDataLoss, {"m.weight_shape", "says"});
  }
  SafetensorsBuilder types;
  types.Tensor("m.weight_packed", "F32", {16, 32}, layer.packed)
      .Tensor("m.weight_scale", "BF16", {16, 4}, layer.scales);
  expect(types, GroupJson(64, true), StatusCode::kUnimplemented, {"m.weight_packed", "F32"});
  SafetensorsBuilder int8;
  int8.Tensor("m.weight", "I8", {16, 256}, std::string(16 * 256, '\1'))
      .Tensor("m.weight_scale", "BF16", {16, 1}, layer.scales.substr(0, 32));
  expect(int8, GroupJson(64, true), StatusCode::kUnimplemented, {"m.weight", "I8"});
}

TEST(QuantConfig, OtherFormatsAreNamed) {
  const auto refused = [](const std::string& inner, std::initializer_list<std::string> texts,
                          StatusCode code = StatusCode::kUnimplemented) {
    const absl::Status status = Config("{\"quantization_config\": {" + inner + "}}").status();
    ExpectError(status, code, texts);
    EXPECT_FALSE(PlaceOf(status).tensor.empty());
  };
  for (const char* method : {"gptq", "bitsandbytes", "fp8", "fbgemm_fp8", "mxfp4", "hqq"}) {
    refused("\"quant_method\": \"" + std::string(method) + "\"", {method});
  }
  refused("\"quant_method\": \"awq\", \"bits\": 8, \"group_size\": 128", {"AWQ of 8 bits"});
  refused("\"quant_method\": \"awq\", \"bits\": 4, \"version\": \"gemv\"", {"gemv"});
  refused("\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 0", {"group_size", "is 0"},
          StatusCode::kDataLoss);
  refused("\"quant_method\": \"awq\"", {"bits"}, StatusCode::kDataLoss);
  refused("\"quant_method\": 3", {"unknown"});
  const auto group = [&](const std::string& weights, const std::string& format) {
    return "\"quant_method\": \"compressed-tensors\", \"format\": \"" + format +
           "\", \"config_groups\": {\"g\": {\"targets\": [\"Linear\"], \"weights\": {" + weights +
           "}}}";
  };
  const std::string int4 = "\"num_bits\": 4, \"type\": \"int\", ";
  const std::string fp8 = "\"num_bits\": 8, \"type\": \"float\", ";
  refused(group("\"num_bits\": 8, \"type\": \"int\", \"strategy\": \"channel\"", "int-quantized"),
          {"8-bit weights of type \"int\""});
  refused(group("\"num_bits\": 4, \"type\": \"float\", \"strategy\": \"group\"",
                "nvfp4-pack-quantized"),
          {"4-bit weights of type \"float\""});
  refused(group(int4 + "\"strategy\": \"group\", \"group_size\": 128", "marlin-24"), {"marlin-24"});
  refused(group(fp8 + "\"strategy\": \"block\"", "float-quantized"), {"block"});
  refused(group(int4 + "\"strategy\": \"tensor\"", "pack-quantized"), {"tensor"});
  refused(group(int4 + "\"strategy\": \"group\"", "pack-quantized"), {"group_size", "missing"},
          StatusCode::kDataLoss);
  for (const char* size : {"0", "-2", "9223372036854775807"}) {
    refused(group(int4 + "\"strategy\": \"group\", \"group_size\": " + size, "pack-quantized"),
            {"group_size", size}, StatusCode::kDataLoss);
  }
  refused(group(fp8 + "\"strategy\": \"channel\", \"symmetric\": false", "float-quantized"),
          {"zero points"});
  refused("\"quant_method\": \"compressed-tensors\"", {"config_groups"}, StatusCode::kDataLoss);
  refused("\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"g\": 3}", {"weights"},
          StatusCode::kDataLoss);
  refused(
      "\"quant_method\": \"compressed-tensors\", \"sparsity_config\": {\"format\": "
      "\"sparse-24-bitmask\"}, \"config_groups\": {}",
      {"sparse-24-bitmask"});
  ExpectError(Config("{\"quantization_config\": 3}").status(), StatusCode::kDataLoss, {"object"});
  auto none = Config("{\"quantization_config\": null}");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->method, QuantConfig::Method::kNone);
}

TEST(QuantConfig, TargetsOfOneGroup) {
  const auto group_of = [](const std::string& targets) {
    auto config = Config(R"({"quantization_config": {"quant_method": "compressed-tensors",
        "format": "pack-quantized", "config_groups": {"only": {"targets": )" +
                         targets + R"(, "weights": {"num_bits": 4, "type": "int",
        "strategy": "group", "group_size": 32}}}}})");
    EXPECT_TRUE(config.ok()) << config.status();
    return config->GroupOf("model.layers.0.self_attn.q_proj").status();
  };
  for (const char* targets : {R"(["Linear"])", R"(["re:.*self_attn.*"])",
                              R"(["x", "model.layers.0.self_attn.q_proj"])",
                              R"(["re:(?=a).b"])"}) {
    EXPECT_TRUE(group_of(targets).ok()) << targets << group_of(targets);
  }
  for (const char* targets : {R"(["re:.*feed_forward.*"])", R"(["model.layers.0"])", "[]"}) {
    ExpectError(group_of(targets), StatusCode::kDataLoss, {"self_attn.q_proj", "no target"});
  }
}

// As compressed-tensors' own reader: a group size says "group", -1 "channel", nothing "tensor".
TEST(QuantConfig, GroupsWithoutAStrategy) {
  const auto group = [](const std::string& type, const std::string& more) {
    const bool int4 = type == "int";
    return Config(R"({"quantization_config": {"quant_method": "compressed-tensors", "format": ")" +
                  std::string(int4 ? "pack-quantized" : "float-quantized") +
                  R"(", "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": )" +
                  (int4 ? "4" : "8") + R"(, "type": ")" + type + "\"" + more + "}}}}}");
  };
  for (const char* none : {"", ", \"strategy\": null"}) {
    const auto by_size = group("int", std::string(none) + ", \"group_size\": 64");
    ASSERT_TRUE(by_size.ok()) << by_size.status();
    EXPECT_EQ(by_size->groups[0].group_size, 64);
    for (const char* type : {"int", "float"}) {
      const auto channel = group(type, std::string(none) + ", \"group_size\": -1");
      ASSERT_TRUE(channel.ok()) << channel.status();
      EXPECT_EQ(channel->groups[0].group_size, 0);
      EXPECT_FALSE(channel->groups[0].per_tensor);
    }
    const auto tensor = group("float", none);
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_TRUE(tensor->groups[0].per_tensor);
    ExpectError(group("int", none).status(), StatusCode::kUnimplemented, {"tensor"});
    ExpectError(group("float", std::string(none) + ", \"group_size\": 64").status(),
                StatusCode::kUnimplemented, {"group"});
  }
}

TEST(QuantConfig, AwqSpellings) {
  const auto awq = [](const std::string& members) {
    return Config(R"({"quantization_config": {"quant_method": "awq", )" + members + "}}");
  };
  const auto own = awq(R"("w_bit": 4, "q_group_size": 64, "zero_point": false)");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->groups[0].group_size, 64);
  EXPECT_TRUE(own->groups[0].symmetric);
  EXPECT_EQ(awq(R"("bits": 4, "group_size": 32)")->groups[0].group_size, 32);
  EXPECT_EQ(awq(R"("bits": 4)")->groups[0].group_size, 128);
  EXPECT_EQ(awq(R"("bits": 4, "group_size": -1)")->groups[0].group_size, 0);
  ExpectError(awq(R"("w_bit": 4, "q_group_size": 0)").status(), StatusCode::kDataLoss,
              {"q_group_size", "is 0"});
  ExpectError(awq(R"("w_bit": 8)").status(), StatusCode::kUnimplemented, {"AWQ of 8 bits"});
}

// Entries are components of names: Mixtral's "gate" says nothing of a gate_proj.
TEST(QuantConfig, AwqModulesNotConverted) {
  const auto ignored = [](const std::string& entry, const std::string& module) {
    const auto config = Config(R"({"quantization_config": {"quant_method": "awq", "bits": 4,
        "modules_to_not_convert": [")" +
                               entry + R"("]}})");
    EXPECT_TRUE(config.ok()) << config.status();
    return !config->GroupOf(module).ok();
  };
  EXPECT_FALSE(ignored("gate", "model.layers.0.feed_forward.gate_proj"));
  EXPECT_FALSE(ignored("layers.1", "model.layers.11.self_attn.q_proj"));
  EXPECT_FALSE(ignored("proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(ignored("", "lm_head"));
  EXPECT_TRUE(ignored("gate", "model.layers.0.mlp.gate"));
  EXPECT_TRUE(ignored("gate", "model.layers.0.gate_a.gate.b"));
  EXPECT_TRUE(ignored("lm_head", "language_model.lm_head"));
  EXPECT_TRUE(ignored("self_attn", "model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(ignored("layers.1", "model.layers.1.self_attn.q_proj"));
  EXPECT_TRUE(ignored("model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.q_proj"));
}

TEST(QuantConfig, GroupsByTarget) {
  const auto weights = [](const char* bits, const char* type, const char* more) {
    return std::string("\"weights\": {\"num_bits\": ") + bits + ", \"type\": \"" + type +
           "\", \"strategy\": " + more + "}";
  };
  auto config = Config(
      R"json({"text_config": {"quantization_config": {"quant_method": "compressed-tensors",
      "format": "mixed-precision", "ignore": ["lm_head", "re:.*router$", "re:(?=x)"],
      "config_groups": {
    "a" : {"targets": ["Linear"], "format": "pack-quantized", )json" +
      weights("4", "int", "\"group\", \"group_size\": 32") +
      R"json(}, "b": {"targets": ["re:.*self_attn\\.(q|k)_proj$", "x.y"], "format": "float-quantized",)json" +
      weights("8", "float", "\"channel\"") + "}}}}}");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto name = [&](const std::string& module) {
    const auto group = config->GroupOf(module);
    return group.ok() ? (*group)->name : std::string(group.status().message());
  };
  EXPECT_EQ(name("model.layers.0.self_attn.q_proj"), "b");
  EXPECT_EQ(name("model.layers.0.self_attn.v_proj"), "a");
  EXPECT_EQ(name("x.y"), "b");
  EXPECT_NE(name("lm_head").find("modules that are not"), std::string::npos);
  EXPECT_NE(name("a.router").find("modules that are not"), std::string::npos);
  EXPECT_EQ(name("a.router.b"), "a");
}

}  // namespace
}  // namespace scout::test

// Files cut at every length and with every byte changed: a model that the forward pass takes, or an
// error. Under the sanitizers this also shows reads outside the bytes.
// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "tests/fuzz/model_oracle.h"
#include "tests/model/small_model.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

struct Outcome {
  int loaded = 0, refused = 0;
};

// Codes that bytes of a file may cause.
void Count(const absl::StatusOr<std::shared_ptr<const Model>>& model, const std::string& what,
           Outcome* outcome) {
  if (model.ok()) {
    EXPECT_EQ(ModelFault(**model), "") << what;
    ++outcome->loaded;
    return;
  }
  ++outcome->refused;
  switch (model.status().code()) {
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kNotFound:
      break;
    default:
      ADD_FAILURE() << what << ": " << model.status();
  }
  EXPECT_FALSE(model.status().message().empty()) << what;
  EXPECT_FALSE(PlaceOf(model.status()).file.empty()) << what << ": " << model.status();
}

// The length of the head of the files below: what names, shapes and sizes are in.
int64_t HeadOf(const std::string& bytes, const SmallModel& model) {
  int64_t data = 0;
  for (const auto& [name, tensor] : model.tensors) {
    data += static_cast<int64_t>(tensor.values.size()) * 4;
  }
  return std::max<int64_t>(0, static_cast<int64_t>(bytes.size()) - data);
}

using LoadBytes =
    std::function<absl::StatusOr<std::shared_ptr<const Model>>(const std::string& bytes)>;

// Cuts at every length, changes every byte. In the head, `masks` are the bits that flip (and one
// more, another from byte to byte), each a change of its own; behind it all bits of a byte flip.
Outcome CutAndFlip(const std::string& bytes, int64_t head, const std::vector<int>& masks,
                   const LoadBytes& load) {
  Outcome outcome;
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto model = load(bytes.substr(0, length));
    EXPECT_FALSE(model.ok()) << "cut at " << length;
    Count(model, "cut at " + std::to_string(length), &outcome);
  }
  const auto flip = [&](int64_t at, int mask) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ mask);
    Count(load(flipped), "byte " + std::to_string(at) + " ^ " + std::to_string(mask), &outcome);
  };
  for (int64_t at = 0; at < static_cast<int64_t>(bytes.size()); ++at) {
    if (at >= head) {
      flip(at, 0xFF);
      continue;
    }
    flip(at, 1 << at % 8);
    for (const int mask : masks) flip(at, mask);
  }
  return outcome;
}

// Numbers of weights may change unnoticed, all of them; of the head most changes are seen.
void ExpectOutcome(const Outcome& outcome, const std::string& bytes, int64_t head) {
  const auto size = static_cast<int64_t>(bytes.size());
  // Padding and the divisors of the rotation (which are checked) lie there too.
  EXPECT_GT(outcome.loaded, (size - head) * 9 / 10);
  EXPECT_GT(outcome.refused, size + head);
}

const std::vector<int> kFewMasks = {0x80, 0xFF};
const std::vector<int> kAllMasks = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF};

void DamageGguf(const std::vector<int>& masks) {
  const SmallModel small = SmallModel::Gguf();
  const std::string bytes = small.GgufBytes();
  Folder folder;
  const int64_t head = HeadOf(bytes, small);
  ExpectOutcome(
      CutAndFlip(bytes, head, masks,
                 [&](const std::string& b) { return Model::Load(folder.Write("m.gguf", b), {}); }),
      bytes, head);
}

void DamageSafetensors(const std::vector<int>& masks) {
  const SmallModel small = SmallModel::HuggingFace("F32");
  const std::string bytes = small.SafetensorsBytes();
  Folder folder;
  small.WriteFolder(folder);
  const int64_t head = HeadOf(bytes, small);
  ExpectOutcome(CutAndFlip(bytes, head, masks,
                           [&](const std::string& b) {
                             folder.Write("model.safetensors", b);
                             return Model::Load(folder.path(), {});
                           }),
                bytes, head);
}

// A quantised checkpoint as small as groups of 32 allow: one dense layer, of which q and k are
// quantised. The other matrices are bfloat16.
struct QuantisedModel {
  std::string config, weights;
  int64_t head = 0;  // bytes of `weights` before the data

  // `method`: "packed", "float8" or "awq".
  explicit QuantisedModel(const std::string& method) {
    std::string quant = R"({"quant_method":"awq","bits":4,"group_size":32,"zero_point":true,)"
                        R"("version":"gemm","modules_to_not_convert":["o_proj"]})";
    if (method != "awq") {
      const bool packed = method == "packed";
      quant = R"({"quant_method":"compressed-tensors","ignore":["re:.*o_proj$"],"format":")" +
              std::string(packed ? "pack-quantized" : "float-quantized") +
              R"(","config_groups":{"g":{"targets":["Linear"],"weights":{)" +
              (packed ? R"("num_bits":4,"type":"int","strategy":"group","group_size":32,)"
                        R"("symmetric":false}}}})"
                      : R"("num_bits":8,"type":"float","strategy":"channel"}}}})");
    }
    config = R"({"model_type":"llama4_text","hidden_size":32,"vocab_size":2,)"
             R"("num_hidden_layers":1,"num_attention_heads":1,"num_key_value_heads":1,)"
             R"("head_dim":8,"max_position_embeddings":64,"intermediate_size_mlp":2,)"
             R"("moe_layers":[],"tie_word_embeddings":true,"quantization_config":)" +
             quant + "}";
    SafetensorsBuilder b;
    const auto floats = [&b](const std::string& name, std::vector<int64_t> shape) {
      int64_t n = 1;
      for (int64_t d : shape) n *= d;
      b.Tensor(name, "BF16", shape, Encode("BF16", std::vector<float>(n, 0.5f)));
    };
    const auto linear = [&](const std::string& module, int64_t rows) {
      constexpr int64_t kCols = 32;
      const std::string scales = Encode("BF16", std::vector<float>(rows, 0.25f));
      if (method == "packed") {
        const int64_t shape[] = {rows, kCols};
        b.Tensor(module + ".weight_packed", "I32", {rows, kCols / 8},
                 std::string(rows * 16, '\x5A'))
            .Tensor(module + ".weight_scale", "BF16", {rows, 1}, scales)
            .Tensor(module + ".weight_zero_point", "I32", {rows / 8, 1},
                    std::string(rows / 2, '\x21'))
            .Tensor(module + ".weight_shape", "I64", {2},
                    std::string(reinterpret_cast<const char*>(shape), sizeof(shape)));
      } else if (method == "awq") {
        b.Tensor(module + ".qweight", "I32", {kCols, rows / 8},
                 std::string(kCols * rows / 2, '\x5A'))
            .Tensor(module + ".scales", "F16", {1, rows},
                    Encode("F16", std::vector<float>(rows, 0.25f)))
            .Tensor(module + ".qzeros", "I32", {1, rows / 8}, std::string(rows / 2, '\x21'));
      } else {
        b.Tensor(module + ".weight", "F8_E4M3", {rows, kCols}, std::string(rows * kCols, '\x35'))
            .Tensor(module + ".weight_scale", "BF16", {rows, 1}, scales);
      }
    };
    const std::string layer = "model.layers.0.";
    floats("model.embed_tokens.weight", {2, 32});
    floats("model.norm.weight", {32});
    floats(layer + "input_layernorm.weight", {32});
    floats(layer + "post_attention_layernorm.weight", {32});
    linear(layer + "self_attn.q_proj", 8);
    linear(layer + "self_attn.k_proj", 8);
    floats(layer + "self_attn.v_proj.weight", {8, 32});
    floats(layer + "self_attn.o_proj.weight", {32, 8});
    floats(layer + "feed_forward.gate_proj.weight", {2, 32});
    floats(layer + "feed_forward.up_proj.weight", {2, 32});
    floats(layer + "feed_forward.down_proj.weight", {32, 2});
    weights = b.Build();
    head = 8 + static_cast<int64_t>(b.Header().size());
  }
};

class QuantisedDamage : public testing::TestWithParam<const char*> {};

TEST_P(QuantisedDamage, Safetensors) {
  const QuantisedModel small(GetParam());
  Folder folder;
  folder.Write("config.json", small.config);
  const auto load = [&](const std::string& bytes) {
    folder.Write("model.safetensors", bytes);
    return Model::Load(folder.path(), {});
  };
  const auto whole = load(small.weights);
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (const kernels::Matrix* m : {&(*whole)->layers()[0].wq, &(*whole)->layers()[0].wk}) {
    EXPECT_TRUE(!kernels::quant_traits(m->type).is_float || m->row_scale != nullptr);
  }
  ExpectOutcome(CutAndFlip(small.weights, small.head, {0xFF}, load), small.weights, small.head);
}

TEST_P(QuantisedDamage, ConfigJson) {
  const QuantisedModel small(GetParam());
  Folder folder;
  folder.Write("model.safetensors", small.weights);
  const auto load = [&](const std::string& bytes) {
    folder.Write("config.json", bytes);
    return Model::Load(folder.path(), {});
  };
  ASSERT_TRUE(load(small.config).ok());
  const auto size = static_cast<int64_t>(small.config.size());
  const Outcome outcome = CutAndFlip(small.config, size, kFewMasks, load);
  EXPECT_GT(outcome.refused, 2 * size);
}

INSTANTIATE_TEST_SUITE_P(Damage, QuantisedDamage, testing::Values("packed", "float8", "awq"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Damage, Gguf) { DamageGguf(kFewMasks); }
TEST(Damage, Safetensors) { DamageSafetensors(kFewMasks); }
TEST(FullDamage, Gguf) { DamageGguf(kAllMasks); }
TEST(FullDamage, Safetensors) { DamageSafetensors(kAllMasks); }

TEST(Damage, ConfigJson) {
  const SmallModel small = SmallModel::HuggingFace("F32");
  const std::string bytes = small.ConfigJson();
  Folder folder;
  small.WriteFolder(folder);
  const Outcome outcome =
      CutAndFlip(bytes, static_cast<int64_t>(bytes.size()), kAllMasks, [&](const std::string& b) {
        folder.Write("config.json", b);
        return Model::Load(folder.path(), {});
      });
  EXPECT_GT(outcome.refused, 100);
}

// Every 4-byte number of the key/value part takes values that sizes overflow with.
TEST(Damage, GgufHugeNumbers) {
  const SmallModel small = SmallModel::Gguf();
  Folder folder;
  Outcome outcome;
  for (const auto& [key, value] : small.config) {
    for (const char* huge : {"4294967295", "2147483648", "1073741824", "65536", "0"}) {
      SmallModel changed = small;
      changed.config[key] = huge;
      Count(Model::Load(folder.Write("m.gguf", changed.GgufBytes()), {}), key + " = " + huge,
            &outcome);
    }
  }
  EXPECT_GT(outcome.refused, 50);
}

}  // namespace
}  // namespace scout::test

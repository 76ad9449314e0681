// Files cut at many lengths and with flipped header bits: success or an error, nothing else.
// Under the sanitizers this also shows reads outside the bytes. SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "tests/model/small_model.h"

namespace scout::test {
namespace {

struct Outcome {
  int loaded = 0, refused = 0;
};

// Codes that bytes of a file may cause.
void Count(const absl::StatusOr<std::shared_ptr<const Model>>& model, const std::string& what,
           Outcome* outcome) {
  if (model.ok()) {
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

// Cuts at every cut_step-th length, flips bits in every flip_step-th byte of the head.
Outcome CutAndFlip(const std::string& bytes, int64_t head, int cut_step, int flip_step,
                   const LoadBytes& load) {
  Outcome outcome;
  for (size_t length = 0; length < bytes.size(); length += cut_step) {
    const auto model = load(bytes.substr(0, length));
    EXPECT_FALSE(model.ok()) << "cut at " << length;
    Count(model, "cut at " + std::to_string(length), &outcome);
  }
  for (int64_t at = 0; at < head; at += flip_step) {
    // One bit, another one from byte to byte, and all bits: signs and lengths too.
    for (const int mask : {1 << (at / flip_step % 8), 0xFF}) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ mask);
      Count(load(flipped), "byte " + std::to_string(at) + " ^ " + std::to_string(mask), &outcome);
    }
  }
  return outcome;
}

void DamageGguf(int cut_step, int flip_step, int refused) {
  const SmallModel small = SmallModel::Gguf();
  const std::string bytes = small.GgufBytes();
  Folder folder;
  const Outcome outcome =
      CutAndFlip(bytes, HeadOf(bytes, small), cut_step, flip_step,
                 [&](const std::string& b) { return Model::Load(folder.Write("m.gguf", b), {}); });
  EXPECT_GT(outcome.loaded, 0);
  EXPECT_GT(outcome.refused, refused);
}

void DamageSafetensors(int cut_step, int flip_step, int refused) {
  const SmallModel small = SmallModel::HuggingFace("F32");
  const std::string bytes = small.SafetensorsBytes();
  Folder folder;
  small.WriteFolder(folder);
  const Outcome outcome =
      CutAndFlip(bytes, HeadOf(bytes, small), cut_step, flip_step, [&](const std::string& b) {
        folder.Write("model.safetensors", b);
        return Model::Load(folder.path(), {});
      });
  EXPECT_GT(outcome.refused, refused);
}

TEST(Damage, Gguf) { DamageGguf(61, 5, 500); }
TEST(Damage, Safetensors) { DamageSafetensors(61, 5, 500); }
TEST(FullDamage, Gguf) { DamageGguf(3, 1, 4000); }
TEST(FullDamage, Safetensors) { DamageSafetensors(3, 1, 4000); }

TEST(Damage, ConfigJson) {
  const SmallModel small = SmallModel::HuggingFace("F32");
  const std::string bytes = small.ConfigJson();
  Folder folder;
  small.WriteFolder(folder);
  const Outcome outcome =
      CutAndFlip(bytes, static_cast<int64_t>(bytes.size()), 1, 1, [&](const std::string& b) {
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

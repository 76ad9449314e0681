// Files cut at every length and with every byte changed: a model that the forward pass takes, or an
// error. Under the sanitizers this also shows reads outside the bytes.
// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "tests/fuzz/model_oracle.h"
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

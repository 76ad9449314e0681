// A model in several files is the same model: weights, identity, tokenizer.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <filesystem>

#include "tests/model/small_model.h"

namespace scout::test {
namespace {

std::string PartName(int number, int count) {
  return "m-0000" + std::to_string(number + 1) + "-of-0000" + std::to_string(count) + ".gguf";
}

void ExpectSame(const kernels::Matrix& a, const kernels::Matrix& b, const char* what) {
  ASSERT_EQ(a.data == nullptr, b.data == nullptr) << what;
  if (a.data == nullptr) return;
  ASSERT_EQ(a.type, b.type) << what;
  ASSERT_EQ(a.rows, b.rows) << what;
  ASSERT_EQ(a.row_bytes, b.row_bytes) << what;
  EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.rows * a.row_bytes)), 0) << what;
}

void ExpectSameFfn(const FfnWeights& a, const FfnWeights& b) {
  ExpectSame(a.gate, b.gate, "gate");
  ExpectSame(a.up, b.up, "up");
  ExpectSame(a.down, b.down, "down");
}

// Bit by bit, so that logits are equal too.
void ExpectSameModel(const Model& a, const Model& b) {
  EXPECT_EQ(a.identity(), b.identity());
  EXPECT_EQ(a.n_parameters(), b.n_parameters());
  ExpectSame(a.embedding(), b.embedding(), "embedding");
  ExpectSame(a.head(), b.head(), "head");
  const size_t norm = static_cast<size_t>(a.config().hidden) * sizeof(float);
  EXPECT_EQ(std::memcmp(a.final_norm(), b.final_norm(), norm), 0);
  ASSERT_EQ(a.layers().size(), b.layers().size());
  for (size_t i = 0; i < a.layers().size(); ++i) {
    const LayerWeights &x = a.layers()[i], &y = b.layers()[i];
    EXPECT_EQ(std::memcmp(x.attn_norm, y.attn_norm, norm), 0);
    EXPECT_EQ(std::memcmp(x.ffn_norm, y.ffn_norm, norm), 0);
    ExpectSame(x.wq, y.wq, "wq");
    ExpectSame(x.wk, y.wk, "wk");
    ExpectSame(x.wv, y.wv, "wv");
    ExpectSame(x.wo, y.wo, "wo");
    ExpectSame(x.router, y.router, "router");
    ExpectSameFfn(x.dense, y.dense);
    ExpectSameFfn(x.shared, y.shared);
    ASSERT_EQ(x.experts.size(), y.experts.size());
    for (size_t e = 0; e < x.experts.size(); ++e) ExpectSameFfn(x.experts[e], y.experts[e]);
  }
}

TEST(Split, EqualsTheWhole) {
  const SmallModel small = SmallModel::Gguf();
  Folder folder;
  auto whole = Model::Load(folder.Write("whole.gguf", small.GgufBytes()), {});
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (const int count : {2, 3, 9}) {
    for (int i = 0; i < count; ++i) folder.Write(PartName(i, count), small.GgufBytes(i, count));
    for (int i = 0; i < count; ++i) {
      auto split = Model::Load(folder.path() + "/" + PartName(i, count), {});
      ASSERT_TRUE(split.ok()) << split.status();
      ExpectSameModel(**whole, **split);
    }
  }
}

// Of another model with the same number of tensors: found by what the model then lacks.
TEST(Split, APartOfAnotherModel) {
  SmallModel small = SmallModel::Gguf();
  Folder folder;
  folder.Write(PartName(0, 2), small.GgufBytes(0, 2));
  SmallModel other;
  for (const auto& [name, tensor] : small.tensors) other.tensors["other." + name] = tensor;
  folder.Write(PartName(1, 2), other.GgufBytes(1, 2));
  const absl::Status status = Model::Load(folder.path() + "/" + PartName(1, 2), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_FALSE(PlaceOf(status).tensor.empty());
}

TEST(Split, SharedFixtureEqualsTheWhole) {
  const std::string root = SCOUT_SOURCE_DIR "/../shared/fixtures/gguf/scout-small/";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "../shared/fixtures is not at hand";
  auto whole = Model::Load(root + "Q8_0.gguf", {});
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (const char* part : {"00001", "00002", "00003"}) {
    const std::string path = root + "split/Q8_0-" + part + "-of-00003.gguf";
    auto split = Model::Load(path, {});
    ASSERT_TRUE(split.ok()) << split.status();
    ExpectSameModel(**whole, **split);
    auto tokenizer = Tokenizer::Load(path);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ((*tokenizer)->digest(), (*whole)->tokenizer()->digest());
  }
}

}  // namespace
}  // namespace scout::test

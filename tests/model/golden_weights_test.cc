// Every matrix of every golden model against sums computed from the files by other software.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <filesystem>
#include <optional>

#include "tests/model/small_model.h"

namespace scout::test {
namespace {

using kernels::Matrix;

struct Sums {
  double weighted = 0, scale = 0;
};

// tests/golden/make_golden.py, sums().
Sums SumOf(const Matrix& m) {
  Sums sums;
  std::vector<float> row(m.cols);
  for (int64_t r = 0; r < m.rows; ++r) {
    kernels::quant_traits(m.type).decode(static_cast<const uint8_t*>(m.data) + r * m.row_bytes,
                                         row.data(), m.cols);
    for (int64_t c = 0; c < m.cols; ++c) {
      const int64_t weight = (r * 31 + c * 17) % 101;
      const double term = static_cast<double>(row[c]) * static_cast<double>(weight);
      sums.weighted += term;
      sums.scale += std::abs(term);
    }
  }
  return sums;
}

Matrix Vector(const float* data, int64_t n) {
  return {data, kernels::QuantType::kF32, 1, n, n * 4};
}

// "blk.2.ffn_up_exps.weight[3]" -> the matrix in memory.
std::optional<Matrix> Find(const Model& model, const std::string& name) {
  const int64_t hidden = model.config().hidden;
  if (name == "token_embd.weight") return model.embedding();
  if (name == "output.weight") return model.head();
  if (name == "output_norm.weight") return Vector(model.final_norm(), hidden);
  int layer = 0, expert = -1;
  char kind[32] = {};
  if (std::sscanf(name.c_str(), "blk.%d.%31[a-z_].weight[%d]", &layer, kind, &expert) < 2) {
    return std::nullopt;
  }
  const LayerWeights& w = model.layers().at(layer);
  const std::string k = kind;
  if (k == "attn_norm") return Vector(w.attn_norm, hidden);
  if (k == "ffn_norm") return Vector(w.ffn_norm, hidden);
  if (k == "attn_q") return w.wq;
  if (k == "attn_k") return w.wk;
  if (k == "attn_v") return w.wv;
  if (k == "attn_output") return w.wo;
  if (k == "ffn_gate_inp") return w.router;
  const FfnWeights* ffn = expert >= 0             ? &w.experts.at(expert)
                          : k.ends_with("_shexp") ? &w.shared
                                                  : &w.dense;
  if (k.starts_with("ffn_gate")) return ffn->gate;
  if (k.starts_with("ffn_up")) return ffn->up;
  if (k.starts_with("ffn_down")) return ffn->down;
  return std::nullopt;
}

void Compare(const std::string& path, const Json& table) {
  SCOPED_TRACE(path);
  LoadOptions options;
  options.file_layout = true;  // SumOf reads rows
  auto model = Model::Load(path, options);
  ASSERT_TRUE(model.ok()) << model.status();
  int64_t elements = 0;
  for (size_t i = 0; i < table.names().size(); ++i) {
    const std::string& name = table.names()[i];
    const std::vector<Json>& want = table.items()[i].items();
    const std::optional<Matrix> matrix = Find(**model, name);
    ASSERT_TRUE(matrix.has_value()) << name;
    ASSERT_NE(matrix->data, nullptr) << name;
    EXPECT_EQ(matrix->rows, want[0].as_int()) << name;
    EXPECT_EQ(matrix->cols, want[1].as_int()) << name;
    const kernels::QuantTraits& traits = kernels::quant_traits(matrix->type);
    EXPECT_EQ(matrix->row_bytes, matrix->cols / traits.block_elems * traits.block_bytes) << name;
    const Sums sums = SumOf(*matrix);
    const double scale = want[3].as_double();
    EXPECT_NEAR(sums.scale, scale, 1e-5 * scale) << name;
    EXPECT_NEAR(sums.weighted, want[2].as_double(), 1e-9 * scale) << name;
    elements += matrix->rows * matrix->cols;
  }
  EXPECT_EQ((*model)->n_parameters(), elements);
  EXPECT_GT((*model)->weight_bytes(), 0);
  ASSERT_NE((*model)->tokenizer(), nullptr);
  EXPECT_EQ((*model)->tokenizer()->vocab_size(), (*model)->config().vocab);
}

TEST(GoldenWeights, EveryMatrixIsAsTheFileSays) {
  auto json = ParseJson(ReadFile(GoldenPath("weights.json")));
  ASSERT_TRUE(json.ok()) << json.status();
  ASSERT_GE(json->names().size(), 11u);
  for (size_t i = 0; i < json->names().size(); ++i) {
    Compare(GoldenPath(json->names()[i]), json->items()[i]);
  }
}

// All text fixtures in formats that load, where the folder beside the checkout exists.
TEST(SharedFixtures, LoadOrSayWhyNot) {
  namespace fs = std::filesystem;
  const fs::path root = fs::path(SCOUT_SOURCE_DIR) / ".." / "shared" / "fixtures";
  if (!fs::exists(root)) GTEST_SKIP() << "no folder " << root;
  int loaded = 0, refused = 0;
  const auto load = [&](const fs::path& path) {
    auto model = Model::Load(path.string(), {});
    if (model.ok()) {
      ++loaded;
      EXPECT_TRUE((*model)->has_weights()) << path;
    } else {
      ++refused;
      EXPECT_EQ(model.status().code(), absl::StatusCode::kUnimplemented)
          << path << ": " << model.status();
    }
  };
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().filename() == "config.json" &&
        entry.path().string().find("/gguf/") == std::string::npos) {
      load(entry.path().parent_path());
    }
    if (entry.path().extension() == ".gguf") load(entry.path());
  }
  EXPECT_GE(loaded, 16);
  RecordProperty("loaded", loaded);
  RecordProperty("refused", refused);
}

}  // namespace
}  // namespace scout::test

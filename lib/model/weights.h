// From tensors of a file to the matrices of the forward pass. SPDX-License-Identifier: Apache-2.0
//
// Two steps. Binding names every tensor that the configuration asks for, checks type and shape, and
// allocates nothing for the weights. Reading (lib/model/weight_reader.h) takes one buffer per
// matrix or stack and fills it in pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lib/format/checkpoint.h"
#include "lib/model/model.h"
#include "lib/model/quant_config.h"

namespace scout {

// One buffer of weights: the tensors it is made of and the matrices that lie in it.
struct WeightItem {
  enum class Kind {
    kRows,        // the tensor's bytes as they are, targets one after another
    kTransposed,  // WeightPlan::AddTransposed
    kVector,      // as f32
    kPacked,      // compressed-tensors int4: joined with scales and zero points to I4 blocks
    kAwq,         // AutoAWQ: the same, turned
    kFloat8,      // the bytes as they are, the scales as row_scale behind them
  };
  const TensorEntry* entry = nullptr;
  Kind kind = Kind::kRows;
  int64_t groups = 1;
  std::vector<kernels::Matrix*> targets;
  const float** vector = nullptr;
  // Of the last three kinds; null where there is none.
  const TensorEntry *scales = nullptr, *zeros = nullptr, *shape = nullptr;
  int64_t group = 0;  // elements per scale along a row

  // Every tensor of the item, `entry` first.
  std::vector<const TensorEntry*> sources() const;
  // Of its buffer, and where the factors of rows lie in it (kFloat8).
  int64_t bytes_held() const;
  int64_t row_scale_offset() const;
};

// Bytes of a matrix's data in its layout, without row_scale.
int64_t MatrixBytes(const kernels::Matrix& matrix);

class WeightPlan {
 public:
  // Both must outlive the plan.
  WeightPlan(const TensorTable& table, const QuantConfig& quant) : table_(table), quant_(quant) {}

  // Each Add binds one tensor: the target's shape and type are set now, its data at reading.
  // Targets must stay where they are until then. NotFound, Corrupt (shape) or Unsupported (type)
  // otherwise.

  // (rows, cols)
  absl::Status AddMatrix(const std::string& name, int64_t rows, int64_t cols,
                         kernels::Matrix* target);
  // A linear layer of a Hugging Face checkpoint, without ".weight": (rows, cols) of a float type,
  // or quantised as its tensors and the configuration say (lib/model/weights_quant.cc).
  absl::Status AddLinear(const std::string& module, int64_t rows, int64_t cols,
                         kernels::Matrix* target);
  // (n, rows, cols): one matrix per target
  absl::Status AddStack(const std::string& name, int64_t rows, int64_t cols,
                        const std::vector<kernels::Matrix*>& targets);
  // (n, cols, groups * rows), float types only: matrix i of the tensor is transposed and its rows
  // are cut into `groups` targets of (rows, cols), targets[i * groups + group].
  absl::Status AddTransposed(const std::string& name, int64_t groups, int64_t rows, int64_t cols,
                             const std::vector<kernels::Matrix*>& targets);
  // (n) of a float type, kept as f32
  absl::Status AddVector(const std::string& name, int64_t n, const float** target);

  bool Has(const std::string& name) const { return table_.find(name) != nullptr; }
  // A linear layer, quantised or not.
  bool HasModule(const std::string& module) const {
    return Has(module + ".weight") || Has(module + ".weight_packed") || Has(module + ".qweight");
  }
  const TensorTable& table() const { return table_; }
  const std::vector<WeightItem>& items() const { return items_; }
  // The tensors that were bound, sorted by name, and the others of the files.
  std::vector<const TensorEntry*> bound() const;
  std::vector<const TensorEntry*> unbound() const;

 private:
  // Finds the tensor and checks its shape and that its type is known (and a float, where asked).
  absl::StatusOr<const TensorEntry*> Bind(const std::string& name, bool float_only,
                                          const std::vector<int64_t>& shape);
  // A further tensor of a module: any of the types ("F16") and exactly one of the shapes.
  absl::StatusOr<const TensorEntry*> BindPart(const std::string& name,
                                              const std::vector<std::string_view>& types,
                                              const std::vector<std::vector<int64_t>>& shapes);
  absl::StatusOr<const TensorEntry*> Find(const std::string& name) const;
  ErrorPlace PlaceOfTensor(const TensorEntry& entry) const;
  absl::Status Use(const TensorEntry* entry);
  absl::Status AddPacked(const std::string& module, int64_t rows, int64_t cols,
                         kernels::Matrix* target);
  absl::Status AddAwq(const std::string& module, int64_t rows, int64_t cols,
                      kernels::Matrix* target);
  absl::Status AddFloat8(const std::string& module, int64_t rows, int64_t cols,
                         kernels::Matrix* target);

  const TensorTable& table_;
  const QuantConfig& quant_;
  std::vector<WeightItem> items_;
  std::unordered_set<const TensorEntry*> used_;
};

// "(4, 8)"
std::string ShapeText(const std::vector<int64_t>& shape);

// Binds every tensor of the configuration by the names of a Hugging Face checkpoint or a GGUF file.
// The configuration's tied_embeddings is set to what the files hold.
absl::Status BindHuggingFace(const TensorTable& table, ModelConfig* config, WeightPlan* plan,
                             ModelWeights* weights);
absl::Status BindGguf(const TensorTable& table, ModelConfig* config, WeightPlan* plan,
                      ModelWeights* weights);

}  // namespace scout

// From tensors of a file to the matrices of the forward pass. SPDX-License-Identifier: Apache-2.0
//
// Two steps. Binding names every tensor that the configuration asks for, checks type and shape, and
// allocates nothing for the weights. Reading takes one buffer per tensor and fills it in pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lib/format/checkpoint.h"
#include "lib/model/model.h"

namespace scout {

class WeightPlan {
 public:
  // The table must outlive the plan.
  explicit WeightPlan(const TensorTable& table) : table_(table) {}

  // Each Add binds one tensor: the target's shape and type are set now, its data by Read. Targets
  // must stay where they are until then. NotFound, Corrupt (shape) or Unsupported (type) otherwise.

  // (rows, cols)
  absl::Status AddMatrix(const std::string& name, int64_t rows, int64_t cols,
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

  // Reads every bound tensor, in file order. Progress counts bytes of the files. On failure or
  // cancellation the targets' data stays null and nothing remains allocated.
  absl::Status Read(const Progress& progress, std::vector<Buffer>* storage, int64_t* bytes_held);

  bool Has(const std::string& name) const { return table_.find(name) != nullptr; }
  // Names, types and shapes of the bound tensors, sorted: part of the identity.
  std::string TableText() const;
  std::vector<const TensorEntry*> bound() const;
  // Tensors of the files that were not bound.
  std::vector<const TensorEntry*> unbound() const;

 private:
  enum class Kind { kRows, kTransposed, kVector };
  struct Item {
    const TensorEntry* entry;
    Kind kind;
    int64_t groups = 1;
    std::vector<kernels::Matrix*> targets;
    const float** vector = nullptr;
  };
  class Reader;

  // Finds the tensor and checks its shape and that its type is known (and a float, where asked).
  absl::StatusOr<const TensorEntry*> Bind(const std::string& name, bool float_only,
                                          const std::vector<int64_t>& shape);
  const TensorTable& table_;
  std::vector<Item> items_;
  std::unordered_set<const TensorEntry*> used_;
};

// Binds every tensor of the configuration by the names of a Hugging Face checkpoint or a GGUF file.
// The configuration's tied_embeddings is set to what the files hold.
absl::Status BindHuggingFace(const TensorTable& table, ModelConfig* config, WeightPlan* plan,
                             ModelWeights* weights);
absl::Status BindGguf(const TensorTable& table, ModelConfig* config, WeightPlan* plan,
                      ModelWeights* weights);

}  // namespace scout

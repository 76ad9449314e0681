// A model of a few kilobytes as files, to be spoilt by tests. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "lib/model/model.h"
#include "tests/util/temp_folder.h"

namespace scout::test {

using Folder = TempFolder;

struct SmallTensor {
  std::string type;            // "F32", "F16", "BF16", or any name
  std::vector<int64_t> shape;  // outermost first
  std::vector<float> values;   // n_elements of them
};

// Two layers (the first dense and chunked, the second with two experts and global), hidden size 8,
// two heads of 4 on one key head, vocabulary 16.
struct SmallModel {
  std::map<std::string, std::string> config;  // key -> JSON text of its value
  std::map<std::string, SmallTensor> tensors;
  std::string prefix;  // of every tensor name, as written

  // Names and layouts of a Hugging Face checkpoint; experts fused, or a linear layer each.
  static SmallModel HuggingFace(const std::string& type = "F32", bool fused = true);
  // GGUF names; the configuration's keys become llama4.* keys in GgufBytes.
  static SmallModel Gguf();

  std::string ConfigJson() const;
  std::string SafetensorsBytes() const;
  // The whole file, or part `part` of a model split into n_parts (each with some of the tensors).
  std::string GgufBytes(int part = 0, int n_parts = 1) const;
  // Writes config.json and model.safetensors.
  void WriteFolder(const Folder& folder) const;
};

// The file's bytes of values in a float type.
std::string Encode(const std::string& type, const std::vector<float>& values);
// A row of the matrix as f32, without its row_scale.
std::vector<float> RowOf(const kernels::Matrix& matrix, int64_t row);
inline float At(const kernels::Matrix& matrix, int64_t row, int64_t col) {
  return RowOf(matrix, row)[col];
}
// A file or folder of tests/golden.
std::string GoldenPath(const std::string& name);
std::string ReadFile(const std::string& path);

// The status has the code and its message every text.
void ExpectError(const absl::Status& status, absl::StatusCode code,
                 std::initializer_list<std::string> texts);

}  // namespace scout::test

// Tensors and metadata of a model's files, whatever the container.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/quant/types.h"
#include "lib/format/file.h"
#include "lib/util/status.h"

namespace scout {

// Where a tensor's bytes lie. Checked at reading: the range is inside the file, nbytes is what
// shape and type need, no two tensors overlap, names are unique.
struct TensorEntry {
  std::string name;
  kernels::QuantType type = kernels::QuantType::kF32;
  // False: type is meaningless, type_name says what the file has. Where the size of that type is
  // not known either, nbytes is what the file says, or 0 where it says nothing (GGUF: only the
  // offset is checked then). False for an empty tensor of safetensors too.
  bool supported = true;
  std::string type_name;       // as the file spells it: "BF16", "Q4_K", "I32"
  std::vector<int64_t> shape;  // outermost first (row-major, as PyTorch), each >= 1 if supported
  int file = 0;                // index in TensorTable::files
  int64_t offset = 0;          // bytes from the start of the file
  int64_t nbytes = 0;

  // Of a supported tensor.
  int64_t n_elements() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
};

struct TensorTable {
  std::vector<std::shared_ptr<const File>> files;
  std::vector<TensorEntry> tensors;  // in file order
  // Index in tensors. Not abseil's hash map, here as elsewhere in the library: that one's
  // destructor breaks after an allocation that failed.
  std::map<std::string, int64_t, std::less<>> by_name;

  const TensorEntry* find(std::string_view name) const {
    auto it = by_name.find(name);
    return it == by_name.end() ? nullptr : &tensors[static_cast<size_t>(it->second)];
  }
};

}  // namespace scout

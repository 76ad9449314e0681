// Shared by the tests of the format room. SPDX-License-Identifier: Apache-2.0
#include "tests/format/format_test_util.h"

#include <algorithm>
#include <set>

namespace scout::test {

absl::StatusOr<Gguf> ParseGgufBytes(const std::string& bytes) {
  const std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return ParseGguf(MemorySource({copy.get(), bytes.size()}));
}

absl::StatusOr<std::vector<TensorEntry>> ParseSafetensorsBytes(const std::string& bytes) {
  const std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return ParseSafetensors(MemorySource({copy.get(), bytes.size()}), 0);
}

std::string TableFault(const std::vector<TensorEntry>& tensors, int64_t file_size) {
  std::set<std::string> names;
  for (const TensorEntry& t : tensors) {
    if (t.name.empty() || !names.insert(t.name).second) return "name " + t.name;
    __int128 elements = 1;
    for (int64_t d : t.shape) {
      if (d < (t.supported ? 1 : 0)) return t.name + ": dimension";
      elements *= d;
      if (elements > INT64_MAX) {
        if (t.supported) return t.name + ": element count";
        elements = INT64_MAX;
      }
    }
    if (t.type_name.empty()) return t.name + ": no type name";
    if (t.supported) {
      const kernels::QuantTraits& traits = kernels::quant_traits(t.type);
      if (t.type_name != traits.name) return t.name + ": type name " + t.type_name;
      const int64_t row = t.shape.empty() ? 1 : t.shape.back();
      if (row % traits.block_elems != 0) return t.name + ": partial block";
      if (elements / traits.block_elems * traits.block_bytes != t.nbytes) return t.name + ": size";
    }
    if (t.offset < 0 || t.nbytes < 0 || t.offset > file_size || t.nbytes > file_size - t.offset) {
      return t.name + ": range";
    }
    for (const TensorEntry& other : tensors) {
      if (&other == &t || other.nbytes == 0 || t.nbytes == 0) continue;
      if (t.offset < other.offset + other.nbytes && other.offset < t.offset + t.nbytes) {
        return t.name + ": overlaps " + other.name;
      }
    }
  }
  return "";
}

void ExpectError(const absl::Status& status, absl::StatusCode code,
                 std::initializer_list<std::string> texts) {
  EXPECT_EQ(status.code(), code) << status;
  for (const std::string& text : texts) {
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos)
        << "\"" << text << "\" is not in: " << status;
  }
}

}  // namespace scout::test

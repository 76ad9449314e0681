// A GGUF model in several files of any bytes: an error, or one table whose ranges lie in their
// files. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/format/gguf_split.cc lib/format/gguf.* lib/format/gguf_values.cc
// Sources: lib/format/header_reader.* lib/format/tensor_check.* lib/format/checkpoint.h
#include <set>

#include "lib/format/gguf.h"
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

namespace {

constexpr size_t kMostParts = 4;

// An input is the number of parts less 1, the part that the caller names, then each part: its
// length (2 bytes, little-endian; the last part is what is left), its bytes.
struct Parts {
  std::vector<std::string> files;
  size_t named = 0;

  explicit Parts(std::string_view bytes) {
    if (bytes.size() < 2) return;
    const size_t n = static_cast<uint8_t>(bytes[0]) % kMostParts + 1;
    named = static_cast<uint8_t>(bytes[1]) % n;
    bytes.remove_prefix(2);
    for (size_t i = 0; i < n; ++i) {
      size_t length = bytes.size();
      if (i + 1 < n && length >= 2) {
        length = std::min<size_t>(
            static_cast<uint8_t>(bytes[0]) | size_t{static_cast<uint8_t>(bytes[1])} << 8,
            length - 2);
        bytes.remove_prefix(2);
      }
      files.emplace_back(bytes.substr(0, length));
      bytes.remove_prefix(length);
    }
  }
};

[[maybe_unused]] std::string MutateParts(std::string_view bytes, scout::test::Random& random) {
  Parts parts(bytes);
  if (parts.files.empty()) return std::string(2, '\0');
  std::string& file = parts.files[random.Below(parts.files.size())];
  file = scout::test::MutateGguf(file, random);
  std::string out{static_cast<char>(parts.files.size() - 1), static_cast<char>(parts.named)};
  for (size_t i = 0; i < parts.files.size(); ++i) {
    std::string& part = parts.files[i];
    if (i + 1 < parts.files.size()) {
      part.resize(std::min<size_t>(part.size(), 0xFFFF));
      out += {static_cast<char>(part.size()), static_cast<char>(part.size() >> 8)};
    }
    out += part;
  }
  return out;
}

std::string NameOf(size_t part, size_t n) {
  return "m-0000" + std::to_string(part + 1) + "-of-0000" + std::to_string(n) + ".gguf";
}

}  // namespace

SCOUT_CUSTOM_MUTATOR(MutateParts);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using scout::test::Require;
  static const scout::test::Scratch folder;
  const Parts parts({reinterpret_cast<const char*>(data), size});
  const size_t n = parts.files.size();
  if (n == 0) return 0;
  for (size_t i = 0; i < n; ++i) folder.Write(NameOf(i, n).c_str(), parts.files[i]);
  const auto gguf = scout::ReadGguf(folder.path() + "/" + NameOf(parts.named, n));
  if (!gguf.ok()) {
    scout::test::RequireFileError(gguf.status());
    return 0;
  }
  const scout::TensorTable& table = gguf->table;
  std::set<std::string> names;
  for (const scout::TensorEntry& t : table.tensors) {
    Require(t.file >= 0 && t.file < static_cast<int>(table.files.size()));
    Require(names.insert(t.name).second && table.find(t.name) == &t);
  }
  for (size_t file = 0; file < table.files.size(); ++file) {
    std::vector<scout::TensorEntry> own;
    for (const scout::TensorEntry& t : table.tensors) {
      if (t.file == static_cast<int>(file)) own.push_back(t);
    }
    scout::test::CheckTable(own, table.files[file]->size());
  }
  return 0;
}

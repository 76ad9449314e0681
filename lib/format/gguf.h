// GGUF v2/v3 files: header, key/values and tensor table. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/format/byte_source.h"
#include "lib/format/checkpoint.h"

namespace scout {

// A metadata value. Integers of all widths are widened (u64 beyond int64 is refused), arrays keep
// their kind; arrays of arrays are refused as Unsupported.
using GgufValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

struct Gguf {
  int64_t version = 0;
  int64_t alignment = 32;
  std::map<std::string, GgufValue, std::less<>> metadata;
  TensorTable table;  // a file per part; shapes turned round to outermost first

  // Typed lookups: null where the key is absent or of another kind (int is accepted as double).
  const int64_t* find_int(std::string_view key) const;
  const std::string* find_string(std::string_view key) const;
  bool find_double(std::string_view key, double* out) const;
  bool find_bool(std::string_view key, bool* out) const;
  const std::vector<std::string>* find_strings(std::string_view key) const;
  const std::vector<int64_t>* find_ints(std::string_view key) const;
  const std::vector<double>* find_doubles(std::string_view key) const;
};

// Reads headers only, never tensor data. Any part of a model split over several files
// (NAME-00002-of-00003.gguf) gives the whole one: metadata of the first part, tensors of all.
// Limits hold before memory is taken: counts and lengths are compared with the bytes left. NotFound
// for a missing file or part, DataLoss for a damaged file or parts that do not belong together,
// Unsupported for big-endian files, version 1 and what lies beyond this library's limits.
absl::StatusOr<Gguf> ReadGguf(const std::string& path);
// One file or part from any bytes; table.files stays empty.
absl::StatusOr<Gguf> ParseGguf(const ByteSource& source);

}  // namespace scout

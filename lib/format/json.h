// JSON of configuration and tokenizer files as a plain value tree.
// SPDX-License-Identifier: Apache-2.0
// Parsing is nlohmann::json's SAX parser (lib/format/json.cc alone includes it); limits on depth,
// bytes and values hold before memory is taken.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/util/status.h"

namespace scout {

class Json {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }  // fits int64
  bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kDouble; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // Each requires its kind; as_double takes both number kinds.
  bool as_bool() const { return int_ != 0; }
  int64_t as_int() const { return int_; }
  double as_double() const {
    return kind_ == Kind::kInt ? static_cast<double>(int_) : std::bit_cast<double>(int_);
  }
  const std::string& as_string() const { return string_; }
  const std::vector<Json>& items() const { return items_; }  // of an array
  // Members of an object in file order: names()[i] -> items()[i]. Duplicate names are refused.
  const std::vector<std::string>& names() const;
  // Member of an object by name, or null (also where this is no object). Linear below 16 members,
  // by a sorted index above.
  const Json* find(std::string_view name) const;

 private:
  friend class JsonBuilder;
  struct Members {
    std::vector<std::string> names;
    std::vector<uint32_t> sorted;  // indices of names in order, where there are many
  };
  Kind kind_ = Kind::kNull;
  int64_t int_ =
      0;  // also a bool, and the bits of a double: trees of millions of values stay small
  std::string string_;
  std::vector<Json> items_;
  std::shared_ptr<const Members> members_;  // of an object
};

struct JsonLimits {
  int64_t max_bytes = int64_t{256} << 20;
  int max_depth = 64;
  int64_t max_values = 16'000'000;
  int64_t max_array = 16'000'000;  // values of one array
};

// DataLoss with the byte offset for text that is not JSON (RFC 8259, UTF-8 checked), Unsupported
// beyond a limit. The destructor of a deep tree does not recurse beyond max_depth.
absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

}  // namespace scout

// Typed lookups in GGUF metadata. SPDX-License-Identifier: Apache-2.0
#include "lib/format/gguf.h"

namespace scout {
namespace {

template <typename T>
const T* Find(const Gguf& gguf, std::string_view key) {
  const auto it = gguf.metadata.find(key);
  return it == gguf.metadata.end() ? nullptr : std::get_if<T>(&it->second);
}

}  // namespace

const int64_t* Gguf::find_int(std::string_view key) const { return Find<int64_t>(*this, key); }

const std::string* Gguf::find_string(std::string_view key) const {
  return Find<std::string>(*this, key);
}

bool Gguf::find_double(std::string_view key, double* out) const {
  if (const double* value = Find<double>(*this, key)) {
    *out = *value;
    return true;
  }
  if (const int64_t* value = Find<int64_t>(*this, key)) {
    *out = static_cast<double>(*value);
    return true;
  }
  return false;
}

bool Gguf::find_bool(std::string_view key, bool* out) const {
  const bool* value = Find<bool>(*this, key);
  if (value != nullptr) *out = *value;
  return value != nullptr;
}

const std::vector<std::string>* Gguf::find_strings(std::string_view key) const {
  return Find<std::vector<std::string>>(*this, key);
}

const std::vector<int64_t>* Gguf::find_ints(std::string_view key) const {
  return Find<std::vector<int64_t>>(*this, key);
}

const std::vector<double>* Gguf::find_doubles(std::string_view key) const {
  return Find<std::vector<double>>(*this, key);
}

}  // namespace scout

// Builds small GGUF files in memory for tests, right ones and wrong ones.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace scout::test {

// Type numbers of GGUF values.
enum GgufKind : uint32_t {
  kGgufU8 = 0,
  kGgufI8,
  kGgufU16,
  kGgufI16,
  kGgufU32,
  kGgufI32,
  kGgufF32,
  kGgufBool,
  kGgufString,
  kGgufArray,
  kGgufU64,
  kGgufI64,
  kGgufF64
};

// The bytes of a number as they lie in a little-endian file.
template <typename T>
std::string Raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
// A u64 length and the text.
std::string RawString(const std::string& text);

class GgufBuilder {
 public:
  uint32_t version = 3;
  std::string magic = "GGUF";
  int64_t alignment = 32;  // of the layout; says nothing in the file unless Alignment() is called
  // What the file says instead of the true counts, where >= 0.
  int64_t tensor_count = -1, key_count = -1;

  // A key with any value bytes.
  GgufBuilder& Key(const std::string& key, uint32_t kind, const std::string& value);
  GgufBuilder& U32(const std::string& key, uint32_t v) { return Key(key, kGgufU32, Raw(v)); }
  GgufBuilder& F32(const std::string& key, float v) { return Key(key, kGgufF32, Raw(v)); }
  GgufBuilder& Bool(const std::string& key, bool v) { return Key(key, kGgufBool, Raw<uint8_t>(v)); }
  GgufBuilder& Text(const std::string& key, const std::string& v) {
    return Key(key, kGgufString, RawString(v));
  }
  GgufBuilder& Strings(const std::string& key, const std::vector<std::string>& values);
  // An array: kind of the elements and what the file says of their count.
  GgufBuilder& Array(const std::string& key, uint32_t kind, uint64_t count,
                     const std::string& bytes) {
    return Key(key, kGgufArray, Raw(kind) + Raw(count) + bytes);
  }
  template <typename T>
  GgufBuilder& Numbers(const std::string& key, uint32_t kind, const std::vector<T>& values) {
    std::string bytes;
    for (T v : values) bytes += Raw(v);
    return Array(key, kind, values.size(), bytes);
  }
  GgufBuilder& Alignment(uint32_t a) {
    alignment = a;
    return U32("general.alignment", a);
  }
  // dims innermost first, as in the file. The data is placed behind that of the tensors before.
  GgufBuilder& Tensor(const std::string& name, const std::vector<uint64_t>& dims, uint32_t type,
                      const std::string& data);
  // A tensor whose entry says `offset`, without data of its own.
  GgufBuilder& TensorAt(const std::string& name, const std::vector<uint64_t>& dims, uint32_t type,
                        uint64_t offset);

  std::string Head() const;   // without padding and data
  std::string Build() const;  // ends with the last tensor's last byte

 private:
  std::string keys_, tensors_, data_;
  int64_t n_keys_ = 0, n_tensors_ = 0;
};

// A file of some hundred bytes with every kind of value and several types of tensors.
GgufBuilder SampleGguf();

}  // namespace scout::test

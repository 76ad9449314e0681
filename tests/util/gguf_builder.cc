// Builds small GGUF files in memory. SPDX-License-Identifier: Apache-2.0
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

void Pad(int64_t alignment, std::string* bytes) {
  while (static_cast<int64_t>(bytes->size()) % alignment != 0) bytes->push_back('\0');
}

}  // namespace

std::string RawString(const std::string& text) { return Raw<uint64_t>(text.size()) + text; }

GgufBuilder& GgufBuilder::Key(const std::string& key, uint32_t kind, const std::string& value) {
  keys_ += RawString(key) + Raw(kind) + value;
  ++n_keys_;
  return *this;
}

GgufBuilder& GgufBuilder::Strings(const std::string& key, const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& v : values) bytes += RawString(v);
  return Array(key, kGgufString, values.size(), bytes);
}

GgufBuilder& GgufBuilder::Tensor(const std::string& name, const std::vector<uint64_t>& dims,
                                 uint32_t type, const std::string& data) {
  Pad(alignment, &data_);
  TensorAt(name, dims, type, data_.size());
  data_ += data;
  return *this;
}

GgufBuilder& GgufBuilder::TensorAt(const std::string& name, const std::vector<uint64_t>& dims,
                                   uint32_t type, uint64_t offset) {
  tensors_ += RawString(name) + Raw(static_cast<uint32_t>(dims.size()));
  for (uint64_t d : dims) tensors_ += Raw(d);
  tensors_ += Raw(type) + Raw(offset);
  ++n_tensors_;
  return *this;
}

std::string GgufBuilder::Head() const {
  return magic + Raw(version) + Raw(tensor_count >= 0 ? tensor_count : n_tensors_) +
         Raw(key_count >= 0 ? key_count : n_keys_) + keys_ + tensors_;
}

std::string GgufBuilder::Build() const {
  std::string bytes = Head();
  if (data_.empty()) return bytes;
  Pad(alignment, &bytes);
  return bytes + data_;
}

GgufBuilder SampleGguf() {
  GgufBuilder b;
  b.Text("general.architecture", "llama4")
      .Key("k.u8", kGgufU8, Raw<uint8_t>(200))
      .Key("k.i8", kGgufI8, Raw<int8_t>(-100))
      .Key("k.u16", kGgufU16, Raw<uint16_t>(60000))
      .Key("k.i16", kGgufI16, Raw<int16_t>(-30000))
      .U32("k.u32", 4000000000u)
      .Key("k.i32", kGgufI32, Raw<int32_t>(-2000000000))
      .F32("k.f32", 0.5f)
      .Bool("k.bool", true)
      .Key("k.u64", kGgufU64, Raw<uint64_t>(uint64_t{1} << 62))
      .Key("k.i64", kGgufI64, Raw<int64_t>(-(int64_t{1} << 62)))
      .Key("k.f64", kGgufF64, Raw(-0.25))
      .Strings("a.strings", {"a", "",
                             "\xC4\xA0"
                             "b"})
      .Numbers<uint8_t>("a.u8", kGgufU8, {1, 255})
      .Numbers<int8_t>("a.i8", kGgufI8, {-1, 2})
      .Numbers<uint16_t>("a.u16", kGgufU16, {1, 65535})
      .Numbers<int16_t>("a.i16", kGgufI16, {-1})
      .Numbers<uint32_t>("a.u32", kGgufU32, {7, 8, 9})
      .Numbers<int32_t>("a.i32", kGgufI32, {-7})
      .Numbers<uint64_t>("a.u64", kGgufU64, {11})
      .Numbers<int64_t>("a.i64", kGgufI64, {-11})
      .Numbers<float>("a.f32", kGgufF32, {1.5f, -2.0f})
      .Numbers<double>("a.f64", kGgufF64, {2.5})
      .Numbers<uint8_t>("a.bool", kGgufBool, {0, 1})
      .Strings("a.none", {})
      .Tensor("norm.weight", {5}, 0, std::string(20, '\1'))
      .Tensor("half.weight", {3, 2}, 1, std::string(12, '\2'))
      .Tensor("q8.weight", {32, 2}, 8, std::string(68, '\3'))
      .Tensor("bf16.weight", {2, 3, 1, 2}, 30, std::string(24, '\4'))
      .Tensor("iq4.weight", {32}, 20, std::string(18, '\5'));
  return b;
}

}  // namespace scout::test

// Builds small safetensors files in memory. SPDX-License-Identifier: Apache-2.0
#include "tests/util/safetensors_builder.h"

#include <cstring>

namespace scout::test {

SafetensorsBuilder& SafetensorsBuilder::Tensor(const std::string& name, const std::string& dtype,
                                               const std::vector<int64_t>& shape,
                                               const std::string& data) {
  std::string dims;
  for (int64_t d : shape) dims += (dims.empty() ? "" : ",") + std::to_string(d);
  Member("\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + dims +
         "],\"data_offsets\":[" + std::to_string(data_.size()) + "," +
         std::to_string(data_.size() + data.size()) + "]}");
  return Data(data);
}

SafetensorsBuilder& SafetensorsBuilder::Member(const std::string& json) {
  if (!members_.empty()) members_ += ",";
  members_ += json;
  return *this;
}

std::string SafetensorsBuilder::Build() const { return SafetensorsFile(Header(), data_); }

std::string SafetensorsFile(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

SafetensorsBuilder SampleSafetensors() {
  SafetensorsBuilder b;
  b.Member("\"__metadata__\":{\"format\":\"pt\"}")
      .Tensor("model.norm.weight", "F32", {5}, std::string(20, '\1'))
      .Tensor("half", "F16", {2, 3}, std::string(12, '\2'))
      .Tensor("bf", "BF16", {1, 2, 2}, std::string(8, '\3'))
      .Tensor("scalar", "F32", {}, std::string(4, '\4'))
      .Tensor("packed", "I32", {3}, std::string(12, '\5'));
  return b;
}

}  // namespace scout::test

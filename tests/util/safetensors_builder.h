// Builds small safetensors files in memory for tests. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace scout::test {

class SafetensorsBuilder {
 public:
  // A tensor behind the ones before.
  SafetensorsBuilder& Tensor(const std::string& name, const std::string& dtype,
                             const std::vector<int64_t>& shape, const std::string& data);
  // One member of the header as JSON text: "name": value.
  SafetensorsBuilder& Member(const std::string& json);
  // Bytes that no tensor names.
  SafetensorsBuilder& Data(const std::string& data) {
    data_ += data;
    return *this;
  }
  std::string Header() const { return "{" + members_ + "}"; }
  std::string Build() const;

 private:
  std::string members_, data_;
};

// A file around any header text.
std::string SafetensorsFile(const std::string& header, const std::string& data);

// A file of some hundred bytes with metadata and several types.
SafetensorsBuilder SampleSafetensors();

}  // namespace scout::test

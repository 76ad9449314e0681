// Files for targets of readers that open paths. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "lib/util/status.h"

namespace scout::test {

// A folder below $TMPDIR (or /tmp) that goes away at the end of the process.
class Scratch {
 public:
  Scratch() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/scout_fuzz_XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) __builtin_trap();
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }
  // Writes a file and returns its path.
  std::string Write(const char* name, std::string_view bytes) const {
    const std::string path = path_ + "/" + name;
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() ||
        std::fclose(file) != 0) {
      __builtin_trap();
    }
    return path;
  }

 private:
  std::string path_;
};

// What bytes of a file may cause, and nothing else.
inline void RequireFileError(const absl::Status& status) {
  const bool typed = status.code() == absl::StatusCode::kDataLoss ||
                     status.code() == absl::StatusCode::kUnimplemented ||
                     status.code() == absl::StatusCode::kNotFound;
  if (!typed || status.message().empty()) __builtin_trap();
}

}  // namespace scout::test

// A file that gets its name when it is whole. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "tools/failure.h"

namespace scout::tool {

// Has a temporary name beside `path` until Finish; without a Finish it is removed. Path "-" is
// standard output; devices and pipes are written as they are. Failures name the path asked for.
class OutputFile {
 public:
  OutputFile() = default;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  Failure Open(const std::string& path);
  Failure Write(std::string_view bytes);
  // Flushes and gives the file its name.
  Failure Finish();
  const std::string& path() const { return asked_; }

 private:
  Failure System(int error_number) const;
  std::string asked_, path_, temporary_;
  std::FILE* file_ = nullptr;
};

}  // namespace scout::tool

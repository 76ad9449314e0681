// Where a reader of untrusted bytes gets them: a file, or memory in tests and fuzz targets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/format/file.h"
#include "lib/util/status.h"

namespace scout {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual int64_t size() const = 0;
  // Fills dst with [offset, offset + n): all of it or an error.
  virtual absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const = 0;
};

// The file must outlive it.
class FileSource : public ByteSource {
 public:
  explicit FileSource(const File& file) : file_(file) {}
  int64_t size() const override { return file_.size(); }
  absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const override {
    return file_.ReadAt(offset, dst, n);
  }

 private:
  const File& file_;
};

// The bytes must outlive it.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}
  int64_t size() const override { return static_cast<int64_t>(bytes_.size()); }
  absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const override;

 private:
  std::string_view bytes_;
};

// Text of a file for an error message: UTF-8 without control characters, cut where it is long.
std::string Printable(std::string_view text);
// Whether text can name a tensor or key: not empty, UTF-8, no control characters.
bool IsPlainName(std::string_view text);

}  // namespace scout

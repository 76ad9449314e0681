// A file opened for reading: size known, reads checked, errors that name it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/util/status.h"

namespace scout {

class File {
 public:
  // A regular file. NotFound, Unavailable (IO) or InvalidArgument (a directory, a device).
  static absl::StatusOr<std::shared_ptr<const File>> Open(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }  // at opening
  // Fills dst with [offset, offset + n): all of it or an error (a file cut while open: DataLoss).
  // Safe from several threads (pread, EINTR and short reads handled).
  absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const;

 private:
  File(std::string path, int fd, int64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}
  std::string path_;
  int fd_;
  int64_t size_;
};

// The whole file as bytes; Unsupported where it is larger than max_bytes.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, int64_t max_bytes);

}  // namespace scout

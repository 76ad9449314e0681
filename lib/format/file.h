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
  // Unavailable for a symbolic link where they are not to be followed.
  static absl::StatusOr<std::shared_ptr<const File>> Open(const std::string& path,
                                                          bool follow_links = true);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }  // at opening
  // Fills dst with [offset, offset + n): all of it or an error (a file cut while open: DataLoss).
  // Safe from several threads (pread, EINTR and short reads handled).
  absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const;
  // Tells the system that [offset, offset + n) is not needed in its page cache any longer. A hint.
  void DropCache(int64_t offset, int64_t n) const;
  // What changes when the file is replaced or written to: size, times of change of its data and of
  // what the system knows of it (which no program can set back) in nanoseconds, inode, device, as
  // text. At opening.
  const std::string& stamp() const { return stamp_; }
  int64_t changed_seconds() const { return changed_seconds_; }  // the data, since 1970, at opening

 private:
  File(std::string path, int fd, int64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}
  std::string path_, stamp_;
  int fd_;
  int64_t size_;
  int64_t changed_seconds_ = 0;
};

// The whole file as bytes; Unsupported where it is larger than max_bytes.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, int64_t max_bytes);

}  // namespace scout

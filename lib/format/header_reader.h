// Buffered reading of a binary header whose every length is untrusted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "lib/format/byte_source.h"

namespace scout {

static_assert(std::endian::native == std::endian::little, "file headers are read as they lie");

// Reads forward from byte 0 and never past `limit` bytes. Errors carry the offset.
class HeaderReader {
 public:
  HeaderReader(const ByteSource& source, int64_t limit);

  int64_t position() const { return position_; }
  // Bytes of the file behind the position: what a count or length can at most stand for.
  int64_t left() const { return source_.size() - position_; }

  template <typename T>
  absl::Status Read(T* out) {
    static_assert(std::is_arithmetic_v<T>);
    if (buffer_end_ - position_ < static_cast<int64_t>(sizeof(T))) {
      SCOUT_RETURN_IF_ERROR(Refill(sizeof(T)));
    }
    std::memcpy(out, buffer_.data() + (position_ - buffer_start_), sizeof(T));
    position_ += sizeof(T);
    return absl::OkStatus();
  }
  // A u64 length and as many bytes.
  absl::Status ReadString(int64_t max_bytes, std::string* out);
  // DataLoss where `count` items of at least `item_bytes` each cannot lie in the bytes left;
  // Unsupported where count > max_count. Written to `out` otherwise.
  absl::Status CheckCount(uint64_t count, int64_t item_bytes, int64_t max_count, const char* what,
                          int64_t* out) const;

  absl::Status Corrupt(std::string_view message) const;
  absl::Status Unsupported(std::string_view message) const;

 private:
  // Makes at least n bytes from the position on available; n <= the buffer's size.
  absl::Status Refill(int64_t n);
  absl::Status CheckLeft(int64_t n) const;

  const ByteSource& source_;
  const int64_t limit_;
  int64_t position_ = 0;
  int64_t buffer_start_ = 0, buffer_end_ = 0;  // range of the file that buffer_ holds
  std::vector<char> buffer_;
};

}  // namespace scout

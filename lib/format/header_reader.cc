// Buffered reading of a binary header. SPDX-License-Identifier: Apache-2.0
#include "lib/format/header_reader.h"

#include <algorithm>

namespace scout {
namespace {
constexpr int64_t kBufferBytes = int64_t{256} << 10;
}  // namespace

HeaderReader::HeaderReader(const ByteSource& source, int64_t limit)
    : source_(source),
      limit_(limit),
      buffer_(static_cast<size_t>(std::min(kBufferBytes, std::max<int64_t>(source.size(), 16)))) {}

absl::Status HeaderReader::Corrupt(std::string_view message) const {
  return AtPlace(CorruptError(message), {.offset = position_});
}

absl::Status HeaderReader::Unsupported(std::string_view message) const {
  return AtPlace(UnsupportedError(message), {.offset = position_});
}

absl::Status HeaderReader::CheckLeft(int64_t n) const {
  if (n > left()) {
    return Corrupt(absl::StrCat("the file is cut short: ", n, " bytes wanted at ", position_, ", ",
                                n - left(), " are missing"));
  }
  if (n > limit_ - position_) {
    return Unsupported(absl::StrCat("the header is larger than the limit of ", limit_, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status HeaderReader::Refill(int64_t n) {
  SCOUT_RETURN_IF_ERROR(CheckLeft(n));
  const int64_t size = std::min(left(), static_cast<int64_t>(buffer_.size()));
  SCOUT_RETURN_IF_ERROR(source_.ReadAt(position_, buffer_.data(), size));
  buffer_start_ = position_;
  buffer_end_ = position_ + size;
  return absl::OkStatus();
}

absl::Status HeaderReader::ReadString(int64_t max_bytes, std::string* out) {
  uint64_t length = 0;
  SCOUT_RETURN_IF_ERROR(Read(&length));
  int64_t n = 0;
  SCOUT_RETURN_IF_ERROR(CheckCount(length, 1, max_bytes, "bytes of a string", &n));
  SCOUT_RETURN_IF_ERROR(CheckLeft(n));
  if (n <= buffer_end_ - position_) {
    out->assign(buffer_.data() + (position_ - buffer_start_), static_cast<size_t>(n));
  } else {
    out->resize(static_cast<size_t>(n));
    SCOUT_RETURN_IF_ERROR(source_.ReadAt(position_, out->data(), n));
  }
  position_ += n;
  return absl::OkStatus();
}

absl::Status HeaderReader::CheckCount(uint64_t count, int64_t item_bytes, int64_t max_count,
                                      const char* what, int64_t* out) const {
  if (count > static_cast<uint64_t>(left() / item_bytes)) {
    return Corrupt(absl::StrCat(what, ": count ", count, " cannot lie in the ", left(),
                                " bytes left of the file (damaged, or cut short)"));
  }
  if (count > static_cast<uint64_t>(max_count)) {
    return Unsupported(
        absl::StrCat(what, ": count ", count, " is beyond the limit of ", max_count));
  }
  *out = static_cast<int64_t>(count);
  return absl::OkStatus();
}

}  // namespace scout

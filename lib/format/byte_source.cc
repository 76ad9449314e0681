// Memory as a byte source, and file text made fit for error messages.
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/byte_source.h"

#include <cstring>

#include "absl/strings/escaping.h"
#include "lib/util/checked.h"

namespace scout {
namespace {

// Length of the well-formed UTF-8 character at the start of text, 0 where there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = 0;
  unsigned char low = 0x80,
                high = 0xBF;  // bounds of the second byte: no overlong forms, surrogates
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

absl::Status MemorySource::ReadAt(int64_t offset, void* dst, int64_t n) const {
  if (!RangeFits(offset, n, size())) return CorruptError("read outside the bytes");
  if (n > 0) std::memcpy(dst, bytes_.data() + offset, static_cast<size_t>(n));
  return absl::OkStatus();
}

bool IsPlainName(std::string_view text) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0 || IsControl(text[0])) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Printable(std::string_view text) {
  constexpr size_t kMax = 120;
  std::string out;
  while (!text.empty() && out.size() < kMax) {
    const size_t length = Utf8Length(text);
    if (length == 0 || IsControl(text[0])) {
      absl::StrAppend(&out, "\\x", absl::BytesToHexString(std::string(text.substr(0, 1))));
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  if (!text.empty()) out.append("...");
  return out;
}

}  // namespace scout

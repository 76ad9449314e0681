// JSON text. SPDX-License-Identifier: Apache-2.0
#include "lib/model/json_writer.h"

#include <charconv>
#include <cmath>

namespace scout {

void JsonWriter::Line() {
  text_ += '\n';
  text_.append(static_cast<size_t>(depth_), ' ');
}

// Comma, line and key of the next value.
void JsonWriter::Begin(std::string_view key) {
  if (depth_ > 0) {
    Level& level = levels_[depth_ - 1];
    if (!level.empty) text_ += level.lines ? "," : ", ";
    level.empty = false;
    if (level.lines) Line();
  }
  if (key.empty()) return;
  Quote(key);
  text_ += ": ";
}

void JsonWriter::Open(std::string_view key, char bracket, bool lines) {
  Begin(key);
  text_ += bracket;
  if (depth_ < kMaxDepth) levels_[depth_++] = {bracket == '{' ? '}' : ']', lines, true};
}

void JsonWriter::Close() {
  if (depth_ == 0) return;
  const Level level = levels_[--depth_];
  if (level.lines && !level.empty) Line();
  text_ += level.close;
}

void JsonWriter::Int(std::string_view key, int64_t value) {
  Begin(key);
  char digits[24];
  text_.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

void JsonWriter::Number(std::string_view key, double value) {
  Begin(key);
  if (!std::isfinite(value)) {
    text_ += "null";
    return;
  }
  char digits[32];
  text_.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

void JsonWriter::Null(std::string_view key) {
  Begin(key);
  text_ += "null";
}

void JsonWriter::Bool(std::string_view key, bool value) {
  Begin(key);
  text_ += value ? "true" : "false";
}

void JsonWriter::String(std::string_view key, std::string_view utf8) {
  Begin(key);
  Quote(utf8);
}

void JsonWriter::Quote(std::string_view utf8) {
  constexpr char kHex[] = "0123456789abcdef";
  text_ += '"';
  for (char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (byte < 0x20) {
      text_ += "\\u00";
      text_ += kHex[byte >> 4];
      text_ += kHex[byte & 15];
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

}  // namespace scout

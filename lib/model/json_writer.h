// Writes indented JSON text, members in the order of the calls. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace scout {

// Objects are laid out over lines, arrays of numbers stay on one. A failed allocation passes
// through and leaves nothing behind, which protobuf's own JSON printer does not promise.
class JsonWriter {
 public:
  void OpenObject(std::string_view key = {}) { Open(key, '{', true); }
  void OpenArray(std::string_view key, bool lines) { Open(key, '[', lines); }
  void Close();
  void Int(std::string_view key, int64_t value);    // an empty key inside arrays
  void Number(std::string_view key, double value);  // shortest text with the same bits; NaN: null
  void Null(std::string_view key);
  void Bool(std::string_view key, bool value);
  void String(std::string_view key, std::string_view utf8);

  // The text, when everything is closed.
  const std::string& text() const { return text_; }

 private:
  void Open(std::string_view key, char bracket, bool lines);
  void Begin(std::string_view key);
  void Quote(std::string_view utf8);
  void Line();

  struct Level {
    char close;
    bool lines, empty;
  };
  static constexpr int kMaxDepth = 8;
  Level levels_[kMaxDepth] = {};
  int depth_ = 0;
  std::string text_;
};

}  // namespace scout

// Patterns of ignore files: the language of gitignore, matched without recursion or backtracking.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scout::tool {

// One pattern. `*` and `?` match within a name, `**` between slashes any number of folders, [a-z],
// [!a-z] and [[:alpha:]] one byte, a backslash takes the next byte literally. A pattern with a
// slash before its end counts from the folder it is written for, another matches the name at any
// depth; with a slash at its end it matches folders only; after "!" it brings back what earlier
// ones left out.
class Glob {
 public:
  // False for lines that hold no pattern: blank ones and comments.
  static bool FromLine(std::string_view line, Glob* glob);

  // `path` is relative to the pattern's folder, without a slash at either end. Time is at most
  // proportional to both lengths multiplied.
  bool Matches(std::string_view path, bool is_folder) const;
  // True where something below the folder `path` could match.
  bool MayMatchBelow(std::string_view path) const;
  bool negated() const { return negated_; }
  const std::string& text() const { return text_; }

 private:
  enum class Kind : uint8_t { kByte, kOne, kSet, kStar, kDeep, kFoldersEntry, kFolders, kNever };
  struct Token {
    Kind kind;
    unsigned char byte = 0;
    uint32_t set = 0;  // index in sets_
  };
  void Compile(std::string_view pattern);
  size_t CompileSet(std::string_view pattern, size_t at);
  void Close(std::vector<char>* states) const;
  void Step(unsigned char c, const std::vector<char>& states, std::vector<char>* next) const;

  std::string text_;
  bool negated_ = false, folders_only_ = false, name_only_ = false, literal_ = false;
  std::string plain_;  // where literal_: what has to be equal
  std::vector<Token> tokens_;
  std::vector<std::bitset<256>> sets_;
};

}  // namespace scout::tool

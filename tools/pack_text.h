// The text of packed files: what counts as text, clean UTF-8, lines that must not look like
// headers, and cutting. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scout::tool {

// What a file's bytes became.
struct PackText {
  std::string text;      // UTF-8; empty where why_not is not
  std::string why_not;   // why the bytes are not text
  int64_t replaced = 0;  // sequences that are not UTF-8, each now one U+FFFD
  bool utf16 = false;    // was UTF-16, by its byte order mark
};

// Binary is what holds a NUL byte, or where more than a tenth of the bytes are control characters
// or not UTF-8. A byte order mark is dropped; UTF-16 with one becomes UTF-8.
PackText ReadableText(std::string bytes);

// The name of a file on one line: as it is where it is UTF-8 without control characters, otherwise
// in double quotes with escapes as in C (\n, \", \\, \ooo).
std::string ShownPath(const std::string& path);

// A half-open range of bytes.
struct Piece {
  size_t begin, end;
};
enum class CutStyle : int32_t { kEnds, kHead, kTail, kSpread };

// About `bytes` of `text` in whole lines (long lines in whole characters), ascending, apart.
std::vector<Piece> ChoosePieces(std::string_view text, CutStyle style, size_t bytes);

// Where ChoosePieces looks for them in a text of `size` bytes.
std::vector<Piece> PlacePieces(size_t size, CutStyle style, size_t bytes);

// "### FILE: path", the pieces with a "### CUT: ..." line for what lies between them, a blank line.
// Lines that begin as these two do get a backslash in front. Where `escaped` is not NULL the number
// of such lines is added to it.
std::string Section(const std::string& shown_path, std::string_view text,
                    const std::vector<Piece>& pieces, int64_t* escaped);

// A part of a file that is too large to be held whole.
struct Slice {
  int64_t offset;
  std::string bytes;
};
// Without what may be the rest of a line, or where lines are long of a character, at a beginning
// that is not the file's and where `goes_on` at the end.
Slice MakeSlice(int64_t offset, std::string bytes, bool goes_on);

// As Section, of a file of `size` bytes: about `bytes` in all of its slices, which lie as
// PlacePieces says; "" where nothing is left. Marks name bytes of the file, and no lines.
std::string SlicedSection(const std::string& shown_path, const std::vector<Slice>& slices,
                          int64_t size, CutStyle style, size_t bytes, int64_t* escaped);

}  // namespace scout::tool

// Values as a model or a caller writes them, JSON or Python literals, read byte by byte and written
// as canonical text. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace scout {

// kJson is RFC 8259. kPython is what Python's ast.literal_eval takes, without tuples, sets, bytes,
// f-strings, \N{} escapes, complex numbers and adjacent strings that join; JSON's true, false and
// null mean what they mean there.
enum class LiteralDialect : uint8_t { kJson, kPython };

// How the value is written. The JSON forms are those of Python's json.dumps, which Llama 4's
// published formats are made with: ", " and ": " between items, numbers as Python prints them.
enum class LiteralForm : uint8_t {
  kJson,        // non-ASCII characters as they are
  kJsonAscii,   // non-ASCII characters as \u escapes
  kJsonIndent,  // over lines, indented by 4
  kPython,      // a Python literal, strings in double quotes
  kKeywords,    // an object as Python's keyword arguments: a=1, b="x"
};

// Reads one value. Bounded: no recursion, depth and length of a number limited; the written text is
// at most 6 times as long as the bytes read (indented: plus 8 bytes per value and level). A name
// given twice in an object is an error, as are strings that are not UTF-8, lone surrogates, and
// numbers beyond a double's range; integers have any length up to kMaxNumber digits.
class LiteralReader {
 public:
  enum class Step : uint8_t {
    kMore,    // the byte was taken
    kDone,    // the byte was taken and ended the value
    kBefore,  // the value had ended before this byte, which was not taken
    kError,   // this byte cannot be here; error() says why
  };
  static constexpr int kMaxNumber = 4300;  // bytes, as Python's int() has it

  // Writes to *out, which must outlive the reader.
  LiteralReader(LiteralDialect dialect, LiteralForm form, int max_depth, std::string* out)
      : dialect_(dialect), form_(form), max_depth_(max_depth), out_(out) {}

  Step Push(char c);
  // The end of the text: kDone where it ends the value, else kError.
  Step End();
  const std::string& error() const { return error_; }

 private:
  enum class State : uint8_t {
    kValue,      // before a value
    kFirstItem,  // after [
    kNextItem,   // after , in an array: a value, or in Python ]
    kFirstKey,   // after {
    kNextKey,    // after , in an object: a name, or in Python }
    kColon,      // after a name
    kAfter,      // after a value inside [ or {
    kNumber,
    kWord,
    kOpenQuote,  // after one quote: the string, or a second quote
    kTwoQuotes,  // after two: an empty string, or a third quote
    kString,
    kEscape,  // after a backslash
    kHex,     // in the digits of \x, \u, \U
    kOctal,
    kDone,
  };
  struct Level {
    bool object;
    bool empty = true;
    std::set<std::string> keys;
  };

  Step Fail(std::string_view why);
  Step Unexpected(char c, const char* wanted);
  Step BeginValue(char c);
  Step BeginString(char quote, bool raw);
  Step OpenLevel(bool object);
  Step CloseLevel(char c);
  Step EndValue();  // in any container
  Step EndString();
  Step EndNumber();
  Step EndWord();
  Step PushString(char c);
  Step PushEscape(char c);
  Step EndEscape(uint32_t code_point);
  Step PushUtf8(char c);
  Step PutCodePoint(uint32_t code_point);
  void BeginItem();  // the separator and line before an item
  void Line();

  const LiteralDialect dialect_;
  const LiteralForm form_;
  const int max_depth_;
  std::string* const out_;
  State state_ = State::kValue;
  std::vector<Level> levels_;
  std::string atom_;  // a number or word so far
  std::string key_;   // the name so far, decoded
  bool in_key_ = false;
  char quote_ = '"';
  bool raw_ = false;  // r"..."
  bool triple_ = false;
  bool raw_backslash_ = false;
  int quotes_ = 0;           // in a triple-quoted string: quotes read in a row
  uint32_t code_point_ = 0;  // of the escape being read
  int digits_ = 0;           // left to read of it
  uint32_t high_ = 0;        // a high surrogate that waits for its other half
  char utf8_[4] = {};
  int n_utf8_ = 0;
  std::string error_;
};

// The whole text as one value of JSON, written in `form` to *out. False, with *error set, where it
// is none.
bool RewriteJson(std::string_view json, LiteralForm form, int max_depth, std::string* out,
                 std::string* error);

// One character as a string of the form has it, and a whole string with its quotes. False, with
// *out as it was, where the text is not UTF-8.
void AppendLiteralChar(LiteralForm form, uint32_t code_point, std::string* out);
bool AppendLiteralString(LiteralForm form, std::string_view text, std::string* out);

constexpr size_t kMaxNameBytes = 256;  // of a function's or an argument's name
// Whether the text can stand before = in a call: [A-Za-z_][A-Za-z0-9_]*.
bool IsIdentifier(std::string_view text);
// Whether it can stand before ( in a call: an identifier that may also hold . and -, not at its
// end.
bool IsPythonName(std::string_view text);
inline bool IsIdentifierStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }
inline bool IsIdentifierPart(char c) { return IsIdentifierStart(c) || IsDigit(c); }
inline bool IsLiteralSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace scout

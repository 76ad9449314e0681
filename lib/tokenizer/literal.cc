// Reading one JSON or Python value byte by byte. SPDX-License-Identifier: Apache-2.0
// Python's rules are those of the language reference, "Lexical analysis", string literals.
#include "lib/tokenizer/literal.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/literal_number.h"
#include "lib/tokenizer/shown.h"
#include "lib/tokenizer/utf8.h"

namespace scout {
namespace {

bool IsHigh(uint32_t c) { return c >= 0xD800 && c < 0xDC00; }
bool IsLow(uint32_t c) { return c >= 0xDC00 && c < 0xE000; }

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
    return;
  }
  if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | c >> 6));
  } else {
    if (c < 0x10000) {
      out->push_back(static_cast<char>(0xE0 | c >> 12));
    } else {
      out->push_back(static_cast<char>(0xF0 | c >> 18));
      out->push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    }
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
  }
  out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
}

void AppendHex(uint32_t value, int digits, std::string* out) {
  for (int i = digits - 1; i >= 0; --i) out->push_back("0123456789abcdef"[value >> (4 * i) & 15]);
}

}  // namespace

void AppendLiteralChar(LiteralForm form, uint32_t c, std::string* out) {
  const bool python = form == LiteralForm::kPython || form == LiteralForm::kKeywords;
  const char* named = c == '"'    ? "\\\""
                      : c == '\\' ? "\\\\"
                      : c == '\n' ? "\\n"
                      : c == '\r' ? "\\r"
                      : c == '\t' ? "\\t"
                      : python    ? nullptr
                      : c == '\b' ? "\\b"
                      : c == '\f' ? "\\f"
                                  : nullptr;
  if (named != nullptr) {
    *out += named;
  } else if (c < 0x20) {
    *out += python ? "\\x" : "\\u";
    AppendHex(c, python ? 2 : 4, out);
  } else if (form == LiteralForm::kJsonAscii && c > 0x7E) {
    const bool pair = c >= 0x10000;
    *out += "\\u";
    AppendHex(pair ? 0xD800 + ((c - 0x10000) >> 10) : c, 4, out);
    if (pair) {
      *out += "\\u";
      AppendHex(0xDC00 + ((c - 0x10000) & 0x3FF), 4, out);
    }
  } else {
    AppendUtf8(c, out);
  }
}

bool AppendLiteralString(LiteralForm form, std::string_view text, std::string* out) {
  if (ValidUtf8Prefix(text) != text.size()) return false;
  out->push_back('"');
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(text, at);
    AppendLiteralChar(form, step.code_point, out);
    at += step.size;
  }
  out->push_back('"');
  return true;
}

bool IsIdentifier(std::string_view text) {
  if (text.empty() || !IsIdentifierStart(text[0])) return false;
  for (const char c : text) {
    if (!IsIdentifierPart(c)) return false;
  }
  return true;
}

bool IsPythonName(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes || !IsIdentifierStart(text[0])) return false;
  for (const char c : text) {
    if (!IsIdentifierPart(c) && c != '.' && c != '-') return false;
  }
  return IsIdentifierPart(text.back());
}

LiteralReader::Step LiteralReader::Fail(std::string_view why) {
  error_ = why;
  return Step::kError;
}

LiteralReader::Step LiteralReader::Unexpected(char c, const char* wanted) {
  return Fail(
      absl::StrCat("'", Shown(std::string_view(&c, 1)), "' where ", wanted, " was expected"));
}

LiteralReader::Step LiteralReader::Push(char c) {
  const bool space = IsLiteralSpace(c);
  switch (state_) {
    case State::kValue:
      return space ? Step::kMore : BeginValue(c);
    case State::kFirstItem:
    case State::kNextItem:
      if (space) return Step::kMore;
      if (c == ']' && (state_ == State::kFirstItem || dialect_ == LiteralDialect::kPython)) {
        return CloseLevel(c);
      }
      return BeginValue(c);
    case State::kFirstKey:
    case State::kNextKey:
      if (space) return Step::kMore;
      if (c == '}' && (state_ == State::kFirstKey || dialect_ == LiteralDialect::kPython)) {
        return CloseLevel(c);
      }
      if (c != '"' && (c != '\'' || dialect_ == LiteralDialect::kJson)) {
        return Unexpected(c, "a name in quotes");
      }
      in_key_ = true;
      key_.clear();
      return BeginString(c, /*raw=*/false);
    case State::kColon:
      if (space) return Step::kMore;
      if (c != ':') return Unexpected(c, "':'");
      state_ = State::kValue;
      return Step::kMore;
    case State::kAfter:
      if (space) return Step::kMore;
      if (c == ',') {
        state_ = levels_.back().object ? State::kNextKey : State::kNextItem;
        return Step::kMore;
      }
      return CloseLevel(c);
    case State::kNumber: {
      const bool after_e = (atom_.back() == 'e' || atom_.back() == 'E') && atom_.size() > 1 &&
                           atom_.find_first_of("xX") == std::string::npos;
      if (IsIdentifierPart(c) || c == '.' || (after_e && (c == '+' || c == '-'))) {
        if (atom_.size() >= static_cast<size_t>(kMaxNumber)) {
          return Fail(absl::StrCat("a number is longer than ", kMaxNumber, " bytes"));
        }
        atom_.push_back(c);
        return Step::kMore;
      }
      break;
    }
    case State::kWord:
      if (IsIdentifierPart(c)) {
        if (atom_.size() >= 16) return Fail(absl::StrCat("\"", atom_, "...\" is no value"));
        atom_.push_back(c);
        return Step::kMore;
      }
      if (dialect_ == LiteralDialect::kPython && (c == '"' || c == '\'') &&
          (atom_ == "r" || atom_ == "R")) {
        return BeginString(c, /*raw=*/true);
      }
      break;
    case State::kTwoQuotes:
      if (c == quote_) {
        triple_ = true;
        state_ = State::kString;
        return Step::kMore;
      }
      break;
    case State::kDone:
      return Step::kBefore;
    default:
      return PushString(c);
  }
  // A number, word or empty string that ends before this byte.
  const Step step = state_ == State::kNumber ? EndNumber()
                    : state_ == State::kWord ? EndWord()
                                             : EndString();
  if (step == Step::kError) return step;
  return step == Step::kDone ? Step::kBefore : Push(c);  // once: the state is now another
}

LiteralReader::Step LiteralReader::End() {
  Step step = Step::kError;
  if (levels_.empty() && !in_key_) {
    if (state_ == State::kDone) return Step::kDone;
    if (state_ == State::kNumber) step = EndNumber();
    if (state_ == State::kWord) step = EndWord();
    if (state_ == State::kTwoQuotes) step = EndString();
  }
  if (step == Step::kError && error_.empty()) error_ = "the text ends inside a value";
  return step;
}

LiteralReader::Step LiteralReader::BeginValue(char c) {
  const bool python = dialect_ == LiteralDialect::kPython;
  if (levels_.empty() && form_ == LiteralForm::kKeywords && c != '{') {
    return Unexpected(c, "'{'");
  }
  if (levels_.empty() || !levels_.back().object) BeginItem();
  if (c == '{') return OpenLevel(/*object=*/true);
  if (c == '[') return OpenLevel(/*object=*/false);
  if (c == '"' || (python && c == '\'')) return BeginString(c, /*raw=*/false);
  atom_.assign(1, c);
  if (IsDigit(c) || c == '-' || (python && (c == '+' || c == '.'))) {
    state_ = State::kNumber;
    return Step::kMore;
  }
  if (IsIdentifierStart(c)) {
    state_ = State::kWord;
    return Step::kMore;
  }
  return Unexpected(c, "a value");
}

LiteralReader::Step LiteralReader::OpenLevel(bool object) {
  if (static_cast<int>(levels_.size()) >= max_depth_) {
    return Fail(absl::StrCat("values are nested deeper than ", max_depth_));
  }
  if (!(form_ == LiteralForm::kKeywords && levels_.empty())) out_->push_back(object ? '{' : '[');
  levels_.push_back({.object = object});
  state_ = object ? State::kFirstKey : State::kFirstItem;
  return Step::kMore;
}

LiteralReader::Step LiteralReader::CloseLevel(char c) {
  const bool object = levels_.back().object;
  if (c != (object ? '}' : ']')) return Unexpected(c, object ? "',' or '}'" : "',' or ']'");
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty && form_ == LiteralForm::kJsonIndent) Line();
  if (!(form_ == LiteralForm::kKeywords && levels_.empty())) out_->push_back(c);
  return EndValue();
}

LiteralReader::Step LiteralReader::EndValue() {
  state_ = levels_.empty() ? State::kDone : State::kAfter;
  return levels_.empty() ? Step::kDone : Step::kMore;
}

void LiteralReader::BeginItem() {
  if (levels_.empty()) return;
  Level& level = levels_.back();
  const bool lines = form_ == LiteralForm::kJsonIndent;
  if (!level.empty) *out_ += lines ? "," : ", ";
  level.empty = false;
  if (lines) Line();
}

void LiteralReader::Line() {
  out_->push_back('\n');
  out_->append(levels_.size() * 4, ' ');
}

LiteralReader::Step LiteralReader::BeginString(char quote, bool raw) {
  quote_ = quote;
  raw_ = raw;
  raw_backslash_ = triple_ = false;
  quotes_ = 0;
  high_ = 0;
  if (!in_key_) out_->push_back('"');
  state_ = dialect_ == LiteralDialect::kPython ? State::kOpenQuote : State::kString;
  return Step::kMore;
}

LiteralReader::Step LiteralReader::EndString() {
  if (high_ != 0) return Fail("a string has half of a surrogate pair");
  if (!in_key_) {
    out_->push_back('"');
    return EndValue();
  }
  in_key_ = false;
  if (!levels_.back().keys.insert(key_).second) {
    return Fail(absl::StrCat("the name \"", Shown(key_), "\" comes twice"));
  }
  BeginItem();
  if (form_ == LiteralForm::kKeywords && levels_.size() == 1) {
    if (!IsIdentifier(key_)) {
      return Fail(
          absl::StrCat("\"", Shown(key_), "\" cannot be the name of an argument in Python"));
    }
    *out_ += key_;
    out_->push_back('=');
  } else {
    AppendLiteralString(form_, key_, out_);
    *out_ += ": ";
  }
  // In the keyword form the = is written here, so what follows the name is the same in all forms.
  state_ = State::kColon;
  return Step::kMore;
}

LiteralReader::Step LiteralReader::PushString(char c) {
  const auto byte = static_cast<uint8_t>(c);
  switch (state_) {
    case State::kOpenQuote:
      state_ = State::kString;
      if (c == quote_) {
        state_ = State::kTwoQuotes;
        return Step::kMore;
      }
      break;
    case State::kEscape:
      return PushEscape(c);
    case State::kHex: {
      const int digit = HexDigit(c);
      if (digit < 0) return Unexpected(c, "a hexadecimal digit");
      code_point_ = code_point_ << 4 | static_cast<uint32_t>(digit);
      return --digits_ == 0 ? EndEscape(code_point_) : Step::kMore;
    }
    case State::kOctal:
      if (c >= '0' && c <= '7' && digits_ > 0) {
        code_point_ = code_point_ << 3 | static_cast<uint32_t>(c - '0');
        --digits_;
        return Step::kMore;
      }
      if (const Step step = EndEscape(code_point_); step == Step::kError) return step;
      break;
    default:
      break;
  }
  if (n_utf8_ > 0 || byte >= 0x80) return PushUtf8(c);
  if (c == quote_ && !raw_backslash_) {
    if (!triple_) return EndString();
    if (++quotes_ == 3) return EndString();
    return Step::kMore;
  }
  for (; quotes_ > 0; --quotes_) {
    if (const Step step = PutCodePoint(static_cast<uint8_t>(quote_)); step == Step::kError) {
      return step;
    }
  }
  if (c == '\\' && !raw_) {
    state_ = State::kEscape;
    return Step::kMore;
  }
  raw_backslash_ = raw_ && c == '\\' && !raw_backslash_;
  const bool json = dialect_ == LiteralDialect::kJson;
  if (json ? byte < 0x20 : (byte == 0 || c == '\r' || (c == '\n' && !triple_))) {
    return Fail(
        absl::StrCat("a string has the control character '", Shown(std::string_view(&c, 1)), "'"));
  }
  return PutCodePoint(byte);
}

LiteralReader::Step LiteralReader::PushEscape(char c) {
  state_ = State::kString;
  switch (c) {
    case '"':
    case '\\':
      return EndEscape(static_cast<uint8_t>(c));
    case 'b':
      return EndEscape('\b');
    case 'f':
      return EndEscape('\f');
    case 'n':
      return EndEscape('\n');
    case 'r':
      return EndEscape('\r');
    case 't':
      return EndEscape('\t');
    case 'u':
      state_ = State::kHex;
      code_point_ = 0;
      digits_ = 4;
      return Step::kMore;
    default:
      break;
  }
  if (dialect_ == LiteralDialect::kJson) {
    if (c == '/') return EndEscape('/');
    return Unexpected(c, "an escape of JSON");
  }
  switch (c) {
    case '\'':
      return EndEscape('\'');
    case 'a':
      return EndEscape(7);
    case 'v':
      return EndEscape(11);
    case '\n':  // a continued line
      return Step::kMore;
    case 'x':
    case 'U':
      state_ = State::kHex;
      code_point_ = 0;
      digits_ = c == 'x' ? 2 : 8;
      return Step::kMore;
    case 'N':
      return Fail("a string has a \\N{} escape");
    default:
      break;
  }
  if (c >= '0' && c <= '7') {
    state_ = State::kOctal;
    code_point_ = static_cast<uint32_t>(c - '0');
    digits_ = 2;
    return Step::kMore;
  }
  // Python keeps the backslash of an escape that it does not know.
  if (const Step step = PutCodePoint('\\'); step == Step::kError) return step;
  return PushString(c);
}

LiteralReader::Step LiteralReader::EndEscape(uint32_t code_point) {
  const bool octal = state_ == State::kOctal;
  state_ = State::kString;
  if (octal && code_point > 0xFF) return Fail("an octal escape is above \\377");
  if (code_point > 0x10FFFF) return Fail("an escape is above U+10FFFF");
  if (high_ != 0) {
    if (!IsLow(code_point)) return Fail("a string has half of a surrogate pair");
    const uint32_t high = std::exchange(high_, 0);
    return PutCodePoint(0x10000 + ((high - 0xD800) << 10) + (code_point - 0xDC00));
  }
  if (IsLow(code_point)) return Fail("a string has half of a surrogate pair");
  if (IsHigh(code_point)) {
    high_ = code_point;
    return Step::kMore;
  }
  return PutCodePoint(code_point);
}

LiteralReader::Step LiteralReader::PushUtf8(char c) {
  for (; quotes_ > 0; --quotes_) {
    if (const Step step = PutCodePoint(static_cast<uint8_t>(quote_)); step == Step::kError) {
      return step;
    }
  }
  raw_backslash_ = false;
  utf8_[n_utf8_++] = c;
  const Utf8Step step = NextUtf8({utf8_, static_cast<size_t>(n_utf8_)}, 0);
  if (step.kind == Utf8Kind::kIncomplete) return Step::kMore;
  if (step.kind == Utf8Kind::kBad) return Fail("a string is not UTF-8");
  n_utf8_ = 0;
  return PutCodePoint(step.code_point);
}

LiteralReader::Step LiteralReader::PutCodePoint(uint32_t code_point) {
  if (high_ != 0) return Fail("a string has half of a surrogate pair");
  if (in_key_) {
    AppendUtf8(code_point, &key_);
  } else {
    AppendLiteralChar(form_, code_point, out_);
  }
  return Step::kMore;
}

LiteralReader::Step LiteralReader::EndNumber() {
  std::string why;
  if (!WriteNumber(atom_, dialect_ == LiteralDialect::kPython, out_, &why)) return Fail(why);
  return EndValue();
}

LiteralReader::Step LiteralReader::EndWord() {
  static constexpr struct {
    const char *python, *json;
  } kWords[] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
  const bool to_python = form_ == LiteralForm::kPython || form_ == LiteralForm::kKeywords;
  for (const auto& word : kWords) {
    if (atom_ == word.json || (dialect_ == LiteralDialect::kPython && atom_ == word.python)) {
      *out_ += to_python ? word.python : word.json;
      return EndValue();
    }
  }
  return Fail(absl::StrCat("\"", atom_, "\" is no value"));
}

bool RewriteJson(std::string_view json, LiteralForm form, int max_depth, std::string* out,
                 std::string* error) {
  LiteralReader reader(LiteralDialect::kJson, form, max_depth, out);
  bool done = false;
  for (size_t at = 0; at < json.size(); ++at) {
    if (done) {
      if (IsLiteralSpace(json[at])) continue;
      *error = absl::StrCat("text after the value at byte ", at);
      return false;
    }
    const LiteralReader::Step step = reader.Push(json[at]);
    if (step == LiteralReader::Step::kError) {
      *error = absl::StrCat(reader.error(), " at byte ", at);
      return false;
    }
    done = step != LiteralReader::Step::kMore;
    if (step == LiteralReader::Step::kBefore) --at;  // a space, or the error above
  }
  if (done || reader.End() == LiteralReader::Step::kDone) return true;
  *error = reader.error();
  return false;
}

}  // namespace scout

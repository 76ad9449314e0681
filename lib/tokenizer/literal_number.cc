// Numbers of JSON and Python. SPDX-License-Identifier: Apache-2.0
// Python's rules are those of the language reference, "Lexical analysis", numeric literals; how a
// float is written is float.__repr__: the shortest digits that read back equal, with an exponent
// below 1e-4 and from 1e16 on.
#include "lib/tokenizer/literal_number.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/tokenizer/literal.h"
#include "lib/tokenizer/shown.h"

namespace scout {
namespace {

bool Fail(std::string* error, std::string why) {
  *error = std::move(why);
  return false;
}

// What a number's text is, after its sign.
struct NumberShape {
  bool valid = false;
  bool integer = false;
  int base = 10;
  std::string digits;  // without underscores and prefix; of a float the whole text
};

// Digits with Python's single underscores between them, from *at on.
bool TakeDigits(std::string_view text, size_t* at, bool underscores, std::string* out) {
  const size_t begin = *at;
  while (*at < text.size()) {
    const char c = text[*at];
    if (IsDigit(c)) {
      out->push_back(c);
    } else if (!(c == '_' && underscores && *at > begin && text[*at - 1] != '_' &&
                 *at + 1 < text.size() && IsDigit(text[*at + 1]))) {
      break;
    }
    ++*at;
  }
  return *at > begin;
}

NumberShape PrefixedNumber(std::string_view text, int base) {
  NumberShape shape{.integer = true, .base = base};
  bool digit_before = true;  // an underscore may follow the prefix
  for (const char c : text.substr(2)) {
    const int value = HexDigit(c);
    if (c == '_' && digit_before) {
      digit_before = false;
      continue;
    }
    if (value < 0 || value >= base) return shape;
    shape.digits.push_back(c);
    digit_before = true;
  }
  shape.valid = digit_before && !shape.digits.empty();
  return shape;
}

NumberShape ShapeOf(std::string_view text, bool python) {
  if (python && text.size() > 2 && text[0] == '0') {
    const char kind = text[1];
    if (kind == 'x' || kind == 'X') return PrefixedNumber(text, 16);
    if (kind == 'o' || kind == 'O') return PrefixedNumber(text, 8);
    if (kind == 'b' || kind == 'B') return PrefixedNumber(text, 2);
  }
  NumberShape shape;
  size_t at = 0;
  const bool whole = TakeDigits(text, &at, python, &shape.digits);
  const bool zero_first = whole && shape.digits[0] == '0';
  const bool only_zeros = shape.digits.find_first_not_of('0') == std::string::npos;
  if (at == text.size()) {
    shape.integer = true;
    shape.valid = whole && (!zero_first || shape.digits.size() == 1 || (python && only_zeros));
    return shape;
  }
  if (!whole && !python) return shape;
  if (!python && zero_first && shape.digits.size() > 1) return shape;
  bool fraction = false;
  if (text[at] == '.') {
    ++at;
    shape.digits.push_back('.');
    fraction = TakeDigits(text, &at, python, &shape.digits);
    if (!fraction && (!python || !whole)) return shape;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    shape.digits.push_back('e');
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
      shape.digits.push_back(text[at++]);
    }
    if (!TakeDigits(text, &at, python, &shape.digits)) return shape;
  }
  shape.valid = at == text.size();
  return shape;
}

void WriteFloat(double value, std::string* out) {
  if (std::signbit(value)) out->push_back('-');
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), std::fabs(value),
                                 std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const std::string_view power = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  const auto n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out->push_back(digits[0]);
    if (n > 1) {
      out->push_back('.');
      *out += digits.substr(1);
    }
    const int magnitude = exponent < 0 ? -exponent : exponent;
    absl::StrAppend(out, exponent < 0 ? "e-" : "e+", magnitude < 10 ? "0" : "", magnitude);
  } else if (exponent < 0) {
    *out += "0.";
    out->append(static_cast<size_t>(-exponent - 1), '0');
    *out += digits;
  } else {
    for (int i = 0; i < n || i <= exponent; ++i) {
      if (i == exponent + 1) out->push_back('.');
      out->push_back(i < n ? digits[static_cast<size_t>(i)] : '0');
    }
    if (n <= exponent + 1) *out += ".0";
  }
}

}  // namespace

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool WriteNumber(std::string_view number, bool python, std::string* out, std::string* error) {
  std::string_view text = number;
  const bool minus = text[0] == '-';
  if (minus || text[0] == '+') text.remove_prefix(1);
  const NumberShape shape = ShapeOf(text, python);
  if (!shape.valid) return Fail(error, absl::StrCat("\"", Shown(number), "\" is no number"));
  if (!shape.integer) {
    double value = 0;
    if (!absl::SimpleAtod(shape.digits, &value) || !std::isfinite(value)) {
      return Fail(error, absl::StrCat("\"", Shown(number), "\" is beyond the range of a double"));
    }
    WriteFloat(minus ? -value : value, out);
    return true;
  }
  std::string digits = shape.digits;
  if (shape.base != 10) {
    uint64_t value = 0;
    const auto [end, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, shape.base);
    if (code != std::errc()) {
      return Fail(error, absl::StrCat("\"", Shown(number), "\" is beyond 64 bits"));
    }
    digits = absl::StrCat(value);
  } else {
    const size_t first = digits.find_first_not_of('0');
    digits = first == std::string::npos ? "0" : digits.substr(first);
  }
  if (minus && digits != "0") out->push_back('-');
  *out += digits;
  return true;
}

}  // namespace scout

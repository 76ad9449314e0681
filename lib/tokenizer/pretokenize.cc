// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/pretokenize.h"

#include <array>
#include <string>

#include "lib/tokenizer/shown.h"
#include "lib/tokenizer/unicode_tables.h"
#include "lib/tokenizer/utf8.h"

namespace scout {
namespace {

constexpr std::string_view kLlama4Regex =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr uint32_t Bit(CharClass c) { return 1u << static_cast<uint32_t>(c); }
// Classes of the expressions, as sets of CharClass.
constexpr uint32_t kLetters =
    Bit(CharClass::kUpper) | Bit(CharClass::kLower) | Bit(CharClass::kOtherLetter);
constexpr uint32_t kHead =  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    Bit(CharClass::kUpper) | Bit(CharClass::kOtherLetter) | Bit(CharClass::kMark);
constexpr uint32_t kTail =  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
    Bit(CharClass::kLower) | Bit(CharClass::kOtherLetter) | Bit(CharClass::kMark);
constexpr uint32_t kNumbers = Bit(CharClass::kNumber);
constexpr uint32_t kSpaces = Bit(CharClass::kSpace);
constexpr uint32_t kSymbols = Bit(CharClass::kOther) | Bit(CharClass::kMark);  // [^\s\p{L}\p{N}]

constexpr size_t kNone = static_cast<size_t>(-1);

// A character of valid text, and an empty one (size 0, in no set) at its end.
struct Char {
  uint32_t code_point = 0;
  uint32_t bit = 0;
  uint32_t size = 0;
  bool in(uint32_t set) const { return (bit & set) != 0; }
};

// Most text is ASCII, which needs neither decoding nor the large tables.
constexpr std::array<uint8_t, 128> MakeAsciiBits() {
  std::array<uint8_t, 128> bits{};
  for (size_t c = 0; c < bits.size(); ++c) {
    CharClass name = CharClass::kOther;
    if (c >= 'A' && c <= 'Z') name = CharClass::kUpper;
    if (c >= 'a' && c <= 'z') name = CharClass::kLower;
    if (c >= '0' && c <= '9') name = CharClass::kNumber;
    if (c == ' ' || (c >= '\t' && c <= '\r')) name = CharClass::kSpace;
    bits[c] = static_cast<uint8_t>(Bit(name));
  }
  return bits;
}
constexpr std::array<uint8_t, 128> kAsciiBits = MakeAsciiBits();

Char AtBeyondAscii(std::string_view text, size_t at) {
  const Utf8Step step = NextUtf8(text, at);
  return {step.code_point, Bit(ClassOf(step.code_point)), step.size};
}

inline Char At(std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 0x80) return {byte, kAsciiBits[byte], 1};
  return AtBeyondAscii(text, at);
}

inline size_t SkipRun(std::string_view text, size_t at, uint32_t set) {
  for (Char c = At(text, at); c.in(set); c = At(text, at)) at += c.size;
  return at;
}

inline bool IsNewline(const Char& c) { return c.code_point == '\r' || c.code_point == '\n'; }
inline bool NotNewlineLetterOrNumber(const Char& c) {
  return c.size != 0 && !c.in(kLetters | kNumbers) && !IsNewline(c);
}

// 's 't 're 've 'm 'll 'd at `at`: the end, or `at` where there is none. With fold, letters of
// either case and U+017F, which folds to s.
size_t SkipContraction(std::string_view text, size_t at, bool fold) {
  if (at + 1 >= text.size() || text[at] != '\'') return at;
  const auto letter = [&](size_t i) -> char {
    if (i >= text.size()) return 0;
    const char c = text[i];
    return fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(at + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (fold && text.substr(at + 1, 2) == "\xC5\xBF") return at + 3;
  const char second = letter(at + 2);
  if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
  if (first == 'l' && second == 'l') return at + 3;
  return at;
}

// [head]*[tail]+ from `at`, or kNone.
size_t HeadsThenTails(std::string_view text, size_t at) {
  size_t last_both = kNone;  // end of the last character that is head and tail
  Char c = At(text, at);
  while (c.in(kHead)) {
    at += c.size;
    if (c.in(kTail)) last_both = at;
    c = At(text, at);
  }
  if (c.in(kTail)) return SkipRun(text, at, kTail);
  // No tail follows the heads: the expression gives heads back until one serves as a tail.
  return last_both;
}

// [head]+[tail]* from `at`, or kNone.
size_t HeadThenMaybeTails(std::string_view text, size_t at) {
  const size_t end = SkipRun(text, at, kHead);
  return end == at ? kNone : SkipRun(text, end, kTail);
}

// The two word alternatives of kLlama4; kNone where neither matches.
size_t Llama4Word(std::string_view text, size_t at, const Char& first) {
  const bool prefix = NotNewlineLetterOrNumber(first);
  size_t end = kNone;
  if (prefix) end = HeadsThenTails(text, at + first.size);
  if (end == kNone) end = HeadsThenTails(text, at);
  if (end == kNone && prefix) end = HeadThenMaybeTails(text, at + first.size);
  if (end == kNone) end = HeadThenMaybeTails(text, at);
  return end == kNone ? kNone : SkipContraction(text, end, /*fold=*/true);
}

size_t UpToThreeNumbers(std::string_view text, size_t at) {
  for (int i = 0; i < 3; ++i) {
    const Char c = At(text, at);
    if (!c.in(kNumbers)) break;
    at += c.size;
  }
  return at;
}

// " ?[set]+" from `at`, or kNone.
size_t SpaceThenRun(std::string_view text, size_t at, const Char& first, uint32_t set) {
  const size_t start = first.code_point == ' ' ? at + 1 : at;
  const size_t end = SkipRun(text, start, set);
  return end == start ? kNone : end;
}

// "\s+(?!\S)|\s+", and before it "\s*[\r\n]+" where newlines end a piece. `at` is at a space.
size_t SpaceRun(std::string_view text, size_t at, bool newlines_end) {
  size_t end = at, last_start = at, after_newline = kNone;
  for (Char c = At(text, at); c.in(kSpaces); c = At(text, end)) {
    last_start = end;
    end += c.size;
    if (IsNewline(c)) after_newline = end;
  }
  if (newlines_end && after_newline != kNone) return after_newline;
  // The last space before a word belongs to the word, unless it is the only one.
  return end < text.size() && last_start > at ? last_start : end;
}

size_t Llama4Piece(std::string_view text, size_t at) {
  const Char first = At(text, at);
  if (first.in(kNumbers)) return UpToThreeNumbers(text, at);
  size_t end = Llama4Word(text, at, first);
  if (end != kNone) return end;
  end = SpaceThenRun(text, at, first, kSymbols);
  if (end == kNone) return SpaceRun(text, at, /*newlines_end=*/true);
  while (end < text.size() && (text[end] == '\r' || text[end] == '\n' || text[end] == '/')) ++end;
  return end;
}

size_t Llama3Piece(std::string_view text, size_t at) {
  const size_t contraction = SkipContraction(text, at, /*fold=*/true);
  if (contraction != at) return contraction;
  const Char first = At(text, at);
  if (first.in(kNumbers)) return UpToThreeNumbers(text, at);
  const size_t start = NotNewlineLetterOrNumber(first) ? at + first.size : at;
  size_t end = SkipRun(text, start, kLetters);
  if (end != start) return end;
  end = SpaceThenRun(text, at, first, kSymbols);
  if (end == kNone) return SpaceRun(text, at, /*newlines_end=*/true);
  while (end < text.size() && (text[end] == '\r' || text[end] == '\n')) ++end;
  return end;
}

size_t Gpt2Piece(std::string_view text, size_t at) {
  const size_t contraction = SkipContraction(text, at, /*fold=*/false);
  if (contraction != at) return contraction;
  const Char first = At(text, at);
  for (const uint32_t set : {kLetters, kNumbers, kSymbols}) {
    const size_t end = SpaceThenRun(text, at, first, set);
    if (end != kNone) return end;
  }
  return SpaceRun(text, at, /*newlines_end=*/false);
}

// kGpt2 sees what lies between two numbers as a text of its own. A space run can be the one piece
// that notices: it is whole where the text ends, and gives up its last space where it goes on. So
// only there is the border looked for; other pieces hold no number anyway.
size_t BetweenNumbersPiece(std::string_view text, size_t at, bool each_alone) {
  const Char first = At(text, at);
  if (first.in(kNumbers)) {
    return each_alone ? at + first.size : SkipRun(text, at, kNumbers);
  }
  if (first.in(kSpaces)) {
    const size_t run = SkipRun(text, at, kSpaces);
    if (At(text, run).in(kNumbers)) return run;
  }
  return Gpt2Piece(text, at);
}

}  // namespace

absl::StatusOr<SplitRule> SplitRuleOfRegex(std::string_view regex) {
  if (regex == kLlama4Regex) return SplitRule::kLlama4;
  if (regex == kLlama3Regex) return SplitRule::kLlama3;
  if (regex == kGpt2Regex) return SplitRule::kGpt2;
  return UnsupportedError(
      absl::StrCat("unknown splitting expression in pre_tokenizer: ", Shown(regex, 400)));
}

absl::StatusOr<SplitRule> SplitRuleOfGgufName(std::string_view name) {
  if (name == "llama4" || name == "gpt-4o") return SplitRule::kLlama4;
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return SplitRule::kLlama3;
  if (name == "gpt-2") return SplitRule::kGpt2;
  return UnsupportedError(
      absl::StrCat("unknown splitting rule \"", Shown(name), "\" in tokenizer.ggml.pre"));
}

size_t PieceEnd(SplitRule rule, std::string_view text, size_t at) {
  switch (rule) {
    case SplitRule::kLlama4:
      return Llama4Piece(text, at);
    case SplitRule::kLlama3:
      return Llama3Piece(text, at);
    case SplitRule::kGpt2:
      return Gpt2Piece(text, at);
    case SplitRule::kDigitsGpt2:
      return BetweenNumbersPiece(text, at, /*each_alone=*/true);
    case SplitRule::kNumberRunsGpt2:
      return BetweenNumbersPiece(text, at, /*each_alone=*/false);
  }
  return text.size();
}

}  // namespace scout

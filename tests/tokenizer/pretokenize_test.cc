// Where the splitting rules cut. SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/pretokenize.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lib/tokenizer/unicode_tables.h"
#include "lib/tokenizer/utf8.h"

namespace scout {
namespace {

using Pieces = std::vector<std::string>;

Pieces Split(SplitRule rule, const std::string& text) {
  Pieces pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = PieceEnd(rule, text, at);
    EXPECT_GT(end, at);
    EXPECT_LE(end, text.size());
    if (end <= at) break;
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

TEST(Pretokenize, Llama4) {
  const auto split = [](const std::string& t) { return Split(SplitRule::kLlama4, t); };
  EXPECT_EQ(split("Hello, world!"), (Pieces{"Hello", ",", " world", "!"}));
  EXPECT_EQ(split("camelCase HTTPServer"), (Pieces{"camel", "Case", " HTTPServer"}));
  EXPECT_EQ(split("they'll WE'VE don't's"), (Pieces{"they'll", " WE'VE", " don't", "'s"}));
  EXPECT_EQ(split("12345 6"), (Pieces{"123", "45", " ", "6"}));
  EXPECT_EQ(split("a\n\n  b"), (Pieces{"a", "\n\n", " ", " b"}));
  EXPECT_EQ(split("a  \n  \n b"), (Pieces{"a", "  \n  \n", " b"}));
  EXPECT_EQ(split("x //\n/ y"), (Pieces{"x", " //\n/", " y"}));
  EXPECT_EQ(split("end   "), (Pieces{"end", "   "}));
  EXPECT_EQ(split("-a"), (Pieces{"-a"}));
  EXPECT_EQ(split("\u0301A"), (Pieces{"\u0301", "A"}));
  EXPECT_EQ(split("A\u00aaB"), (Pieces{"A\u00aa", "B"}));    // a letter of no case ends a word
  EXPECT_EQ(split("a'\u017fb"), (Pieces{"a'\u017f", "b"}));  // U+017F folds to s
  EXPECT_EQ(split("\x1c x"), (Pieces{"\x1c", " x"}));        // no white space to the expression
}

TEST(Pretokenize, Llama3) {
  const auto split = [](const std::string& t) { return Split(SplitRule::kLlama3, t); };
  EXPECT_EQ(split("camelCase they'll"), (Pieces{"camelCase", " they", "'ll"}));
  EXPECT_EQ(split("x //\n/ 1234"), (Pieces{"x", " //\n", "/", " ", "123", "4"}));
}

TEST(Pretokenize, Gpt2) {
  const auto split = [](const std::string& t) { return Split(SplitRule::kGpt2, t); };
  EXPECT_EQ(split("they'll WE'LL 12345"), (Pieces{"they", "'ll", " WE", "'", "LL", " 12345"}));
  EXPECT_EQ(split("a\n\n  b"), (Pieces{"a", "\n\n ", " b"}));
}

TEST(Pretokenize, Digits) {
  const auto each = [](const std::string& t) { return Split(SplitRule::kDigitsGpt2, t); };
  EXPECT_EQ(each("a12 3  4  b"), (Pieces{"a", "1", "2", " ", "3", "  ", "4", " ", " b"}));
  EXPECT_EQ(each("\u0664\u0665x"), (Pieces{"\u0664", "\u0665", "x"}));
  const auto runs = [](const std::string& t) { return Split(SplitRule::kNumberRunsGpt2, t); };
  EXPECT_EQ(runs("a12 3  45  b"), (Pieces{"a", "12", " ", "3", "  ", "45", " ", " b"}));
}

TEST(Pretokenize, NamesOfRules) {
  EXPECT_EQ(*SplitRuleOfGgufName("llama4"), SplitRule::kLlama4);
  EXPECT_EQ(*SplitRuleOfGgufName("gpt-4o"), SplitRule::kLlama4);
  EXPECT_EQ(*SplitRuleOfGgufName("llama-bpe"), SplitRule::kLlama3);
  EXPECT_EQ(*SplitRuleOfGgufName("gpt-2"), SplitRule::kGpt2);
  const auto unknown = SplitRuleOfGgufName("deepseek-coder");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(std::string(unknown.status().message()).find("deepseek-coder"), std::string::npos);
  const auto regex = SplitRuleOfRegex("\\w+");
  EXPECT_EQ(regex.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(std::string(regex.status().message()).find("\\w+"), std::string::npos);
}

// Runs that make a backtracking matcher quadratic.
TEST(Pretokenize, LongRunsAreLinear) {
  const size_t n = 200'000;
  for (const std::string& unit : Pieces{" ", "\n", " \n", "A", "a", "\u00aaA", "\u0301", "'", "/",
                                        "-\n", "1", "\u3000", "\u4f60"}) {
    std::string text;
    while (text.size() < n) text += unit;
    for (const char* tail : {"", "x", "1", "\n"}) {
      for (const SplitRule rule : {SplitRule::kLlama4, SplitRule::kLlama3, SplitRule::kGpt2,
                                   SplitRule::kDigitsGpt2, SplitRule::kNumberRunsGpt2}) {
        size_t at = 0;
        const std::string whole = text + tail;
        while (at < whole.size()) at = PieceEnd(rule, whole, at);
        ASSERT_EQ(at, whole.size());
      }
    }
  }
}

TEST(UnicodeTables, KnownCharacters) {
  EXPECT_EQ(ClassOf('A'), CharClass::kUpper);
  EXPECT_EQ(ClassOf(0x1C5), CharClass::kUpper);  // titlecase
  EXPECT_EQ(ClassOf(0xDF), CharClass::kLower);
  EXPECT_EQ(ClassOf(0x2B0), CharClass::kOtherLetter);
  EXPECT_EQ(ClassOf(0x4E00), CharClass::kOtherLetter);
  EXPECT_EQ(ClassOf(0x301), CharClass::kMark);
  EXPECT_EQ(ClassOf(0x2163), CharClass::kNumber);
  EXPECT_EQ(ClassOf(0xA0), CharClass::kSpace);
  EXPECT_EQ(ClassOf(0x85), CharClass::kSpace);
  EXPECT_EQ(ClassOf(0x1C), CharClass::kOther);
  EXPECT_EQ(ClassOf(0x200B), CharClass::kOther);
  EXPECT_EQ(ClassOf(0x1C89), CharClass::kUpper);  // new in Unicode 16
  EXPECT_EQ(ClassOf(0x10FFFF), CharClass::kOther);
}

// The rules and the table must tell ASCII apart in the same way.
TEST(UnicodeTables, AsciiAgreesWithTheRules) {
  for (char c = 1; c > 0 && c < 127; ++c) {
    const CharClass cls = ClassOf(static_cast<uint32_t>(c));
    const bool letter = cls == CharClass::kUpper || cls == CharClass::kLower;
    // A letter or space goes on with a word or a run, a digit is cut off.
    const Pieces pieces = Split(SplitRule::kLlama4, std::string("a") + c);
    EXPECT_EQ(pieces.size() == 1, cls == CharClass::kLower) << int{c};
    const Pieces gpt2 = Split(SplitRule::kGpt2, std::string("a") + c);
    EXPECT_EQ(gpt2.size() == 1, letter) << int{c};
    EXPECT_EQ(Split(SplitRule::kGpt2, std::string("1") + c).size() == 1, cls == CharClass::kNumber)
        << int{c};
    EXPECT_EQ(Split(SplitRule::kGpt2, std::string("\t") + c).size() == 1, cls == CharClass::kSpace)
        << int{c};
  }
}

TEST(Utf8, EverySequence) {
  // Each code point encodes, decodes and classes; each cut of it is incomplete.
  for (uint32_t cp = 0; cp <= 0x10FFFF; cp += cp < 0x3000 ? 1 : 97) {
    if (cp >= 0xD800 && cp < 0xE000) continue;
    std::string s;
    if (cp < 0x80) {
      s = {static_cast<char>(cp)};
    } else if (cp < 0x800) {
      s = {static_cast<char>(0xC0 | cp >> 6), static_cast<char>(0x80 | (cp & 63))};
    } else if (cp < 0x10000) {
      s = {static_cast<char>(0xE0 | cp >> 12), static_cast<char>(0x80 | (cp >> 6 & 63)),
           static_cast<char>(0x80 | (cp & 63))};
    } else {
      s = {static_cast<char>(0xF0 | cp >> 18), static_cast<char>(0x80 | (cp >> 12 & 63)),
           static_cast<char>(0x80 | (cp >> 6 & 63)), static_cast<char>(0x80 | (cp & 63))};
    }
    const Utf8Step step = NextUtf8(s, 0);
    ASSERT_EQ(step.kind, Utf8Kind::kChar) << cp;
    ASSERT_EQ(step.code_point, cp);
    ASSERT_EQ(step.size, s.size());
    for (size_t cut = 1; cut < s.size(); ++cut) {
      const Utf8Step part = NextUtf8(std::string_view(s).substr(0, cut), 0);
      ASSERT_EQ(part.kind, Utf8Kind::kIncomplete);
      ASSERT_EQ(part.size, cut);
    }
    ASSERT_EQ(ValidUtf8Prefix("valid text " + s), 11 + s.size());
  }
  struct Bad {
    std::string bytes;
    int size;
  };
  for (const Bad& bad : {Bad{"\x80", 1}, Bad{"\xC0\xAF", 1}, Bad{"\xC1\xBF", 1},
                         Bad{"\xE0\x9F\x80", 1}, Bad{"\xED\xA0\x80", 1}, Bad{"\xF0\x8F\xBF\xBF", 1},
                         Bad{"\xF4\x90\x80\x80", 1}, Bad{"\xF5\x80", 1}, Bad{"\xFF", 1},
                         Bad{"\xE2\x82x", 2}, Bad{"\xF0\x9F\x98x", 3}, Bad{"\xC3\x28", 1}}) {
    const Utf8Step step = NextUtf8(bad.bytes, 0);
    EXPECT_EQ(step.kind, Utf8Kind::kBad) << testing::PrintToString(bad.bytes);
    EXPECT_EQ(int{step.size}, bad.size) << testing::PrintToString(bad.bytes);
    EXPECT_EQ(ValidUtf8Prefix("some text" + bad.bytes), 9u);
  }
}

}  // namespace
}  // namespace scout

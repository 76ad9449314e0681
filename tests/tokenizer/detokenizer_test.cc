// Streaming text: whole characters only, nothing lost. SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <string>

#include "lib/tokenizer/utf8.h"
#include "tests/tokenizer/token_test_util.h"

namespace scout::test {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

// Bytes are the ids 0 to 255 here.
TokenizerPtr Bytes() {
  TokenizerJson json;
  json.vocab = ",\"ab\":256," + JsonString(ByteLevel("\x98\x80!")) + ":257";
  json.added_tokens = R"([{"id":258,"content":"<s>","special":true}])";
  const auto tokenizer = From(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

// All texts that pushing the ids one by one gives, and Flush last.
std::vector<std::string> Stream(const TokenizerPtr& tokenizer, const Ids& ids, bool skip = false) {
  Detokenizer detokenizer(tokenizer, skip);
  std::vector<std::string> out;
  for (const int32_t id : ids) {
    const auto text = detokenizer.Push(id);
    EXPECT_TRUE(text.ok()) << text.status();
    out.emplace_back(text.ok() ? *text : std::string_view());
    EXPECT_EQ(ValidUtf8Prefix(out.back()), out.back().size());
  }
  out.emplace_back(detokenizer.Flush());
  EXPECT_TRUE(detokenizer.Flush().empty());
  return out;
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& p : parts) out += p;
  return out;
}

Ids IdsOfBytes(std::string_view bytes) {
  Ids ids;
  for (const char c : bytes) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

TEST(Detokenizer, ByteByByte) {
  const TokenizerPtr tokenizer = Bytes();
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "a\u00e9\u20ac\U0001f600z";
  const std::vector<std::string> want = {"a", "", "\u00e9", "",           "",  "\u20ac",
                                         "",  "", "",       "\U0001f600", "z", ""};
  EXPECT_EQ(Stream(tokenizer, IdsOfBytes(text)), want);
}

// Every way to cut a text of characters of all lengths into tokens, by a vocabulary that has them.
TEST(Detokenizer, EverySplit) {
  const std::string text = "\u00e9\u20ac\U0001f600b";  // 2 + 3 + 4 + 1 bytes
  const size_t n = text.size();
  ASSERT_EQ(n, 10u);
  for (uint32_t cuts = 0; cuts < 1u << (n - 1); ++cuts) {
    TokenizerJson json;
    json.vocab.clear();
    Ids ids;
    int32_t next = 256;
    for (size_t at = 0; at < n;) {
      size_t end = at + 1;
      while (end < n && (cuts >> (end - 1) & 1) == 0) ++end;
      const std::string part = text.substr(at, end - at);
      if (part.size() == 1) {
        ids.push_back(static_cast<uint8_t>(part[0]));
      } else {
        json.vocab += "," + JsonString(ByteLevel(part)) + ":" + std::to_string(next);
        ids.push_back(next++);
      }
      at = end;
    }
    const auto tokenizer = From(json);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    const std::vector<std::string> parts = Stream(*tokenizer, ids);
    ASSERT_EQ(Joined(parts), text);
    ASSERT_TRUE(parts.back().empty());
  }
}

// Against a decoder of whole texts, written apart: Unicode 15, table 3-7, and one U+FFFD for each
// longest part that could have begun a character.
std::string Repaired(const std::string& bytes) {
  struct Row {
    int low, high, second_low, second_high, size;
  };
  static constexpr Row kRows[] = {
      {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const int lead = static_cast<uint8_t>(bytes[at]);
    size_t good = 0, need = 0;
    for (const Row& row : kRows) {
      if (lead < row.low || lead > row.high) continue;
      need = static_cast<size_t>(row.size);
      good = 1;
      while (good < need && at + good < bytes.size()) {
        const int b = static_cast<uint8_t>(bytes[at + good]);
        const int low = good == 1 ? row.second_low : 0x80;
        const int high = good == 1 ? row.second_high : 0xBF;
        if (b < low || b > high) break;
        ++good;
      }
    }
    if (need != 0 && good == need) {
      out += bytes.substr(at, need);
    } else {
      out += kReplacement;
    }
    at += std::max<size_t>(good, 1);
  }
  return out;
}

TEST(Detokenizer, InvalidBytes) {
  const TokenizerPtr tokenizer = Bytes();
  ASSERT_NE(tokenizer, nullptr);
  const std::string r = kReplacement;
  EXPECT_EQ(Repaired("\xF0\x80\x80\x41"), r + r + r + "A");  // the standard's own examples
  EXPECT_EQ(Repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
  // All sequences of up to four bytes from those that matter.
  const std::string alphabet(
      "\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC2\xDF\xE0\xE1\xED\xF0\xF4\xF5\xFF", 18);
  std::function<void(const std::string&)> try_all = [&](const std::string& bytes) {
    if (!bytes.empty()) {
      ASSERT_EQ(Joined(Stream(tokenizer, IdsOfBytes(bytes))), Repaired(bytes))
          << testing::PrintToString(bytes);
    }
    if (bytes.size() == 3) return;
    for (const char c : alphabet) try_all(bytes + c);
  };
  try_all("");
  for (const char* tail : {"\xF0\x9F\x98", "\xF0\x9F", "\xE2\x82", "\xC3"}) {
    EXPECT_EQ(Stream(tokenizer, IdsOfBytes(tail)).back(), r);
  }
}

// A character goes on across a skipped special token and ends at one that is shown.
TEST(Detokenizer, SpecialTokens) {
  const TokenizerPtr tokenizer = Bytes();
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(Joined(Stream(tokenizer, {0xC3, 258, 0xA9}, /*skip=*/true)), "\u00e9");
  EXPECT_EQ(Joined(Stream(tokenizer, {0xC3, 258, 0xA9}, /*skip=*/false)),
            std::string(kReplacement) + "<s>" + kReplacement);
  EXPECT_EQ(Stream(tokenizer, {0xF0, 0x9F, 257}),
            (std::vector<std::string>{"", "", "\U0001f600!", ""}));
}

TEST(Detokenizer, UnknownIdChangesNothing) {
  const TokenizerPtr tokenizer = Bytes();
  ASSERT_NE(tokenizer, nullptr);
  Detokenizer detokenizer(tokenizer, false);
  ASSERT_TRUE(detokenizer.Push(0xC3).ok());
  for (const int32_t id : {-1, 259, INT32_MAX}) {
    EXPECT_EQ(detokenizer.Push(id).status().code(), absl::StatusCode::kInvalidArgument);
  }
  const auto text = detokenizer.Push(0xA9);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "\u00e9");
  EXPECT_EQ(detokenizer.Flush(), "");
}

}  // namespace
}  // namespace scout::test

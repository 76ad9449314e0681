// JSON values, limits and errors. SPDX-License-Identifier: Apache-2.0
#include "lib/format/json.h"

#include <clocale>
#include <cmath>

#include "tests/format/format_test_util.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

Json Parsed(const std::string& text) {
  absl::StatusOr<Json> json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << text << ": " << json.status();
  return json.ok() ? *std::move(json) : Json();
}

TEST(Json, Values) {
  const Json json = Parsed(R"( {"null":null,"t":true,"f":false,"i":-7,"big":9223372036854775807,
      "d":2.5,"e":1e3,"s":"a\"\u00e9\ud83d\ude00","list":[1,[2],{}],"o":{"k":"v"}} )");
  ASSERT_TRUE(json.is_object());
  ASSERT_EQ(json.names().size(), 10u);
  EXPECT_EQ(json.names()[9], "o");
  EXPECT_TRUE(json.find("null")->is_null());
  EXPECT_TRUE(json.find("t")->is_bool());
  EXPECT_TRUE(json.find("t")->as_bool());
  EXPECT_FALSE(json.find("f")->as_bool());
  EXPECT_TRUE(json.find("i")->is_int());
  EXPECT_EQ(json.find("i")->as_int(), -7);
  EXPECT_EQ(json.find("i")->as_double(), -7.0);
  EXPECT_EQ(json.find("big")->as_int(), INT64_MAX);
  EXPECT_FALSE(json.find("d")->is_int());
  EXPECT_TRUE(json.find("d")->is_number());
  EXPECT_EQ(json.find("d")->as_double(), 2.5);
  EXPECT_EQ(json.find("e")->as_double(), 1000);
  EXPECT_EQ(json.find("s")->as_string(), "a\"\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(json.find("list")->items().size(), 3u);
  EXPECT_EQ(json.find("list")->items()[1].items()[0].as_int(), 2);
  EXPECT_EQ(json.find("o")->find("k")->as_string(), "v");
  EXPECT_EQ(json.find("none"), nullptr);
  EXPECT_EQ(json.find("i")->find("x"), nullptr);
  EXPECT_TRUE(json.find("list")->names().empty());
}

TEST(Json, NumbersBeyondInt64AreDoubles) {
  EXPECT_EQ(Parsed("-9223372036854775808").as_int(), INT64_MIN);
  for (const char* text : {"9223372036854775808", "18446744073709551615", "18446744073709551616",
                           "-9223372036854775809", "1e30"}) {
    const Json json = Parsed(text);
    EXPECT_FALSE(json.is_int()) << text;
    EXPECT_GT(std::fabs(json.as_double()), 9e18) << text;
  }
  ExpectError(ParseJson("1e999").status(), kCorrupt, {"number overflow"});
  ExpectError(ParseJson("[-1e999]").status(), kCorrupt, {"number overflow"});
  EXPECT_EQ(Parsed("1e-999").as_double(), 0);
}

TEST(Json, DoublesAreExact) {
  EXPECT_EQ(Parsed("0.1").as_double(), 0.1);
  EXPECT_EQ(Parsed("1.7976931348623157e308").as_double(), 1.7976931348623157e308);
  EXPECT_EQ(Parsed("-5e-324").as_double(), -5e-324);
  EXPECT_EQ(Parsed("1E+2").as_double(), 100);
}

TEST(Json, NumbersDoNotDependOnTheLocale) {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"}) {
    found = found || std::setlocale(LC_NUMERIC, name) != nullptr;
  }
  const double value = Parsed("[1.25]").items()[0].as_double();
  std::setlocale(LC_NUMERIC, before.c_str());
  EXPECT_EQ(value, 1.25);
  if (!found) GTEST_SKIP() << "no locale with a decimal comma is installed";
}

TEST(Json, FindWithManyMembers) {
  for (int n : {1, 15, 16, 17, 18, 1000, 200'000}) {
    std::string text = "{";
    for (int i = 0; i < n; ++i) {
      text += absl::StrCat(i > 0 ? "," : "", "\"", (i * 7919) % n, "k\":", i);
    }
    const Json json = Parsed(text + "}");
    ASSERT_EQ(json.items().size(), static_cast<size_t>(n));
    for (int i = 0; i < n; i += 1 + n / 1000) {
      const Json* found = json.find(json.names()[static_cast<size_t>(i)]);
      ASSERT_EQ(found, &json.items()[static_cast<size_t>(i)]) << n << " " << i;
    }
    EXPECT_EQ(json.find("absent"), nullptr);
    EXPECT_EQ(json.find(""), nullptr);
    EXPECT_EQ(json.find("~"), nullptr);
  }
}

TEST(Json, CopyKeepsItsMembers) {
  Json copy;
  {
    const Json json = Parsed(R"({"a":{"b":[1,2]}})");
    copy = *json.find("a");
  }
  EXPECT_EQ(copy.find("b")->items()[1].as_int(), 2);
}

TEST(JsonError, Syntax) {
  for (const char* text :
       {"",      " ",      "{",       "}",         "[1,]",    "{\"a\":1,}", "{\"a\"}", "{a:1}",
        "[1 2]", "01",     "+1",      "1.",        ".5",      "nul",        "NaN",     "Infinity",
        "'a'",   "\"a",    "\"\\x\"", "\"\\u12\"", "// c\n1", "/* c */1",   "1 1",     "{}[]",
        "[1]]",  "\"\t\"", "\"\n\"",  "\x01",      "tru\xC3"}) {
    const absl::Status status = ParseJson(text).status();
    ExpectError(status, kCorrupt, {"not valid JSON", "at byte"});
    EXPECT_GE(PlaceOf(status).offset, 0) << text;
  }
}

TEST(JsonError, Utf8) {
  for (const char* text : {"\"\x80\"", "\"\xC0\x80\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"",
                           "\"\xF4\x90\x80\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xC3\"", "\"\xFF\"",
                           "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\xEF\xBB"}) {
    const absl::Status status = ParseJson(text).status();
    ExpectError(status, kCorrupt, {"not valid JSON"});
  }
  EXPECT_EQ(Parsed("\"\xE2\x82\xAC\"").as_string(), "\xE2\x82\xAC");
}

TEST(JsonError, OffsetAndMessage) {
  ExpectError(ParseJson("{\"a\": 1, \"b\": }").status(), kCorrupt,
              {"syntax error", "(at byte 15)"});
  EXPECT_EQ(PlaceOf(ParseJson("[1, 2, x]").status()).offset, 8);
  // What the parser read last may be long or no text: it stays out of the message.
  const absl::Status status = ParseJson("\"" + std::string(100'000, 'a') + "\xFF\"").status();
  EXPECT_EQ(status.code(), kCorrupt);
  EXPECT_LT(status.message().size(), 300u);
  EXPECT_EQ(std::string(status.message()).find('\xFF'), std::string::npos);
}

TEST(JsonError, NulByteDoesNotEndTheText) {
  ExpectError(ParseJson(std::string("{}\0{", 4)).status(), kCorrupt, {"NUL", "at byte 2"});
  ExpectError(ParseJson(std::string("\0", 1)).status(), kCorrupt, {"NUL"});
  ExpectError(ParseJson(std::string("\"a\0b\"", 5)).status(), kCorrupt, {"NUL"});
}

TEST(JsonError, DuplicateNames) {
  ExpectError(ParseJson(R"({"a":1,"b":2,"a":3})").status(), kCorrupt, {"\"a\" twice", "at byte"});
  ExpectError(ParseJson(R"({"o":{"x":1,"\u0078":2}})").status(), kCorrupt, {"\"x\" twice"});
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += absl::StrCat("\"k", i, "\":0,");
  ExpectError(ParseJson(text + "\"k41\":0}").status(), kCorrupt, {"\"k41\" twice"});
  EXPECT_TRUE(ParseJson(R"([{"a":1},{"a":1}])").ok());
}

TEST(JsonError, Depth) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(ParseJson(nested(64)).ok());
  ExpectError(ParseJson(nested(65)).status(), kUnsupported, {"deeper than 64"});
  ExpectError(ParseJson(std::string(20'000'000, '[')).status(), kUnsupported, {"deeper than 64"});
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  ExpectError(ParseJson(objects).status(), kUnsupported, {"deeper than 64"});
  EXPECT_TRUE(ParseJson(nested(3), {.max_depth = 3}).ok());
  EXPECT_FALSE(ParseJson(nested(4), {.max_depth = 3}).ok());
}

TEST(JsonError, SizeAndCount) {
  ExpectError(ParseJson("[1,2,3]", {.max_bytes = 6}).status(), kUnsupported, {"7 bytes", "6"});
  EXPECT_TRUE(ParseJson("[1,2,3]", {.max_values = 4}).ok());
  ExpectError(ParseJson("[1,2,3]", {.max_values = 3}).status(), kUnsupported, {"more than 3"});
  ExpectError(ParseJson("[[],[],[]]", {.max_values = 3}).status(), kUnsupported, {"more than 3"});
}

}  // namespace
}  // namespace scout::test

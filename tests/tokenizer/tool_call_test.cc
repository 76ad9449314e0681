// Tool calls in answers: both forms, every cut, what is no call. SPDX-License-Identifier:
// Apache-2.0
#include <algorithm>

#include "tests/tokenizer/tool_call_test_util.h"

namespace scout::test {
namespace {

TEST(ToolCalls, EventsOfAList) {
  EXPECT_EQ(Shown(ParseAllCuts("Let me see. <|python_start|>[get(city=\"SF\"), now()]"
                               "<|python_end|> ok")),
            "text <Let me see. >\nmarker <<|python_start|>>\nbegin#0 get\n"
            "arguments#0 <{\"city\": \"SF\"}>\nbegin#1 now\narguments#1 <{}>\n"
            "call#0 get <{\"city\": \"SF\"}>\ncall#1 now <{}>\n"
            "source <[get(city=\"SF\"), now()]>\nmarker <<|python_end|>>\ntext < ok>\n");
}

TEST(ToolCalls, BothForms) {
  const struct {
    const char* text;
    Strings calls;
  } cases[] = {
      {"[f()]", {"f {}"}},
      {"[ f ( )]", {}},  // no space before (
      {"[f( ) ,\n g(a = 1,b='x' , ), ]", {"f {}", "g {\"a\": 1, \"b\": \"x\"}"}},
      {"[a.b_c-d(_x1=[1, [], {}, {'k': (]", {}},
      {"[a.b_c-d(_x1=[1, [], {}, {'k': None, \"l\": [True, False,],}])]",
       {"a.b_c-d {\"_x1\": [1, [], {}, {\"k\": null, \"l\": [true, false]}]}"}},
      {"[f(a=true, b=false, c=null)]", {"f {\"a\": true, \"b\": false, \"c\": null}"}},
      {"{\"name\": \"f\", \"parameters\": {\"a\": [1, {\"b\": null}]}}",
       {"f {\"a\": [1, {\"b\": null}]}"}},
      {"{\"type\":\"function\",\"name\":\"f\",\"arguments\":{}}", {"f {}"}},
      {"{\"parameters\": {\"a\": \"\\u00fc\\ud83d\\ude00\"}, \"name\": \"\xC3\xBC f\"}",
       {"\xC3\xBC f {\"a\": \"\xC3\xBC\xF0\x9F\x98\x80\"}"}},
      {"[{\"name\": \"f\", \"parameters\": {}} , {\"name\": \"g\", \"parameters\": {}}]",
       {"f {}", "g {}"}},
      {"{\"name\": \"f\", \"parameters\": {}}{\"name\": \"g\", \"parameters\": {}}; [h()]",
       {"f {}", "g {}", "h {}"}},
  };
  for (const auto& c : cases) EXPECT_EQ(Calls(ParseAllCuts(c.text)), c.calls) << c.text;
}

// The values of arguments, as Python reads them, and what Python itself or JSON cannot take.
TEST(ToolCalls, PythonValues) {
  const struct {
    const char *value, *json;  // nullptr: refused
  } cases[] = {{"'a\"b'", "\"a\\\"b\""},
               {"\"a'b\"", "\"a'b\""},
               {"''", "\"\""},
               {"\"\"", "\"\""},
               {"'''a'\n''b'''", "\"a'\\n''b\""},
               {"\"\"\"\"x\"\"\"", "\"\\\"x\""},
               {"'\\n\\t\\\\\\'\\\"\\a\\b\\f\\r\\v'", "\"\\n\\t\\\\'\\\"\\u0007\\b\\f\\r\\u000b\""},
               {"'\\0\\07\\101\\1019\\x41\\u0041\\U00000041'", "\"\\u0000\\u0007AA9AAA\""},
               {"'\\d\\/\\\xC3\xBC'", "\"\\\\d\\\\/\\\\\xC3\xBC\""},
               {"'a\\\nb'", "\"ab\""},
               {"r'\\d\\'x'", "\"\\\\d\\\\'x\""},
               {"R\"\"\"a\\\"\"\"\"", "\"a\\\\\\\"\""},
               {"'\\ud83d\\ude00'", "\"\xF0\x9F\x98\x80\""},
               {"'\\U0001F600'", "\"\xF0\x9F\x98\x80\""},
               {"'\\ud83d'", nullptr},
               {"'\\ude00'", nullptr},
               {"'\\ud83dx'", nullptr},
               {"'\\ud83d\\n'", nullptr},
               {"'\\ud83d\\ud83d'", nullptr},
               {"'\\U00110000'", nullptr},
               {"'\\x4'", nullptr},
               {"'\\400'", nullptr},
               {"'\\N{DASH}'", nullptr},
               {"'a\nb'", nullptr},
               {"'\xFF'", nullptr},
               {"'\xC3'", nullptr},
               {"'\xED\xA0\x80'", nullptr},
               {"'a' 'b'", nullptr},
               {"b'a'", nullptr},
               {"f'a'", nullptr},
               {"u'a'", nullptr},
               {"0", "0"},
               {"-0", "0"},
               {"+7", "7"},
               {"00", "0"},
               {"1_000", "1000"},
               {"0x_fF", "255"},
               {"0b101", "5"},
               {"-0o17", "-15"},
               {"0xffffffffffffffff", "18446744073709551615"},
               {"123456789012345678901234567890", "123456789012345678901234567890"},
               {"-99999999999999999999", "-99999999999999999999"},
               {"0x10000000000000000", nullptr},
               {"01", nullptr},
               {"1__0", nullptr},
               {"1_", nullptr},
               {"_1", nullptr},
               {"--1", nullptr},
               {"0x", nullptr},
               {"1j", nullptr},
               {"1L", nullptr},
               {"1.", "1.0"},
               {".5", "0.5"},
               {"-1e5", "-100000.0"},
               {"1e16", "1e+16"},
               {"1E-5", "1e-05"},
               {"1e15", "1000000000000000.0"},
               {"0.0001", "0.0001"},
               {"1_0.2_5e1_0", "102500000000.0"},
               {"123456789.123456789", "123456789.12345679"},
               {"5e-324", "5e-324"},
               {"-0.0", "-0.0"},
               {"1e-400", "0.0"},
               {"1.7976931348623157e308", "1.7976931348623157e+308"},
               {"1e23", "1e+23"},
               {"1e400", nullptr},
               {"-1e400", nullptr},
               {"nan", nullptr},
               {"inf", nullptr},
               {"float('nan')", nullptr},
               {"-inf", nullptr},
               {"1e", nullptr},
               {"1._5", nullptr},
               {".", nullptr},
               {"True", "true"},
               {"None", "null"},
               {"TRUE", nullptr},
               {"x", nullptr},
               {"g(x)", nullptr},
               {"[1,]", "[1]"},
               {"{'a': 1,}", "{\"a\": 1}"},
               {"[,]", nullptr},
               {"{,}", nullptr},
               {"{'a': 1, 'a': 2}", nullptr},
               {"{1: 2}", nullptr},
               {"{'a'}", nullptr},
               {"(1, 2)", nullptr},
               {"[1 2]", nullptr},
               {"[1", nullptr},
               {"1 + 1", nullptr},
               {"", nullptr},
               {"{'a' 1}", nullptr},
               {"[1}", nullptr},
               {"# c\n1", nullptr}};
  for (const auto& c : cases) {
    const std::string text = std::string("[f(a=") + c.value + ")]";
    const std::vector<ToolEvent> events = ParseAllCuts(text);
    if (c.json != nullptr) {
      EXPECT_EQ(Calls(events), Strings({std::string("f {\"a\": ") + c.json + "}"})) << text;
    } else {
      EXPECT_EQ(Calls(events), Strings()) << text;
      EXPECT_TRUE(std::any_of(events.begin(), events.end(),
                              [](const ToolEvent& e) { return e.kind == Kind::kRejected; }))
          << text << "\n"
          << Shown(events);
    }
  }
}

TEST(ToolCalls, JsonValues) {
  const struct {
    const char *value, *json;
  } cases[] = {{"1.50", "1.5"},
               {"1E2", "100.0"},
               {"-0", "0"},
               {"12345678901234567890123", "12345678901234567890123"},
               {"\"\\/\\b\\u0001\x7F\"", "\"/\\b\\u0001\x7F\""},
               {"[ ]", "[]"},
               {"{ }", "{}"},
               {"01", nullptr},
               {"+1", nullptr},
               {".5", nullptr},
               {"1.", nullptr},
               {"1_0", nullptr},
               {"0x1", nullptr},
               {"True", nullptr},
               {"None", nullptr},
               {"'a'", nullptr},
               {"[1,]", nullptr},
               {"{\"a\":1,}", nullptr},
               {"\"\t\"", nullptr},
               {"\"\\x41\"", nullptr},
               {"\"\\'\"", nullptr},
               {"NaN", nullptr},
               {"-Infinity", nullptr},
               {"1e999", nullptr},
               {"\"\\ud800\"", nullptr},
               {"\"\\uD83D\\uDE00\"", "\"\xF0\x9F\x98\x80\""},
               {"\"\"\"a\"\"\"", nullptr}};
  for (const auto& c : cases) {
    const std::string text =
        std::string("{\"name\": \"f\", \"parameters\": {\"a\": ") + c.value + "}}";
    const Strings want =
        c.json == nullptr ? Strings() : Strings({std::string("f {\"a\": ") + c.json + "}"});
    EXPECT_EQ(Calls(ParseAllCuts(text)), want) << text;
  }
}

// Text that only looks like calls stays text, with nothing to report.
TEST(ToolCalls, TextStaysText) {
  for (const char* text : {"",
                           "plain",
                           "[",
                           "[[[",
                           "]",
                           "{",
                           "{}",
                           "[]",
                           "[1, 2]",
                           "[a](b)",
                           "[see f(x)]",
                           "[sin(x)]",
                           "a[0](b=1)",
                           "{\"a\": 1}",
                           "{\"name\": \"Bob\", \"age\": 3}",
                           "{\"name\": \"f\"}",
                           "{\"type\": \"object\"}",
                           "{\"parameters\": {}}",
                           "{\"name\": 1, \"parameters\": {}}",
                           "<|",
                           "<<|python_start|",
                           "<|python_stop|>",
                           "<|eot|>",
                           "[f(1)]",
                           "[{\"a\": 1}]",
                           "{\"parameters\": [1], \"name\": \"f\"}",
                           "{\"name\": \"a\\\"b\", \"x\": 1}",
                           "[\xFF(a=1)]",
                           "{ \"nam\": 1}",
                           "{\"\": 1}"}) {
    const std::vector<ToolEvent> events = ParseAllCuts(text);
    EXPECT_EQ(Text(events), text) << Shown(events);
  }
}

TEST(ToolCalls, BrokenCallsAreRejectedWithAReason) {
  const struct {
    const char *text, *reason;
  } cases[] = {
      {"[f(a=1, 2)]", "an argument without a name"},
      {"[f(a=1, a=2)]", "\"a\" comes twice"},
      {"[f(a=1) g()]", "',' or ']' was expected after a call"},
      {"[f(a=1 b=2)]", "',' or ')' was expected"},
      {"[f(a=1), 3]", "a call was expected"},
      {"[f(a=1), g(2)]", "an argument without a name"},
      {"[f(a=1)", "the message ends"},
      {"[f(a=x)]", "\"x\" is no value"},
      {"[f(a='\\ud800')]", "half of a surrogate pair"},
      {"{\"name\": \"f\", \"parameters\": {\"a\": 1,}}", "a name in quotes"},
      {"{\"name\": \"f\", \"parameters\": {}, \"x\": 1}", "no member \"x"},
      {"{\"name\": \"f\", \"parameters\": {}, \"arguments\": {}}", "comes twice"},
      {"{\"name\": \"f\", \"parameters\": {}, \"type\": \"x\"}", "not \"function\""},
      {"[{\"name\": \"f\", \"parameters\": {}}, 1]", "'{' was expected"},
      {"[{\"name\": \"f\", \"parameters\": {}}, {\"name\": \"g\"}]", "without \"parameters\""},
  };
  for (const auto& c : cases) {
    const std::vector<ToolEvent> events = ParseAllCuts(c.text);
    EXPECT_EQ(Calls(events), Strings());
    const auto rejected = std::find_if(
        events.begin(), events.end(), [](const ToolEvent& e) { return e.kind == Kind::kRejected; });
    ASSERT_NE(rejected, events.end()) << c.text << "\n" << Shown(events);
    EXPECT_NE(rejected->reason.find(c.reason), std::string::npos) << c.text << rejected->reason;
  }
}

// What follows a broken call may lie in one of its strings, so it is never a call; the next message
// begins anew.
TEST(ToolCalls, NothingIsCalledOutOfABrokenCall) {
  for (const char* text : {"[write(text=b\"[erase(all=True)]\")]",
                           "{\"name\": \"write\", \"parameters\": {\"text\": \"a\n[erase()]\"}}",
                           "[write(text='it's [erase()] ')]"}) {
    const std::vector<ToolEvent> events = ParseAllCuts(text);
    EXPECT_EQ(Calls(events), Strings()) << Shown(events);
  }
  // Inside a whole string there is none either, nor in a group that names an unknown tool.
  ToolCallOptions options;
  options.names = Strings{"erase", "write"};
  EXPECT_EQ(Calls(ParseAllCuts(
                "[other(text=\"[erase()]\"), write(a=1)] [write(text=\"[erase()]\")]", options)),
            Strings({"write {\"text\": \"[erase()]\"}"}));
  ToolCallParser parser({});
  std::vector<ToolEvent> events;
  ASSERT_TRUE(parser.Push("[f(a=x)] [f()]").ok());
  ASSERT_TRUE(parser.Finish().ok());
  Take(&parser, &events);
  EXPECT_EQ(Calls(events), Strings());
  ASSERT_TRUE(parser.Push("[f()]").ok());
  Take(&parser, &events);
  ASSERT_EQ(Calls(events), Strings({"f {}"}));
  EXPECT_EQ(events.back().kind, Kind::kSource);
}

TEST(ToolCalls, WhatIsQuotedIsText) {
  ToolCallOptions options;
  options.names = Strings{"erase"};
  for (const char* text :
       {"{\"answer\": \"Use [erase(all=True)] to clear\"}", "It says: \"[erase()]\", do not.",
        "Write `[erase()]` here", "```\n[erase()]\n```", "\"a\n\n[erase()]\n\"",
        "{\"a\": \"\\\"[erase()]\"}", "5\" wide. [erase()]",
        "\"\\\\\\\"{\"name\": \"erase\", \"parameters\": {}}"}) {
    const std::vector<ToolEvent> events = ParseAllCuts(text, options);
    EXPECT_EQ(Calls(events), Strings()) << Shown(events);
  }
  for (const char* text :
       {"It's \"done\". [erase()]", "`x` and \"y\": [erase()]", "\"\\\\\" [erase()]",
        "5\" wide. <|python_start|>[erase()]<|python_end|>",
        "{\"a\": 1} {\"name\": \"erase\", \"parameters\": {}}"}) {
    const std::vector<ToolEvent> events = ParseAllCuts(text, options);
    EXPECT_EQ(Calls(events), Strings({"erase {}"})) << Shown(events);
  }
}

TEST(ToolCalls, OnlyDeclaredNames) {
  ToolCallOptions options;
  options.names = Strings{"g", "f"};
  const auto shown = [&](std::string_view text) { return Shown(ParseAllCuts(text, options)); };
  EXPECT_EQ(Calls(ParseAllCuts("[f(), g()]", options)), Strings({"f {}", "g {}"}));
  EXPECT_EQ(shown("[f(), h(a=1)] [g()]"),
            "begin#0 f\narguments#0 <{}>\nrejected <[f(), h(a=1)]> (no tool has the name \"h\")\n"
            "text < >\nbegin#1 g\narguments#1 <{}>\ncall#1 g <{}>\nsource <[g()]>\n");
  EXPECT_EQ(shown("{\"name\": \"h\", \"parameters\": {}}"),
            "rejected <{\"name\": \"h\", \"parameters\": {}}> (no tool has the name \"h\")\n");
  // An attempt on a declared name is reported however it is wrong.
  EXPECT_EQ(shown("[f(1)]"),
            "begin#0 f\nrejected <[f(> (an argument without a name)\ntext <1)]>\n");
  EXPECT_EQ(shown("[sin(1)]"), "text <[sin(1)]>\n");
  EXPECT_EQ(shown("{\"name\": \"f\"}"),
            "rejected <{\"name\": \"f\"> (a call without \"parameters\")\ntext <}>\n");
  options.names.emplace();
  EXPECT_EQ(Calls(ParseAllCuts("[f()]", options)), Strings());
}

TEST(ToolCalls, OnlyAtTheStart) {
  const ToolCallOptions options{.only_at_start = true};
  EXPECT_EQ(
      Calls(ParseAllCuts(" \n<|python_start|>[f()]\n{\"name\": \"g\", \"parameters\": {}} so [h()]",
                         options)),
      Strings({"f {}", "g {}"}));
  EXPECT_EQ(Calls(ParseAllCuts("So: [f()]", options)), Strings());
  EXPECT_EQ(Calls(ParseAllCuts("<|python_start|>I look<|python_end|>[f()]", options)),
            Strings({"f {}"}));
  EXPECT_EQ(Calls(ParseAllCuts("So<|python_start|>I look<|python_end|>[f()]", options)), Strings());
  EXPECT_EQ(Calls(ParseAllCuts("<|python_start|>I look [f()]<|python_end|>", options)), Strings());
  EXPECT_EQ(Calls(ParseAllCuts("[x] [f()]", options)), Strings());
}

TEST(ToolCalls, Limits) {
  std::string deep = "[f(a=" + std::string(32, '[') + std::string(32, ']') + ")]";
  EXPECT_EQ(Calls(ParseAllCuts(deep)).size(), 1u);
  deep = "[f(a=" + std::string(33, '[') + std::string(33, ']') + ")]";
  EXPECT_NE(Shown(ParseAllCuts(deep)).find("deeper than 32"), std::string::npos);
  deep =
      "{\"name\":\"f\",\"parameters\":{\"a\":" + std::string(32, '[') + std::string(32, ']') + "}}";
  EXPECT_EQ(Calls(ParseAllCuts(deep)).size(), 1u);
  ToolCallOptions options{.max_group_bytes = 12};
  EXPECT_EQ(Calls(ParseAllCuts("[f(a='xxx')]", options)).size(), 1u);
  EXPECT_NE(Shown(ParseAllCuts("[f(a='xxxx')]", options)).find("longer than 12"),
            std::string::npos);
  EXPECT_EQ(Text(ParseAllCuts("[          f(a=1)]", options)), "[          f(a=1)]");
  const std::string digits(LiteralReader::kMaxNumber, '7');
  EXPECT_EQ(Calls(Parse({"[f(a=" + digits + ")]"})), Strings({"f {\"a\": " + digits + "}"}));
  EXPECT_EQ(Calls(Parse({"[f(a=7" + digits + ")]"})), Strings());
}

// Text is held back only while it may be a call.
TEST(ToolCalls, TextComesAtOnce) {
  const struct {
    const char *pushed, *text;
  } cases[] = {
      {"abc", "abc"},     {"a[", "a"},        {"a[b", "a"},
      {"a[b ", "a[b "},   {"a<|pyth", "a"},   {"a<|pythu", "a<|pythu"},
      {"{\"na", ""},      {"{\"nb", "{\"nb"}, {"[f(x", ""},
      {"[f(x)", "[f(x)"}, {"[1", "[1"},       {"{\"name\": \"B\", \"ag", "{\"name\": \"B\", \"ag"}};
  for (const auto& c : cases) {
    ToolCallParser parser({});
    std::vector<ToolEvent> events;
    ASSERT_TRUE(parser.Push(c.pushed).ok());
    Take(&parser, &events);
    EXPECT_EQ(Text(events), c.text) << c.pushed;
  }
}

TEST(ToolNames, OfBothShapes) {
  const auto names = ToolNames(
      R"([{"name": "a"}, {"type": "function", "function": {"name": "b", "parameters": {}}}])");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, Strings({"a", "b"}));
  EXPECT_TRUE(ToolNames("[]")->empty());
}

}  // namespace
}  // namespace scout::test

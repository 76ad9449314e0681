// Dialogs with tools and the tool parser through the C API. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "include/scout.h"

namespace {

const char kTokenizer[] = SCOUT_SOURCE_DIR "/tests/golden/tokenizer/llama4";
const char kTools[] =
    R"([{"name": "f", "parameters": {}}, {"type": "function", "function": {"name": "g"}}])";

std::string TakeMessage(scout_error* error) {
  std::string message = scout_error_message(error);
  scout_error_free(error);
  return message;
}

class ChatApi : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(scout_tokenizer_load(kTokenizer, &tokenizer_, nullptr), SCOUT_OK);
    scout_chat_options_init(&options_);
  }
  void TearDown() override { scout_tokenizer_free(tokenizer_); }

  // The dialog as text, special tokens by name.
  std::string Text(const scout_chat_options& options) {
    std::vector<int32_t> ids(20000);
    int64_t n = 0;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_tokenizer_chat(tokenizer_, &options, ids.data(), 20000, &n, &error), SCOUT_OK)
        << TakeMessage(error);
    std::string text(40000, 0);
    int64_t bytes = 0;
    EXPECT_EQ(
        scout_tokenizer_decode(tokenizer_, ids.data(), n, 0, text.data(), 40000, &bytes, nullptr),
        SCOUT_OK);
    text.resize(static_cast<size_t>(bytes));
    return text;
  }
  // The message of the error that the dialog gives.
  std::string Refused(const scout_chat_options& options) {
    int64_t n = 0;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_tokenizer_chat(tokenizer_, &options, nullptr, 0, &n, &error),
              SCOUT_INVALID_ARGUMENT);
    return TakeMessage(error);
  }

  scout_tokenizer* tokenizer_ = nullptr;
  scout_chat_options options_;
};

TEST_F(ChatApi, CallsAndResults) {
  const scout_tool_call calls[] = {
      {sizeof(scout_tool_call), 0, "f", R"({"a": [1, "x"], "b": null})", SCOUT_KEEP},
      {sizeof(scout_tool_call), 0, "g", "{} and more", 2}};
  scout_chat_message m[] = {{sizeof(scout_chat_message), 0, "user", "q", SCOUT_KEEP, nullptr, 0},
                            {sizeof(scout_chat_message), 0, "assistant", "", SCOUT_KEEP, calls, 2},
                            {sizeof(scout_chat_message), 0, "tool", "2", SCOUT_KEEP, nullptr, 0}};
  options_.messages = m;
  options_.n_messages = 3;
  options_.add_generation_prompt = 0;
  const std::string question = "<|begin_of_text|><|header_start|>user<|header_end|>\n\nq<|eot|>";
  EXPECT_EQ(Text(options_), question +
                                "<|header_start|>assistant<|header_end|>\n\n"
                                "[f(a=[1, \"x\"], b=None), g()]<|eom|>"
                                "<|header_start|>ipython<|header_end|>\n\n2<|eom|>");
  m[1].end = SCOUT_END_OF_TURN;
  m[2].end = SCOUT_END_OF_MESSAGE;
  options_.tool_style = SCOUT_TOOL_STYLE_JSON;
  EXPECT_EQ(Text(options_),
            question +
                "<|header_start|>assistant<|header_end|>\n\n<|python_start|><|python_end|>"
                R"({"name": "f", "parameters": {"a": [1, "x"], "b": null}})"
                R"({"name": "g", "parameters": {}})"
                "<|eot|><|header_start|>ipython<|header_end|>\n\n\"2\"<|eom|>");
  m[1].end = 3;
  EXPECT_NE(Refused(options_).find("end of a message is 3"), std::string::npos);
  m[1].end = 0;
  options_.tool_style = 3;
  EXPECT_NE(Refused(options_).find("tool_style is 3"), std::string::npos);
  options_.tool_style = 0;
  options_.tools_place = -1;
  EXPECT_NE(Refused(options_).find("tools_place is -1"), std::string::npos);
  options_.tools_place = 0;
  options_.tools = "[{}]";
  EXPECT_NE(Refused(options_).find("tools[0] has no \"name\""), std::string::npos);
  options_.tools = kTools;
  options_.tools_bytes = -2;
  EXPECT_NE(Refused(options_).find("length of tools is -2"), std::string::npos);
}

TEST_F(ChatApi, ElementsMayBeOfAnOlderOrNewerStruct) {
  struct Newer {
    scout_chat_message base;
    uint64_t future;
  } newer[2] = {{{sizeof(Newer), 0, "system", "Be brief.", SCOUT_KEEP, nullptr, 0}, 0},
                {{sizeof(Newer), 0, "user", "Hi there", 2, nullptr, 0}, 0}};
  struct Older {
    uint32_t struct_size;
    int32_t end;
    const char* role;
    const char* content;
    int64_t content_bytes;
  } older[2] = {{sizeof(Older), 0, "system", "Be brief.", SCOUT_KEEP},
                {sizeof(Older), 0, "user", "Hi", SCOUT_KEEP}};
  options_.messages = &newer[0].base;
  options_.n_messages = 2;
  const std::string want = Text(options_);
  EXPECT_NE(want.find("Be brief."), std::string::npos);
  options_.messages = reinterpret_cast<const scout_chat_message*>(older);
  EXPECT_EQ(Text(options_), want);
  older[1].struct_size += 8;
  EXPECT_NE(Refused(options_).find("messages[1].struct_size is 40"), std::string::npos);
  options_.messages = &newer[0].base;
  newer[1].future = 1;
  EXPECT_NE(Refused(options_).find("newer header"), std::string::npos);
  newer[1].future = 0;
  newer[1].base.role = nullptr;
  EXPECT_NE(Refused(options_).find("NULL role"), std::string::npos);
  options_.messages = nullptr;
  EXPECT_NE(Refused(options_).find("messages"), std::string::npos);
  options_.n_messages = -1;
  EXPECT_NE(Refused(options_).find("length of messages is -1"), std::string::npos);
}

struct Event {
  int32_t kind;
  int64_t index;
  std::string name, text, reason;
  bool operator==(const Event& o) const {
    return kind == o.kind && index == o.index && name == o.name && text == o.text &&
           reason == o.reason;
  }
};

std::vector<Event> Take(scout_tool_parser* parser) {
  std::vector<Event> events;
  for (;;) {
    scout_tool_event e = {};
    e.struct_size = sizeof e;
    EXPECT_EQ(scout_tool_parser_next(parser, &e, nullptr), SCOUT_OK);
    if (e.kind == SCOUT_TOOL_NONE) return events;
    events.push_back({e.kind, e.index, e.name,
                      std::string(e.text, static_cast<size_t>(e.text_bytes)), e.reason});
  }
}

TEST(ToolParser, EventsInOrder) {
  scout_tool_parser_options o;
  scout_tool_parser_options_init(&o);
  o.tools = kTools;
  scout_tool_parser* parser = nullptr;
  ASSERT_EQ(scout_tool_parser_create(&o, &parser, nullptr), SCOUT_OK);
  const char first[] = "Sure: <|python_start|>[f(a=", second[] = "'x', n=2), g()]";
  ASSERT_EQ(scout_tool_parser_push(parser, first, sizeof first - 1, nullptr), SCOUT_OK);
  EXPECT_EQ(Take(parser), (std::vector<Event>{{SCOUT_TOOL_TEXT, -1, "", "Sure: ", ""},
                                              {SCOUT_TOOL_MARKER, -1, "", "<|python_start|>", ""},
                                              {SCOUT_TOOL_BEGIN, 0, "f", "", ""},
                                              {SCOUT_TOOL_ARGUMENTS, 0, "", "{\"a\": ", ""}}));
  ASSERT_EQ(scout_tool_parser_push(parser, second, sizeof second - 1, nullptr), SCOUT_OK);
  ASSERT_EQ(scout_tool_parser_push(parser, nullptr, 0, nullptr), SCOUT_OK);
  EXPECT_EQ(Take(parser),
            (std::vector<Event>{{SCOUT_TOOL_ARGUMENTS, 0, "", "\"x\", \"n\": 2}", ""},
                                {SCOUT_TOOL_BEGIN, 1, "g", "", ""},
                                {SCOUT_TOOL_ARGUMENTS, 1, "", "{}", ""},
                                {SCOUT_TOOL_CALL, 0, "f", "{\"a\": \"x\", \"n\": 2}", ""},
                                {SCOUT_TOOL_CALL, 1, "g", "{}", ""},
                                {SCOUT_TOOL_SOURCE, -1, "", "[f(a='x', n=2), g()]", ""}}));
  ASSERT_EQ(scout_tool_parser_push(parser, "[h(a=1)]", 8, nullptr), SCOUT_OK);
  EXPECT_EQ(Take(parser), (std::vector<Event>{{SCOUT_TOOL_REJECTED, -1, "", "[h(a=1)]",
                                               "no tool has the name \"h\""}}));
  ASSERT_EQ(scout_tool_parser_push(parser, "[f(a=1", 6, nullptr), SCOUT_OK);
  ASSERT_EQ(scout_tool_parser_finish(parser, nullptr), SCOUT_OK);
  const std::vector<Event> cut = Take(parser);
  ASSERT_EQ(cut.size(), 3u);
  EXPECT_EQ(cut[2].kind, SCOUT_TOOL_REJECTED);
  EXPECT_EQ(cut[2].reason, "the message ends inside the call");
  scout_tool_parser_free(parser);
}

TEST(ToolParser, OptionsAreChecked) {
  scout_tool_parser_options o;
  const auto refused = [&o] {
    auto* parser = reinterpret_cast<scout_tool_parser*>(1);
    scout_error* error = nullptr;
    EXPECT_EQ(scout_tool_parser_create(&o, &parser, &error), SCOUT_INVALID_ARGUMENT);
    EXPECT_EQ(parser, nullptr);
    return TakeMessage(error);
  };
  scout_tool_parser_options_init(&o);
  o.flags = 2;
  EXPECT_NE(refused().find("unknown bits: 2"), std::string::npos);
  scout_tool_parser_options_init(&o);
  o.max_depth = 0;
  EXPECT_NE(refused().find("max_depth 0"), std::string::npos);
  scout_tool_parser_options_init(&o);
  o.max_call_bytes = (int64_t{1} << 28) + 1;
  EXPECT_NE(refused().find("max_call_bytes is 268435457"), std::string::npos);
  scout_tool_parser_options_init(&o);
  o.reserved = 1;
  EXPECT_NE(refused().find("reserved"), std::string::npos);
  scout_tool_parser_options_init(&o);
  for (const char* tools : {"", "{}", "[1]", "[{\"name\": \"\"}]", "[{\"name\": \"a\"}", "[] x",
                            "[{\"name\": \"a\"}, {\"name\": \"a\"}]"}) {
    o.tools = tools;
    EXPECT_FALSE(refused().empty()) << tools;
  }
  o.tools = "[]";  // no name may be called
  scout_tool_parser* parser = nullptr;
  ASSERT_EQ(scout_tool_parser_create(&o, &parser, nullptr), SCOUT_OK);
  EXPECT_EQ(scout_tool_parser_push(parser, nullptr, 1, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_tool_parser_push(parser, "a", -1, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_tool_parser_next(parser, nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_tool_event event = {};
  EXPECT_EQ(scout_tool_parser_next(parser, &event, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_tool_parser_free(parser);
  ASSERT_EQ(scout_tool_parser_create(nullptr, &parser, nullptr), SCOUT_OK);
  scout_tool_parser_free(parser);
}

TEST(ToolParser, AForkedChildIsTold) {
  scout_tool_parser* parser = nullptr;
  ASSERT_EQ(scout_tool_parser_create(nullptr, &parser, nullptr), SCOUT_OK);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    scout_tool_event event = {};
    event.struct_size = sizeof event;
    const bool good = scout_tool_parser_push(parser, "a", 1, nullptr) == SCOUT_FORKED &&
                      scout_tool_parser_finish(parser, nullptr) == SCOUT_FORKED &&
                      scout_tool_parser_next(parser, &event, nullptr) == SCOUT_FORKED;
    scout_tool_parser_free(parser);
    _exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(scout_tool_parser_push(parser, "a", 1, nullptr), SCOUT_OK);
  scout_tool_parser_free(parser);
}

}  // namespace

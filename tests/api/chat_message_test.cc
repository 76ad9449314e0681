// What a caller forgets in a dialog's structs. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "include/scout.h"

namespace {

class ChatMessage : public testing::Test {
 protected:
  void SetUp() override {
    const char path[] = SCOUT_SOURCE_DIR "/tests/golden/tokenizer/llama4";
    ASSERT_EQ(scout_tokenizer_load(path, &tokenizer_, nullptr), SCOUT_OK);
  }
  void TearDown() override { scout_tokenizer_free(tokenizer_); }

  // The message as the ids of a dialog; where it is refused, none and the error's text.
  std::vector<int32_t> Ids(const scout_chat_message& message, std::string* wrong) {
    scout_chat_options options;
    scout_chat_options_init(&options);
    options.messages = &message;
    options.n_messages = 1;
    std::vector<int32_t> ids(200);
    int64_t n = 0;
    scout_error* error = nullptr;
    const scout_status status =
        scout_tokenizer_chat(tokenizer_, &options, ids.data(), 200, &n, &error);
    EXPECT_EQ(status, wrong == nullptr ? SCOUT_OK : SCOUT_INVALID_ARGUMENT)
        << scout_error_message(error);
    if (wrong != nullptr) *wrong = scout_error_message(error);
    scout_error_free(error);
    ids.resize(static_cast<size_t>(n));
    return ids;
  }

  scout_tokenizer* tokenizer_ = nullptr;
};

TEST_F(ChatMessage, InitialisedOnesTakeTextsThatEndWithNul) {
  scout_chat_message message, counted;
  std::memset(&message, 0xEE, sizeof message);  // the initialiser leaves nothing of it
  scout_chat_message_init(&message);
  message.role = "user";
  message.content = "Hello there";
  counted = message;
  counted.content_bytes = 11;
  EXPECT_EQ(Ids(message, nullptr), Ids(counted, nullptr));
  message.content = "";
  EXPECT_LT(Ids(message, nullptr).size(), Ids(counted, nullptr).size());
  scout_tool_call call;
  std::memset(&call, 0xEE, sizeof call);
  scout_tool_call_init(&call);
  call.name = "f";
  call.arguments = "{}";
  message.role = "assistant";
  message.tool_calls = &call;
  message.n_tool_calls = 1;
  EXPECT_FALSE(Ids(message, nullptr).empty());
  scout_chat_message_init(nullptr);
  scout_tool_call_init(nullptr);
}

TEST_F(ChatMessage, AForgottenTextOrLengthIsAnError) {
  std::string wrong;
  scout_chat_message message;
  std::memset(&message, 0, sizeof message);  // by hand, the length forgotten
  message.struct_size = sizeof message;
  message.role = "user";
  message.content = "Hello there";
  EXPECT_TRUE(Ids(message, &wrong).empty());
  EXPECT_NE(wrong.find("messages[0].content_bytes is 0"), std::string::npos) << wrong;
  scout_chat_message_init(&message);
  message.role = "user";
  EXPECT_TRUE(Ids(message, &wrong).empty());
  EXPECT_NE(wrong.find("NULL role or content"), std::string::npos) << wrong;
  scout_tool_call call;
  std::memset(&call, 0, sizeof call);
  call.struct_size = sizeof call;
  call.name = "f";
  call.arguments = "{}";
  message.role = "assistant";
  message.content = "";
  message.tool_calls = &call;
  message.n_tool_calls = 1;
  EXPECT_TRUE(Ids(message, &wrong).empty());
  EXPECT_NE(wrong.find("tool_calls[0].arguments_bytes is 0"), std::string::npos) << wrong;
}

}  // namespace

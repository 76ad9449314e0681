// Counts and capacities that a caller gives: the classes of CVE-2025-52566 (a signed count compared
// with a size) and CVE-2026-21869 (a negative count that moves a write). SPDX-License-Identifier:
// Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "include/scout.h"

namespace {

const char kTokenizer[] = SCOUT_SOURCE_DIR "/models/tiny/tokenizer.json";

class CveCounts : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(scout_tokenizer_load(kTokenizer, &tokenizer_, nullptr), SCOUT_OK);
  }
  void TearDown() override { scout_tokenizer_free(tokenizer_); }
  scout_tokenizer* tokenizer_ = nullptr;
};

TEST_F(CveCounts, SignedCapacitiesOfEncode) {
  const std::string text = "a text of several tokens";
  const auto length = static_cast<int64_t>(text.size());
  int64_t n = 0;
  for (const int64_t capacity : {int64_t{-1}, int64_t{INT32_MIN}, INT64_MIN}) {
    int32_t id = 77;
    EXPECT_EQ(
        scout_tokenizer_encode(tokenizer_, text.data(), length, 0, &id, capacity, &n, nullptr),
        SCOUT_INVALID_ARGUMENT)
        << capacity;
    EXPECT_EQ(id, 77);
  }
  for (const int64_t bytes : {int64_t{-1}, int64_t{INT32_MIN}, INT64_MIN}) {
    EXPECT_EQ(scout_tokenizer_encode(tokenizer_, text.data(), bytes, 0, nullptr, 0, &n, nullptr),
              SCOUT_INVALID_ARGUMENT)
        << bytes;
  }
  // Each capacity below what is needed fills just that much.
  ASSERT_EQ(scout_tokenizer_encode(tokenizer_, text.data(), length, 0, nullptr, 0, &n, nullptr),
            SCOUT_BUFFER_TOO_SMALL);
  const int64_t needed = n;
  ASSERT_GT(needed, 2);
  for (int64_t capacity = 0; capacity <= needed; ++capacity) {
    std::vector<int32_t> ids(static_cast<size_t>(capacity));  // a sanitizer sees one more
    EXPECT_EQ(scout_tokenizer_encode(tokenizer_, text.data(), length, 0, ids.data(), capacity, &n,
                                     nullptr),
              capacity < needed ? SCOUT_BUFFER_TOO_SMALL : SCOUT_OK);
    EXPECT_EQ(n, needed);
  }
}

TEST_F(CveCounts, SignedCapacitiesOfDecode) {
  const std::vector<int32_t> ids = {40, 41, 42};
  int64_t n = 0;
  ASSERT_EQ(scout_tokenizer_decode(tokenizer_, ids.data(), 3, 0, nullptr, 0, &n, nullptr),
            SCOUT_BUFFER_TOO_SMALL);
  const int64_t needed = n;
  for (const int64_t capacity : {int64_t{-1}, int64_t{INT32_MIN}, INT64_MIN}) {
    char byte = 'x';
    EXPECT_EQ(scout_tokenizer_decode(tokenizer_, ids.data(), 3, 0, &byte, capacity, &n, nullptr),
              SCOUT_INVALID_ARGUMENT);
    EXPECT_EQ(byte, 'x');
    EXPECT_EQ(scout_tokenizer_decode(tokenizer_, ids.data(), capacity, 0, nullptr, 0, &n, nullptr),
              SCOUT_INVALID_ARGUMENT);
  }
  for (int64_t capacity = 0; capacity <= needed; ++capacity) {
    std::vector<char> text(static_cast<size_t>(capacity));
    EXPECT_EQ(
        scout_tokenizer_decode(tokenizer_, ids.data(), 3, 0, text.data(), capacity, &n, nullptr),
        capacity < needed ? SCOUT_BUFFER_TOO_SMALL : SCOUT_OK);
  }
}

TEST_F(CveCounts, SignedCountsOfMessages) {
  int64_t n = 0;
  scout_chat_message message;
  std::memset(&message, 0, sizeof message);
  message.struct_size = sizeof message;
  message.role = "user";
  message.content = "Hi";
  scout_chat_options options;
  scout_chat_options_init(&options);
  options.messages = &message;
  options.n_messages = 1;
  for (const int64_t bytes : {int64_t{-2}, int64_t{INT32_MIN}, INT64_MIN}) {
    message.content_bytes = bytes;
    EXPECT_EQ(scout_tokenizer_chat(tokenizer_, &options, nullptr, 0, &n, nullptr),
              SCOUT_INVALID_ARGUMENT)
        << bytes;
  }
  message.content_bytes = 2;
  for (const int64_t count : {int64_t{-1}, INT64_MIN}) {
    options.n_messages = count;
    EXPECT_EQ(scout_tokenizer_chat(tokenizer_, &options, nullptr, 0, &n, nullptr),
              SCOUT_INVALID_ARGUMENT)
        << count;
  }
}

}  // namespace

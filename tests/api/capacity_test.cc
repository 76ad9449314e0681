// What is said where an engine has no room for a session. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "include/scout.h"

namespace {

class Capacity : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(scout_model_load(SCOUT_SOURCE_DIR "/models/tiny", nullptr, &model_, nullptr),
              SCOUT_OK);
  }
  void TearDown() override {
    for (scout_session* session : sessions_) scout_session_free(session);
    scout_engine_free(engine_);
    scout_model_free(model_);
  }
  void Open(int64_t kv_tokens, int32_t max_sessions) {
    scout_engine_options options;
    scout_engine_options_init(&options);
    options.n_threads = 1;
    options.kv_tokens = kv_tokens;
    options.max_sessions = max_sessions;
    ASSERT_EQ(scout_engine_create(model_, &options, &engine_, nullptr), SCOUT_OK);
  }
  // A session, "" then; else the message.
  std::string Create(int64_t max_tokens) {
    scout_session_options options;
    scout_session_options_init(&options);
    options.max_tokens = max_tokens;
    scout_session* session = nullptr;
    const scout_status status = scout_session_create(engine_, &options, &session, &error_);
    return Kept(status, session);
  }
  std::string Fork() {
    scout_session* session = nullptr;
    const scout_status status = scout_session_fork(sessions_[0], 0, &session, &error_);
    return Kept(status, session);
  }
  std::string Kept(scout_status status, scout_session* session) {
    if (status == SCOUT_OK) {
      sessions_.push_back(session);
      return "";
    }
    EXPECT_EQ(status, SCOUT_CAPACITY);
    std::string message = scout_error_message(error_);
    scout_error_free(error_);
    EXPECT_FALSE(message.empty());
    return message;
  }

  scout_model* model_ = nullptr;
  scout_engine* engine_ = nullptr;
  scout_error* error_ = nullptr;
  std::vector<scout_session*> sessions_;
};

void ExpectParts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << "no '" << part << "' in: " << message;
  }
}

// The rule of docs/engine.md: kv_tokens = N x T, max_sessions = N holds N sessions of T tokens.
TEST_F(Capacity, AServersSessionsFit) {
  Open(5 * 300, 5);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Create(300), "") << i;
  EXPECT_NE(Create(300), "");
}

TEST_F(Capacity, TheOptionThatIsTooSmallIsNamed) {
  Open(2048, 1);
  ASSERT_EQ(Create(1024), "");
  ExpectParts(Create(2000),
              {"2000 tokens", "the 1024 tokens that are left of the engine's kv_tokens",
               "max_tokens", "pages left"});
  TearDown();
  sessions_.clear();
  SetUp();
  Open(4096, 2);
  ASSERT_EQ(Create(512), "");
  ASSERT_EQ(Create(512), "");
  ExpectParts(Create(512), {"512 tokens", "engine's max_sessions", "pages left"});
}

TEST_F(Capacity, DefaultSessionsUseTheBudgetUp) {
  Open(0, 0);
  std::string message;
  for (int i = 0; i < 40 && message.empty(); ++i) message = Create(0);
  ExpectParts(message, {"engine's kv_tokens 0 of ", "max_sessions", "takes half of what is free"});
}

TEST_F(Capacity, TheForkOfADefaultSessionThatDoesNotFit) {
  Open(2048, 4);
  ASSERT_EQ(Create(0), "");
  std::string message;
  for (int i = 0; i < 3 && message.empty(); ++i) message = Fork();
  ExpectParts(message, {"engine's kv_tokens", "max_tokens"});
}

}  // namespace

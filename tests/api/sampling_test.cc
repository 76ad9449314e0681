// Sampling options and log-probabilities through the C interface.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "scout.h"

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

class Sampling : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(scout_model_load(SCOUT_SOURCE_DIR "/tests/golden/scout-tiny-bf16", nullptr, &model_,
                               nullptr),
              SCOUT_OK);
    scout_engine_options options;
    scout_engine_options_init(&options);
    options.n_threads = 1;
    ASSERT_EQ(scout_engine_create(model_, &options, &engine_, nullptr), SCOUT_OK);
    session_ = NewSession();
    scout_sampling_options_init(&o_);
  }
  void TearDown() override {
    scout_session_free(session_);
    scout_engine_free(engine_);
    scout_model_free(model_);
  }

  scout_session* NewSession() {
    scout_session_options options;
    scout_session_options_init(&options);
    options.max_tokens = 64;
    scout_session* session = nullptr;
    EXPECT_EQ(scout_session_create(engine_, &options, &session, nullptr), SCOUT_OK);
    const std::vector<int32_t> prompt = {1, 5, 5, 9, 200};
    EXPECT_EQ(scout_session_prefill(session, prompt.data(), 5, nullptr, nullptr, nullptr),
              SCOUT_OK);
    return session;
  }

  int32_t Decode(scout_session* session) {
    int32_t token = -1;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_session_decode(session, &o_, &token, &error), SCOUT_OK)
        << scout_error_message(error);
    scout_error_free(error);
    return token;
  }

  std::string Refused() {
    int32_t token = -1;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_session_decode(session_, &o_, &token, &error), SCOUT_INVALID_ARGUMENT);
    std::string message = scout_error_message(error);
    scout_error_free(error);
    EXPECT_EQ(scout_session_position(session_), 5);
    return message;
  }

  scout_model* model_ = nullptr;
  scout_engine* engine_ = nullptr;
  scout_session* session_ = nullptr;
  scout_sampling_options o_;
};

TEST_F(Sampling, EveryOlderSizeIsAccepted) {
  const int32_t greedy = Decode(session_);
  for (uint32_t size = 4; size <= sizeof o_; size += 4) {
    ASSERT_EQ(scout_session_rewind(session_, 5, nullptr), SCOUT_OK);
    scout_sampling_options_init(&o_);
    o_.struct_size = size;
    // What lies behind the older end is not read: it would be refused.
    std::memset(reinterpret_cast<uint8_t*>(&o_) + size, 0xFF, sizeof o_ - size);
    EXPECT_EQ(Decode(session_), greedy) << size;
  }
}

TEST_F(Sampling, BiasBansAndForces) {
  const int32_t greedy = Decode(session_);
  ASSERT_EQ(scout_session_rewind(session_, 5, nullptr), SCOUT_OK);
  const scout_logit_bias ban[] = {{greedy, -kInf}};
  o_.logit_bias = ban;
  o_.n_logit_bias = 1;
  EXPECT_NE(Decode(session_), greedy);
  ASSERT_EQ(scout_session_rewind(session_, 5, nullptr), SCOUT_OK);
  const scout_logit_bias force[] = {{77, 1e6f}};
  o_.logit_bias = force;
  EXPECT_EQ(Decode(session_), 77);
}

TEST_F(Sampling, RefusalsNameTheField) {
  o_.logit_bias = nullptr;
  o_.n_logit_bias = 1;
  EXPECT_NE(Refused().find("logit_bias is NULL"), std::string::npos);
  o_.n_logit_bias = -1;
  EXPECT_NE(Refused().find("n_logit_bias is -1"), std::string::npos);
  const scout_logit_bias outside[] = {{1 << 30, 1}};
  o_.logit_bias = outside;
  o_.n_logit_bias = 1;
  EXPECT_NE(Refused().find("logit_bias[0].token is 1073741824"), std::string::npos);
  o_.n_logit_bias = 0;
  o_.repetition_penalty = -1;
  EXPECT_NE(Refused().find("repetition_penalty is -1"), std::string::npos);
  o_.repetition_penalty = 1;
  o_.reserved2 = 1;
  EXPECT_NE(Refused().find("reserved"), std::string::npos);
}

TEST_F(Sampling, AHeavyPresencePenaltyNeverRepeatsWithinTheAnswer) {
  o_.presence_penalty = 1e6f;
  std::vector<int32_t> answer;
  for (int i = 0; i < 40; ++i) {
    const int32_t token = Decode(session_);
    for (int32_t before : answer) ASSERT_NE(token, before);
    answer.push_back(token);
  }
  // The prompt does not count: the first token may be one of it. A sync with prompt and answer
  // makes all of it the prompt, unless answer_start says otherwise.
  std::vector<int32_t> all(64);
  int64_t n = 0;
  ASSERT_EQ(scout_session_tokens(session_, all.data(), 64, &n, nullptr), SCOUT_OK);
  ASSERT_EQ(scout_session_rewind(session_, 20, nullptr), SCOUT_OK);
  const int32_t next = Decode(session_);
  EXPECT_EQ(next, all[20]);
  ASSERT_EQ(scout_session_sync(session_, all.data(), 20, nullptr, nullptr, nullptr), SCOUT_OK);
  o_.answer_start = 5;
  EXPECT_EQ(Decode(session_), next);
}

TEST_F(Sampling, ForksAndRepeatsDrawTheSame) {
  o_.temperature = 1.5f;
  o_.seed = 4;
  o_.repetition_penalty = 1.3f;
  o_.frequency_penalty = 0.5f;
  o_.penalty_window = 8;
  for (int i = 0; i < 5; ++i) Decode(session_);
  scout_session* fork = nullptr;
  ASSERT_EQ(scout_session_fork(session_, 0, &fork, nullptr), SCOUT_OK);
  std::vector<int32_t> a, b, c;
  for (int i = 0; i < 20; ++i) a.push_back(Decode(session_));
  for (int i = 0; i < 20; ++i) b.push_back(Decode(fork));
  ASSERT_EQ(scout_session_rewind(session_, 10, nullptr), SCOUT_OK);
  for (int i = 0; i < 20; ++i) c.push_back(Decode(session_));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a, c);
  scout_session_free(fork);
}

TEST_F(Sampling, LogProbsSumToOne) {
  std::vector<float> logits(1024), top(1024);
  std::vector<int32_t> ids(1024);
  ASSERT_EQ(scout_session_logits(session_, logits.data(), 1024, nullptr), SCOUT_OK);
  const int32_t greedy = Decode(session_);
  float chosen = 0;
  ASSERT_EQ(
      scout_logprobs(logits.data(), 1024, greedy, &chosen, 1024, ids.data(), top.data(), nullptr),
      SCOUT_OK);
  EXPECT_EQ(ids[0], greedy);
  EXPECT_EQ(top[0], chosen);
  double sum = 0;
  for (int i = 0; i < 1024; ++i) {
    if (i > 0) {
      EXPECT_LE(top[i], top[i - 1]);
    }
    sum += std::exp(static_cast<double>(top[i]));
  }
  EXPECT_NEAR(sum, 1, 1e-5);
  const float few[] = {1, -kInf};
  ASSERT_EQ(scout_logprobs(few, 2, 1, &chosen, 3, ids.data(), top.data(), nullptr), SCOUT_OK);
  EXPECT_EQ(chosen, -kInf);
  EXPECT_EQ(ids[1], -1);
  EXPECT_EQ(top[2], -kInf);
  EXPECT_EQ(scout_logprobs(few, 0, 0, &chosen, 0, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_logprobs(few, 2, 0, &chosen, 1, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_logprobs(nullptr, 2, 0, &chosen, 0, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_logprobs(few, 2, 0, nullptr, 0, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
}

}  // namespace

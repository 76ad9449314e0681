#include "lib/sample/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace scout {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(ArgMax, TakesTheLowestOfEqualsAndNeverNaN) {
  const float a[] = {kNan, 1, 3, 3, kNan, 2};
  EXPECT_EQ(ArgMax(a, 6), 2);
  const float b[] = {-kInf, -kInf};
  EXPECT_EQ(ArgMax(b, 2), 0);
}

absl::StatusOr<int32_t> Draw(const std::vector<float>& logits, const SamplingOptions& o,
                             int64_t position = 0, const std::vector<int32_t>& tokens = {},
                             int64_t answer_start = 0) {
  Sampler sampler;
  TokenHistory history{tokens.data(), static_cast<int64_t>(tokens.size()), answer_start};
  if (tokens.empty()) history.n = position;
  return sampler.Sample(logits.data(), static_cast<int64_t>(logits.size()), o, history);
}

TEST(Sample, GreedyIsTheDefault) { EXPECT_EQ(*Draw({0.5f, 2, 1}, {}), 1); }

TEST(Sample, BrokenLogitsAreAnError) {
  for (float temperature : {0.0f, 1.0f}) {
    const SamplingOptions o{.temperature = temperature};
    EXPECT_EQ(Draw({kNan, -kInf}, o, 7).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(Draw({1, kInf, 2}, o, 7).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(*Draw({kNan, -kInf, -3, kNan}, o, 7), 2);
  }
}

TEST(Sample, RefusesOptionsByNameAndValue) {
  for (auto [o, text] : std::vector<std::pair<SamplingOptions, std::string>>{
           {{.temperature = -1}, "temperature is -1"},
           {{.temperature = kNan}, "temperature is nan"},
           {{.temperature = kInf}, "temperature is inf"},
           {{.temperature = 1, .top_p = 0}, "top_p is 0"},
           {{.temperature = 1, .top_p = 1.5f}, "top_p is 1.5"},
           {{.top_k = -1}, "top_k is -1"},
           {{.min_p = 2}, "min_p is 2"},
           {{.repetition_penalty = 0}, "repetition_penalty is 0"},
           {{.repetition_penalty = kInf}, "repetition_penalty is inf"},
           {{.frequency_penalty = kNan}, "frequency_penalty is nan"},
           {{.presence_penalty = -kInf}, "presence_penalty is -inf"},
           {{.penalty_window = -1}, "penalty_window is -1"},
           {{.answer_start = -2}, "answer_start is -2"},
           {{.logit_bias = {{0, 1}, {2, 1}}},
            "logit_bias[1].token is 2, outside the vocabulary of 2"},
           {{.logit_bias = {{-1, 1}}}, "logit_bias[0].token is -1"},
           {{.logit_bias = {{1, kNan}}}, "logit_bias[0].bias of token 1 is nan"},
           {{.logit_bias = {{1, kInf}}}, "logit_bias[0].bias of token 1 is inf"}}) {
    auto s = Draw({1, 2}, o).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(s.message().find(text), std::string::npos) << s << " lacks " << text;
  }
}

TEST(Sample, IsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits(100, 0.0f);
  SamplingOptions o{.temperature = 1, .seed = 5};
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(*Draw(logits, o, i), *Draw(logits, o, i));
    SamplingOptions other = o;
    other.seed = 6;
    same += *Draw(logits, o, i) == *Draw(logits, other, i);
  }
  EXPECT_LT(same, 10);
}

TEST(Penalties, RepetitionDividesPositiveAndMultipliesNegativeLogitsOnce) {
  // Token 0: 4 / 2 = 2 however often it came; token 3: -1 * 2 = -2, so that 1 and 4 tie at 3.
  EXPECT_EQ(*Draw({4, 3, 1, -1, 3}, {.repetition_penalty = 2}, 0, {0, 0, 0, 3}), 1);
  EXPECT_EQ(*Draw({-1, -1.5f}, {.repetition_penalty = 2}, 0, {0}), 1);
  EXPECT_EQ(*Draw({-1, -2.5f}, {.repetition_penalty = 2}, 0, {0}), 0);
  EXPECT_EQ(*Draw({1, 3}, {.repetition_penalty = 0.25f}, 0, {0}), 0);           // 1 / 0.25 = 4
  EXPECT_EQ(*Draw({1e-38f, 1}, {.repetition_penalty = 1e-38f}, 0, {0, 1}), 1);  // 1 and 1e38
}

TEST(Penalties, WindowCountsFromTheEnd) {
  const std::vector<float> logits = {5, 4, 3};
  const std::vector<int32_t> tokens = {0, 1, 2};
  auto with = [&](int64_t window) {
    return *Draw(logits, {.repetition_penalty = 4, .penalty_window = window}, 0, tokens, 3);
  };
  EXPECT_EQ(with(1), 0);  // only token 2 is seen
  EXPECT_EQ(with(2), 0);
  EXPECT_EQ(with(3), 0);  // all three divided
  EXPECT_EQ(with(0), 0);
  EXPECT_EQ(*Draw({5, 4, 3}, {.repetition_penalty = 4, .penalty_window = 1}, 0, {2, 1, 0}), 1);
  EXPECT_EQ(*Draw({5, 4, 3}, {.repetition_penalty = 4, .penalty_window = 2}, 0, {2, 1, 0}), 2);
  EXPECT_EQ(*Draw({5, 4, 3}, {.repetition_penalty = 4, .penalty_window = 99}, 0, {2, 1, 0}), 0);
}

TEST(Penalties, FrequencyAndPresenceCountTheAnswerOnly) {
  const std::vector<int32_t> tokens = {0, 0, 0, 0, 1, 1, 1, 2};
  // In the answer {1, 1, 1, 2}: 10 - 3 * 2 = 4, 9 - 2 = 7; token 0 stays at 6.5.
  EXPECT_EQ(*Draw({6.5f, 10, 9}, {.frequency_penalty = 2}, 0, tokens, 4), 2);
  EXPECT_EQ(*Draw({6.5f, 10, 8}, {.frequency_penalty = 2}, 0, tokens, 4), 0);
  EXPECT_EQ(*Draw({6.5f, 10, 9}, {.presence_penalty = 3}, 0, tokens, 4), 1);  // 7, 6
  EXPECT_EQ(*Draw({6.5f, 10, 9}, {.presence_penalty = 3.75f}, 0, tokens, 4), 0);
  EXPECT_EQ(*Draw({6.5f, 10, 9}, {.frequency_penalty = 2}, 0, tokens, 8), 1);  // empty answer
  EXPECT_EQ(*Draw({1, 0}, {.presence_penalty = -2}, 0, {1}, 0), 1);            // a reward
}

TEST(Penalties, BiasComesAfterThem) {
  EXPECT_EQ(*Draw({4, 3}, {.repetition_penalty = 2, .logit_bias = {{0, 1.5f}}}, 0, {0}), 0);
  EXPECT_EQ(*Draw({4, 3}, {.repetition_penalty = 2, .logit_bias = {{0, 0.5f}}}, 0, {0}), 1);
  EXPECT_EQ(*Draw({4, 3}, {.logit_bias = {{0, -0.75f}, {0, -0.75f}}}), 1);    // they add up
  EXPECT_EQ(*Draw({3e38f, 3}, {.logit_bias = {{1, 3e38f}, {1, 3e38f}}}), 1);  // clamped, not inf
}

TEST(Penalties, BanIsForEver) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(
        *Draw({50, 0, 49}, {.temperature = 9, .logit_bias = {{0, -kInf}, {2, -kInf}, {2, 9}}}, i),
        1);
  }
  auto s = Draw({1, kNan, 2}, {.logit_bias = {{0, -kInf}, {2, -kInf}}}, 3).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(s.message().find("bans every token"), std::string::npos) << s;
}

TEST(Sample, ScratchOfEarlierCallsDoesNotMatter) {
  Sampler used;
  const std::vector<float> logits = {3, 2.5f, 2, 1};
  const std::vector<int32_t> tokens = {0, 0, 1, 3, 0};
  const SamplingOptions o{.temperature = 1, .repetition_penalty = 1.5f, .frequency_penalty = 1};
  const std::vector<float> large(1000, 1.0f);
  const std::vector<int32_t> many = {999, 998, 0, 3};
  for (int64_t start = 0; start < 5; ++start) {
    ASSERT_TRUE(used.Sample(large.data(), 1000, o, {many.data(), 4, start % 4}).ok());
    EXPECT_EQ(*used.Sample(logits.data(), 4, o, {tokens.data(), 5, start}),
              *Draw(logits, o, 0, tokens, start));
  }
}

TEST(LogProbs, AreThoseOfTheRawSoftmax) {
  Sampler sampler;
  std::vector<TokenLogProb> top;
  const float logits[] = {std::log(0.5f),   kNan,  std::log(0.125f),
                          std::log(0.125f), -kInf, std::log(0.25f)};
  EXPECT_NEAR(*sampler.LogProbs(logits, 6, 5, 3, &top), std::log(0.25), 1e-6);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].id, 0);
  EXPECT_EQ(top[1].id, 5);
  EXPECT_EQ(top[2].id, 2);  // of equals the lower id
  EXPECT_NEAR(top[2].logprob, std::log(0.125), 1e-6);
  EXPECT_EQ(*sampler.LogProbs(logits, 6, 1, 100, &top), -kInf);
  EXPECT_EQ(top.size(), 4u);
  EXPECT_EQ(*sampler.LogProbs(logits, 6, 4, 0, &top), -kInf);
  EXPECT_TRUE(top.empty());
  EXPECT_EQ(sampler.LogProbs(logits, 6, 6, 0, &top).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sampler.LogProbs(logits, 6, -1, 0, &top).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sampler.LogProbs(logits, 6, 0, -1, &top).status().code(),
            absl::StatusCode::kInvalidArgument);
  const float broken[] = {1, kInf};
  EXPECT_EQ(sampler.LogProbs(broken, 2, 0, 0, &top).status().code(), absl::StatusCode::kDataLoss);
  const float huge[] = {3e38f, -3e38f};
  EXPECT_EQ(*sampler.LogProbs(huge, 2, 0, 0, &top), 0);
}

TEST(CounterUniform, IsUniform) {
  double mean = 0, square = 0;
  for (uint64_t i = 0; i < 100000; ++i) {
    const double u = CounterUniform(42, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    mean += u / 100000;
    square += u * u / 100000;
  }
  EXPECT_NEAR(mean, 0.5, 0.005);
  EXPECT_NEAR(square, 1.0 / 3, 0.005);
}

}  // namespace
}  // namespace scout

#include "lib/sample/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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

TEST(Sample, GreedyIsTheDefault) {
  const float logits[] = {0.5f, 2, 1};
  EXPECT_EQ(*Sample(logits, 3, {}, 0), 1);
}

TEST(Sample, NothingFiniteIsAnError) {
  const float logits[] = {kNan, -kInf};
  EXPECT_EQ(Sample(logits, 2, {}, 7).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Sample, RefusesOptionsByName) {
  const float logits[] = {1, 2};
  for (auto [o, name] : std::vector<std::pair<SamplingOptions, std::string>>{
           {{.temperature = -1}, "temperature"},
           {{.temperature = kNan}, "temperature"},
           {{.temperature = 1, .top_p = 0}, "top_p"},
           {{.temperature = 1, .top_p = 1.5f}, "top_p"},
           {{.top_k = -1}, "top_k"},
           {{.min_p = 2}, "min_p"}}) {
    auto s = Sample(logits, 2, o, 0).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(s.message().find(name), std::string::npos) << s;
  }
}

std::vector<double> Frequencies(const std::vector<float>& logits, SamplingOptions o,
                                int n = 40000) {
  std::vector<double> f(logits.size());
  for (int i = 0; i < n; ++i) f[*Sample(logits.data(), logits.size(), o, i)] += 1.0 / n;
  return f;
}

TEST(Sample, DrawsWithTheProbabilitiesOfTheSoftmax) {
  const std::vector<float> logits = {0, 1, 2, -1};
  const double t = 1.5;
  double z = 0;
  for (float l : logits) z += std::exp(l / t);
  const auto f = Frequencies(logits, {.temperature = 1.5f, .seed = 11});
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(f[i], std::exp(logits[i] / t) / z, 0.01);
}

TEST(Sample, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f),
                                     std::log(0.05f)};
  auto k = Frequencies(logits, {.top_k = 2, .temperature = 1, .seed = 1});
  EXPECT_NEAR(k[0], 0.625, 0.01);
  EXPECT_EQ(k[2] + k[3], 0);
  auto p = Frequencies(logits, {.temperature = 1, .top_p = 0.7f, .seed = 2});
  EXPECT_NEAR(p[1], 0.375, 0.01);
  EXPECT_EQ(p[2] + p[3], 0);
  auto m = Frequencies(logits, {.temperature = 1, .min_p = 0.2f, .seed = 3});
  EXPECT_NEAR(m[2], 0.15 / 0.95, 0.01);
  EXPECT_EQ(m[3], 0);
}

TEST(Sample, IsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits(100, 0.0f);
  SamplingOptions o{.temperature = 1, .seed = 5};
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(*Sample(logits.data(), 100, o, i), *Sample(logits.data(), 100, o, i));
    SamplingOptions other = o;
    other.seed = 6;
    same += *Sample(logits.data(), 100, o, i) == *Sample(logits.data(), 100, other, i);
  }
  EXPECT_LT(same, 10);
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

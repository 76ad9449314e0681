// Draws against closed forms by chi-square, and against a slow oracle that sorts everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "lib/sample/sampler.h"

namespace scout {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Pearson's statistic of n draws against the probabilities; an impossible draw fails.
double ChiSquare(const std::vector<float>& logits, const SamplingOptions& o,
                 const std::vector<double>& probability, int n = 50000) {
  Sampler sampler;
  std::vector<int> seen(logits.size());
  for (int i = 0; i < n; ++i) {
    ++seen[static_cast<size_t>(
        *sampler.Sample(logits.data(), static_cast<int64_t>(logits.size()), o, {nullptr, i, 0}))];
  }
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (probability[i] == 0) {
      EXPECT_EQ(seen[i], 0) << "token " << i << " is impossible";
      continue;
    }
    const double wanted = probability[i] * n;
    sum += (seen[i] - wanted) * (seen[i] - wanted) / wanted;
  }
  return sum;
}

// The 99.9 % quantile of chi-square (Wilson & Hilferty 1931).
double Bound(int degrees) {
  const double v = 2.0 / (9 * degrees);
  return degrees * std::pow(1 - v + 3.0902 * std::sqrt(v), 3);
}

const std::vector<float> kQuarters = {std::log(0.15f), std::log(0.5f), std::log(0.05f),
                                      std::log(0.3f)};

TEST(Distribution, IsTheSoftmaxOverTemperature) {
  const std::vector<float> logits = {0, 1, 2, -1, 0.5f, -3};
  for (float t : {0.25f, 1.0f, 1.5f, 20.0f}) {
    std::vector<double> p;
    double z = 0;
    for (float l : logits) z += std::exp(l / t);
    for (float l : logits) p.push_back(std::exp(l / t) / z);
    EXPECT_LT(ChiSquare(logits, {.temperature = t, .seed = 11}, p), Bound(5)) << t;
  }
}

TEST(Distribution, AWrongOneIsNoticed) {
  EXPECT_GT(ChiSquare(kQuarters, {.temperature = 1, .seed = 1}, {0.16, 0.49, 0.05, 0.3}), Bound(3));
}

TEST(Distribution, CutsKeepTheProportions) {
  EXPECT_LT(ChiSquare(kQuarters, {.top_k = 2, .temperature = 1, .seed = 1}, {0, 0.625, 0, 0.375}),
            Bound(1));
  EXPECT_LT(
      ChiSquare(kQuarters, {.temperature = 1, .top_p = 0.7f, .seed = 2}, {0, 0.625, 0, 0.375}),
      Bound(1));
  EXPECT_LT(ChiSquare(kQuarters, {.temperature = 1, .min_p = 0.2f, .seed = 3},
                      {0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95}),
            Bound(2));
  // top_p is of what top_k left: 0.5 of 0.8 is 0.625, above 0.6.
  EXPECT_LT(ChiSquare(kQuarters, {.top_k = 2, .temperature = 1, .top_p = 0.6f}, {0, 1, 0, 0}),
            1e-9);
}

TEST(Distribution, PenaltiesAndBiasChangeTheLogits) {
  Sampler sampler;
  const std::vector<float> logits = {1, 1, 1, 1};
  const std::vector<float> equivalent = {0.5f, 1 - 2 * 0.75f - 0.25f, 1, 3};
  const std::vector<int32_t> tokens = {0, 0, 1, 1};
  SamplingOptions o{.temperature = 1,
                    .seed = 9,
                    .repetition_penalty = 2,
                    .frequency_penalty = 0.75f,
                    .presence_penalty = 0.25f,
                    .penalty_window = 4,
                    .logit_bias = {{3, 2}, {1, 0.5f}}};
  // Token 1: 1 / 2 - 2 * 0.75 - 0.25 + 0.5.
  ASSERT_EQ(equivalent[1], 1.0f / 2 - 1.5f - 0.25f + 0.5f);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    o.seed = seed;
    ASSERT_EQ(
        *sampler.Sample(logits.data(), 4, o, {tokens.data(), 4, 2}),
        *sampler.Sample(equivalent.data(), 4, {.temperature = 1, .seed = seed}, {nullptr, 4, 0}));
  }
}

// Sorts everything, keeps what the definition says, draws over ascending ids.
int32_t Oracle(std::vector<float> logits, const SamplingOptions& o,
               const std::vector<int32_t>& tokens, int64_t answer_start, int64_t position) {
  std::map<int32_t, int> window, answer;
  const auto n = static_cast<int64_t>(tokens.size());
  for (int64_t i = 0; i < n; ++i) {
    if (o.penalty_window == 0 || i >= n - o.penalty_window) ++window[tokens[i]];
    if (i >= answer_start) ++answer[tokens[i]];
  }
  for (auto [id, count] : window) {
    logits[id] =
        logits[id] > 0 ? logits[id] / o.repetition_penalty : logits[id] * o.repetition_penalty;
  }
  for (auto [id, count] : answer) {
    logits[id] -= count * o.frequency_penalty + o.presence_penalty;
  }
  for (const LogitBias& b : o.logit_bias) logits[b.token] += b.bias;
  std::vector<int32_t> order;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i]) && logits[i] != -kInf) order.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (o.temperature == 0) return order[0];
  if (o.top_k > 0 && order.size() > static_cast<size_t>(o.top_k)) order.resize(o.top_k);
  auto weight = [&](int32_t id) {
    return std::exp((static_cast<double>(logits[id]) - logits[order[0]]) / o.temperature);
  };
  double total = 0, sum = 0;
  for (int32_t id : order) total += weight(id);
  size_t keep = 0;
  while (keep < order.size() && (keep == 0 || sum < o.top_p * total)) sum += weight(order[keep++]);
  if (o.top_p < 1) order.resize(keep);
  while (weight(order.back()) < o.min_p) order.pop_back();
  std::sort(order.begin() + 1, order.end());
  const int32_t best = order[0];
  std::inplace_merge(order.begin(), order.begin() + 1, order.end());
  auto relative = [&](int32_t id) {
    return std::exp((static_cast<double>(logits[id]) - logits[best]) / o.temperature);
  };
  total = sum = 0;
  for (int32_t id : order) total += relative(id);
  const double target = CounterUniform(o.seed, position) * total;
  for (int32_t id : order) {
    sum += relative(id);
    if (sum > target) return id;
  }
  return best;
}

TEST(Sample, EqualsTheOracle) {
  std::mt19937_64 rng(7);
  auto uniform = [&](int below) { return static_cast<int>(rng() % below); };
  auto real = [&] { return static_cast<float>(uniform(1 << 20)) / (1 << 20); };
  Sampler sampler;
  int drawn = 0;
  for (int round = 0; round < 6000; ++round) {
    const int n = round % 20 == 0 ? 3000 + uniform(3000) : 1 + uniform(300);
    std::vector<float> logits(static_cast<size_t>(n));
    const int kind = uniform(7);
    for (float& l : logits) {
      l = kind == 0   ? static_cast<float>(uniform(3))           // ties
          : kind == 1 ? 1.0f                                     // all equal
          : kind == 2 ? (uniform(2) ? kNan : real())             // NaN
          : kind == 3 ? (uniform(3) ? -kInf : 9 * real())        // -inf
          : kind == 4 ? (2 * real() - 1) * 3e38f                 // huge
          : kind == 5 ? -std::log(real() + 1e-6f) * 4            // one stands out
                      : (real() + real() + real() - 1.5f) * 12;  // bell
    }
    logits[static_cast<size_t>(uniform(n))] = 1.5f;  // one is finite
    SamplingOptions o;
    o.temperature = uniform(4) ? 0.05f + 2 * real() : 0;
    if (uniform(8) == 0) o.temperature *= 1e-3f;
    o.seed = rng();
    if (uniform(2)) o.top_k = 1 + uniform(uniform(2) ? n : 20);
    if (uniform(2)) o.top_p = uniform(2) ? 1 - 0.1f * real() : 0.01f + 0.9f * real();
    if (uniform(3) == 0) o.min_p = uniform(8) ? 0.2f * real() : 1;
    std::vector<int32_t> tokens(static_cast<size_t>(uniform(60)));
    for (int32_t& t : tokens) t = uniform(n);
    const int64_t start = uniform(static_cast<int>(tokens.size()) + 1);
    if (kind != 4) {  // there a penalty is below the rounding
      if (uniform(3) == 0) o.repetition_penalty = 0.5f + real();
      if (uniform(3) == 0) o.frequency_penalty = real() - 0.25f;
      if (uniform(3) == 0) o.presence_penalty = real() - 0.25f;
      if (uniform(3) == 0) o.penalty_window = 1 + uniform(70);
      // The best stays allowed.
      for (int i = uniform(4); i > 0; --i) o.logit_bias.push_back({uniform(n), 4 * real() - 2});
    }
    const auto position = static_cast<int64_t>(tokens.size());
    const auto got = sampler.Sample(logits.data(), n, o, {tokens.data(), position, start});
    ASSERT_TRUE(got.ok()) << got.status();
    // Single precision between the steps rounds alike in both, except where double rounds twice.
    ASSERT_EQ(*got, Oracle(logits, o, tokens, start, position))
        << "round " << round << " kind " << kind << " n " << n << " T " << o.temperature << " k "
        << o.top_k << " p " << o.top_p << " min_p " << o.min_p;
    drawn += o.temperature > 0;
  }
  EXPECT_GT(drawn, 3000);
}

TEST(Sample, AFlatVocabularyIsCutByMassToo) {
  Sampler sampler;
  const int64_t n = 202048;
  const std::vector<float> flat(n, 1.0f);
  int32_t highest = 0;
  for (int i = 0; i < 40; ++i) {
    highest = std::max(highest, *sampler.Sample(flat.data(), n, {.temperature = 1, .top_p = 0.25f},
                                                {nullptr, i, 0}));
  }
  EXPECT_LT(highest, 50512);  // the first quarter of equals
  EXPECT_GT(highest, 40000);
}

TEST(SelectTop, EqualsSorting) {
  std::mt19937_64 rng(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<float> logits(1 + rng() % 2000);
    for (size_t i = 0; i < logits.size(); ++i) {
      const int kind = round % 4;
      logits[i] = kind == 0   ? static_cast<float>(i)
                  : kind == 1 ? -static_cast<float>(i / 3)
                              : static_cast<float>(rng() % 100);
      if (rng() % 10 == 0) logits[i] = kNan;
      if (rng() % 10 == 0) logits[i] = -kInf;
    }
    std::vector<Candidate> all, best;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] > -kInf) all.push_back({logits[i], static_cast<int32_t>(i)});
    }
    std::sort(all.begin(), all.end(), Before);
    const size_t k = 1 + rng() % (round % 2 ? 40 : 2500);
    SelectTop(logits.data(), static_cast<int64_t>(logits.size()), static_cast<int64_t>(k), &best);
    std::sort(best.begin(), best.end(), Before);
    ASSERT_EQ(best.size(), std::min(k, all.size()));
    for (size_t i = 0; i < best.size(); ++i) ASSERT_EQ(best[i].id, all[i].id);
  }
}

TEST(ExpNotPositive, IsExpToTheLastPlaces) {
  EXPECT_EQ(ExpNotPositive(0.0), 1.0);
  EXPECT_GT(ExpNotPositive(-kInf), 0);
  EXPECT_LT(ExpNotPositive(-1e308), 1e-300);
  double worst = 0;
  for (double x = 0; x > -708; x = (x - 1e-9) * 1.0003) {
    const double exact = std::exp(x);
    worst = std::max(worst, std::abs(ExpNotPositive(x) - exact) / exact);
  }
  EXPECT_LT(worst, 0x1.0p-51);
}

}  // namespace
}  // namespace scout

#include "lib/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace scout {
namespace {

// Less probable than 2^-64 of the best counts as impossible: all of them together are below the
// rounding of the sum.
constexpr double kLeastLogWeight = -44.3614195558365;
// So many of the most probable are tried for top-p before all are weighed.
constexpr int64_t kFirstTry = 256;
constexpr int64_t kBlock = 1024;  // weights whose sum is taken at once when looking for the draw

uint64_t Mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Within the finite floats; -inf stays.
float Clamped(double logit) {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (logit == -INFINITY) return -INFINITY;
  return static_cast<float>(std::clamp(logit, -kMost, kMost));
}

bool HasPenalty(const SamplingOptions& o) {
  return o.repetition_penalty != 1 || o.frequency_penalty != 0 || o.presence_penalty != 0;
}

// `cut` is the last that is kept. False for NaN.
bool Kept(float logit, int64_t id, Candidate cut) {
  return logit > cut.logit || (logit == cut.logit && id <= cut.id);
}

// In an order of additions that depends on n alone.
double Sum(const double* values, int64_t n) {
  constexpr int64_t kLanes = 8;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += values[i + j];
  }
  double sum = 0;
  for (; i < n; ++i) sum += values[i];
  for (double lane : lanes) sum += lane;
  return sum;
}

absl::Status CheckBest(float logit, int64_t id, int64_t position) {
  if (logit > -INFINITY && logit < INFINITY) return absl::OkStatus();
  if (logit == INFINITY) {
    return CorruptError(absl::StrCat("the logit of token ", id, " at position ", position,
                                     " is infinite: the weights give NaN or infinity"));
  }
  return CorruptError(absl::StrCat("no token has a finite logit at position ", position,
                                   ": the weights give NaN or infinity"));
}

}  // namespace

double CounterUniform(uint64_t seed, uint64_t position) {
  return static_cast<double>(Mix(Mix(seed) ^ position) >> 11) * 0x1.0p-53;
}

int32_t ArgMax(const float* logits, int64_t n) {
  // Lanes of known number, which the compiler keeps in vectors; a comparison with NaN is false.
  constexpr int64_t kLanes = 8;
  float most[kLanes];
  std::fill_n(most, kLanes, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) {
      most[j] = logits[i + j] > most[j] ? logits[i + j] : most[j];
    }
  }
  for (; i < n; ++i) most[0] = logits[i] > most[0] ? logits[i] : most[0];
  const float best = *std::max_element(most, most + kLanes);
  const float* const found = std::find(logits, logits + n, best);
  return found == logits + n ? 0 : static_cast<int32_t>(found - logits);
}

void Sampler::Count(const int32_t* first, const int32_t* last, int64_t n) {
  counts_.resize(static_cast<size_t>(n), 0);
  counted_.reserve(static_cast<size_t>(std::min(n, static_cast<int64_t>(last - first))));
  for (; first < last; ++first) {
    if (*first < 0 || *first >= n) continue;  // no logit to change
    if (counts_[static_cast<size_t>(*first)]++ == 0) counted_.push_back(*first);
  }
}

void Sampler::ForgetCounts() {
  for (int32_t id : counted_) counts_[static_cast<size_t>(id)] = 0;
  counted_.clear();
}

const float* Sampler::Adjust(const float* logits, int64_t n, const SamplingOptions& o,
                             const TokenHistory& history) {
  if (!HasPenalty(o) && o.logit_bias.empty()) return logits;
  adjusted_.assign(logits, logits + n);
  if (o.repetition_penalty != 1) {
    const int64_t window = o.penalty_window > 0 ? std::min(o.penalty_window, history.n) : history.n;
    Count(history.tokens + (history.n - window), history.tokens + history.n, n);
    for (int32_t id : counted_) {
      float& logit = adjusted_[static_cast<size_t>(id)];
      const double wide = logit;
      logit = Clamped(wide > 0 ? wide / o.repetition_penalty : wide * o.repetition_penalty);
    }
    ForgetCounts();
  }
  if (o.frequency_penalty != 0 || o.presence_penalty != 0) {
    const int64_t start = std::clamp<int64_t>(history.answer_start, 0, history.n);
    Count(history.tokens + start, history.tokens + history.n, n);
    for (int32_t id : counted_) {
      float& logit = adjusted_[static_cast<size_t>(id)];
      const double count = counts_[static_cast<size_t>(id)];
      logit = Clamped(logit - (count * o.frequency_penalty + o.presence_penalty));
    }
    ForgetCounts();
  }
  for (const LogitBias& b : o.logit_bias) {
    float& logit = adjusted_[static_cast<size_t>(b.token)];
    logit = Clamped(static_cast<double>(logit) + b.bias);
  }
  return adjusted_.data();
}

// The first n_kept_ of kept_ and weights_ become those down to `cut`, in the order of ids; the
// result is the sum of the weights.
double Sampler::Weigh(const float* logits, int64_t n, Candidate cut, float best,
                      double temperature) {
  // The buffers never shrink, so that nothing is cleared twice.
  if (static_cast<int64_t>(kept_.size()) < n) kept_.resize(static_cast<size_t>(n));
  if (static_cast<int64_t>(weights_.size()) < n) weights_.resize(static_cast<size_t>(n));
  // Written first and counted after: no branch that a processor would have to guess.
  Candidate* const kept = kept_.data();
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    kept[count] = {logits[i], static_cast<int32_t>(i)};
    count += Kept(logits[i], i, cut);
  }
  double* const weights = weights_.data();
  const double scale = 1 / temperature;
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = (static_cast<double>(kept[i].logit) - best) * scale;
  }
  ExpNotPositive(weights, count);
  n_kept_ = count;
  return Sum(weights, count);
}

// The last of the smallest set, among those down to `cut`, with the probability top_p.
Candidate Sampler::CutByMass(const float* logits, int64_t n, Candidate cut, float best,
                             const SamplingOptions& o) {
  const double wanted = o.top_p * Weigh(logits, n, cut, best, o.temperature);
  if (n_kept_ > 4 * kFirstTry) {
    // Nearly always the most probable few are enough, and sorting those is cheap.
    SelectTop(logits, n, kFirstTry, &candidates_);
    std::sort(candidates_.begin(), candidates_.end(), Before);
    double sum = 0;
    for (const Candidate& c : candidates_) {
      sum += ExpNotPositive((static_cast<double>(c.logit) - best) * (1.0 / o.temperature));
      if (sum >= wanted) return c;
    }
  }
  weighted_.clear();
  weighted_.reserve(static_cast<size_t>(n_kept_));
  for (int64_t i = 0; i < n_kept_; ++i) {
    const auto at = static_cast<size_t>(i);
    weighted_.push_back({kept_[at], weights_[at]});
  }
  return SelectMass(&weighted_, wanted);
}

int32_t Sampler::Draw(const float* logits, int64_t n, int32_t best_id, const SamplingOptions& o,
                      int64_t position) {
  const float best = logits[best_id];
  Candidate cut{Clamped(best + kLeastLogWeight * o.temperature),
                std::numeric_limits<int32_t>::max()};
  if (o.top_k > 0 && o.top_k < n) {
    SelectTop(logits, n, o.top_k, &candidates_);
    const Candidate last = *std::max_element(candidates_.begin(), candidates_.end(), Before);
    if (Before(last, cut)) cut = last;
  }
  if (o.top_p < 1) cut = CutByMass(logits, n, cut, best, o);
  double total = Weigh(logits, n, cut, best, o.temperature);
  const int64_t count = n_kept_;
  if (o.min_p > 0) {
    for (int64_t i = 0; i < count; ++i) {
      double& w = weights_[static_cast<size_t>(i)];
      w = w < o.min_p ? 0 : w;
    }
    total = Sum(weights_.data(), count);
  }
  // The inverse of the distribution function over ascending ids: first the block, then the id.
  const double target = CounterUniform(o.seed, static_cast<uint64_t>(position)) * total;
  double sum = 0;
  int32_t drawn = best_id;
  for (int64_t block = 0; block < count; block += kBlock) {
    const int64_t end = std::min(count, block + kBlock);
    const double more = Sum(weights_.data() + block, end - block);
    if (end < count && sum + more <= target) {
      sum += more;
      continue;
    }
    for (int64_t i = block; i < end; ++i) {
      const double w = weights_[static_cast<size_t>(i)];
      if (w == 0) continue;
      sum += w;
      drawn = kept_[static_cast<size_t>(i)].id;
      if (sum > target) return drawn;
    }
  }
  return drawn;
}

absl::StatusOr<int32_t> Sampler::Sample(const float* logits, int64_t n,
                                        const SamplingOptions& options,
                                        const TokenHistory& history) {
  SCOUT_RETURN_IF_ERROR(CheckSampling(options, n));
  const int32_t raw_best = ArgMax(logits, n);
  SCOUT_RETURN_IF_ERROR(CheckBest(logits[raw_best], raw_best, history.n));
  const float* adjusted = Adjust(logits, n, options, history);
  const int32_t best = adjusted == logits ? raw_best : ArgMax(adjusted, n);
  if (!(adjusted[best] > -INFINITY)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sampling logit_bias bans every token that has a finite logit at position ", history.n));
  }
  if (options.temperature == 0) return best;
  return Draw(adjusted, n, best, options, history.n);
}

absl::StatusOr<float> Sampler::LogProbs(const float* logits, int64_t n, int32_t chosen,
                                        int64_t n_top, std::vector<TokenLogProb>* top) {
  if (chosen < 0 || chosen >= n) {
    return absl::InvalidArgumentError(
        absl::StrCat("token ", chosen, " is outside the vocabulary of ", n));
  }
  if (n_top < 0) return absl::InvalidArgumentError(absl::StrCat("n_top is ", n_top));
  const int32_t best_id = ArgMax(logits, n);
  const float best = logits[best_id];
  if (!(best > -INFINITY && best < INFINITY)) {
    return CorruptError("no token has a finite logit, or one is infinite");
  }
  constexpr double kLeast = std::numeric_limits<float>::lowest();
  const double total =
      Weigh(logits, n, {static_cast<float>(kLeast), std::numeric_limits<int32_t>::max()}, best, 1);
  const double log_total = best + std::log(total);
  auto logprob = [&](float logit) {
    return std::isnan(logit) ? -INFINITY : static_cast<float>(logit - log_total);
  };
  top->clear();
  if (n_top > 0) {
    SelectTop(logits, n, n_top, &candidates_);
    std::sort(candidates_.begin(), candidates_.end(), Before);
    top->reserve(candidates_.size());
    for (const Candidate& c : candidates_) top->push_back({c.id, logprob(c.logit)});
  }
  return logprob(logits[chosen]);
}

}  // namespace scout

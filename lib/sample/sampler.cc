#include "lib/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace scout {
namespace {

struct Candidate {
  float logit;
  int32_t id;
};

// Most probable first; of equals the lower id, so that the order is one of values alone.
bool Before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

uint64_t Mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

double CounterUniform(uint64_t seed, uint64_t position) {
  return static_cast<double>(Mix(Mix(seed) ^ position) >> 11) * 0x1.0p-53;
}

absl::Status CheckSampling(const SamplingOptions& o) {
  if (!(o.temperature >= 0) || std::isinf(o.temperature)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sampling temperature is ", o.temperature, ", not a finite number >= 0"));
  }
  if (!(o.top_p > 0 && o.top_p <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sampling top_p is ", o.top_p, ", not in (0, 1]"));
  }
  if (!(o.min_p >= 0 && o.min_p <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sampling min_p is ", o.min_p, ", not in [0, 1]"));
  }
  if (o.top_k < 0) {
    return absl::InvalidArgumentError(absl::StrCat("sampling top_k is ", o.top_k, ", below 0"));
  }
  return absl::OkStatus();
}

int32_t ArgMax(const float* logits, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  }
  return static_cast<int32_t>(best);
}

absl::StatusOr<int32_t> Sample(const float* logits, int64_t n, const SamplingOptions& options,
                               int64_t position) {
  SCOUT_RETURN_IF_ERROR(CheckSampling(options));
  const int32_t best = ArgMax(logits, n);
  if (!(logits[best] > -INFINITY)) {
    return CorruptError(absl::StrCat("no token has a finite logit at position ", position,
                                     ": the weights give NaN or infinity"));
  }
  if (options.temperature == 0) return best;

  std::vector<Candidate> candidates;
  candidates.reserve(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isnan(logits[i])) candidates.push_back({logits[i], static_cast<int32_t>(i)});
  }
  const size_t keep = options.top_k > 0
                          ? std::min(candidates.size(), static_cast<size_t>(options.top_k))
                          : candidates.size();
  std::partial_sort(candidates.begin(), candidates.begin() + keep, candidates.end(), Before);
  candidates.resize(keep);

  // Weights relative to the best, exp((logit - best) / temperature), in double and in fixed order.
  std::vector<double> weights(candidates.size());
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double gap = static_cast<double>(candidates[i].logit) - candidates[0].logit;
    weights[i] = std::exp(gap / options.temperature);
    total += weights[i];
  }
  size_t last = candidates.size();
  if (options.top_p < 1) {
    double sum = 0;
    for (size_t i = 0; i < last; ++i) {
      sum += weights[i];
      if (sum >= options.top_p * total) {
        last = i + 1;
        break;
      }
    }
  }
  while (last > 1 && weights[last - 1] < options.min_p) --last;

  double kept = 0;
  for (size_t i = 0; i < last; ++i) kept += weights[i];
  double target = CounterUniform(options.seed, static_cast<uint64_t>(position)) * kept;
  for (size_t i = 0; i + 1 < last; ++i) {
    target -= weights[i];
    if (target < 0) return candidates[i].id;
  }
  return candidates[last - 1].id;
}

}  // namespace scout

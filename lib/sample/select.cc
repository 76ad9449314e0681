#include "lib/sample/select.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace scout {

void SelectTop(const float* logits, int64_t n, int64_t k, std::vector<Candidate>* best) {
  best->clear();
  k = std::min(k, n);
  const size_t room = static_cast<size_t>(std::min(n, 2 * k + 64));
  best->reserve(room);
  // Ids ascend, so an equal of the k-th best so far comes after it: only a greater one matters.
  float bar = -std::numeric_limits<float>::infinity();
  auto shrink = [&] {
    if (best->size() <= static_cast<size_t>(k)) return;
    std::nth_element(best->begin(), best->begin() + (k - 1), best->end(), Before);
    best->resize(static_cast<size_t>(k));
    bar = best->back().logit;
  };
  for (int64_t i = 0; i < n; ++i) {
    if (!(logits[i] > bar)) continue;
    best->push_back({logits[i], static_cast<int32_t>(i)});
    if (best->size() == room) shrink();
  }
  shrink();
}

Candidate SelectMass(std::vector<Weighted>* all, double wanted) {
  const auto before = [](const Weighted& a, const Weighted& b) {
    return Before(a.candidate, b.candidate);
  };
  auto first = all->begin(), last = all->end();
  while (last - first > 64) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, before);
    double left = 0;
    for (auto at = first; at != middle; ++at) left += at->weight;
    if (left >= wanted) {
      last = middle;
    } else {
      wanted -= left;
      first = middle;
    }
  }
  std::sort(first, last, before);
  for (double sum = 0; first + 1 != last; ++first) {
    sum += first->weight;
    if (sum >= wanted) break;
  }
  return first->candidate;
}

double ExpNotPositive(double x) {
  // x = k ln 2 + r with |r| <= ln 2 / 2; the Taylor series to r^13 is exact to 2^-57.
  constexpr double kLog2e = 0x1.71547652b82fep+0, kRound = 0x1.8p52;
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  x = x > -708.0 ? x : -708.0;
  // k has 11 bits and kLn2High 32, so their product is exact.
  const double shifted = x * kLog2e + kRound;  // its low bits hold k
  const double k = shifted - kRound;
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 1.0 / 2;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t power = (std::bit_cast<uint64_t>(shifted) + 1023) << 52;
  return p * std::bit_cast<double>(power);
}

void ExpNotPositive(double* values, int64_t n) {
  constexpr int64_t kBlock = 8;  // of known length, which the compiler unrolls into vectors
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    for (int64_t j = 0; j < kBlock; ++j) values[i + j] = ExpNotPositive(values[i + j]);
  }
  for (; i < n; ++i) values[i] = ExpNotPositive(values[i]);
}

}  // namespace scout

#include "lib/sample/select.h"

#include <algorithm>
#include <cstring>
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

namespace {

typedef double Pair __attribute__((vector_size(16)));
typedef uint64_t WordPair __attribute__((vector_size(16)));

// exp of two numbers in [-708, 0], each by the same operations.
Pair Exp(Pair x) {
  // x = k ln 2 + r with |r| <= ln 2 / 2; the Taylor series to r^13 is exact to 2^-57. k has 11 bits
  // and kLn2High 32, so their product is exact.
  constexpr double kLog2e = 0x1.71547652b82fep+0, kRound = 0x1.8p52;
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  const Pair shifted = x * kLog2e + kRound;  // its low bits hold k
  const Pair k = shifted - kRound;
  const Pair r = (x - k * kLn2High) - k * kLn2Low;
  const Pair s = r * r;
  // Even and odd powers apart: two short chains of operations.
  Pair even = s * (1.0 / 479001600) + 1.0 / 3628800;
  Pair odd = s * (1.0 / 6227020800) + 1.0 / 39916800;
  even = even * s + 1.0 / 40320;
  odd = odd * s + 1.0 / 362880;
  even = even * s + 1.0 / 720;
  odd = odd * s + 1.0 / 5040;
  even = even * s + 1.0 / 24;
  odd = odd * s + 1.0 / 120;
  even = even * s + 1.0 / 2;
  odd = odd * s + 1.0 / 6;
  odd = odd * s + 1.0;
  const Pair p = (even * s + odd * r) + 1.0;
  const WordPair power = ((WordPair)shifted + 1023) << 52;  // a cast of a vector keeps its bits
  return p * (Pair)power;
}

}  // namespace

void ExpNotPositive(double* values, int64_t n) {
  for (int64_t i = 0; i < n; ++i) values[i] = std::max(values[i], -708.0);
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    Pair x;
    std::memcpy(&x, values + i, sizeof x);
    x = Exp(x);
    std::memcpy(values + i, &x, sizeof x);
  }
  if (i < n) values[i] = Exp(Pair{values[i], values[i]})[0];
}

double ExpNotPositive(double x) {
  ExpNotPositive(&x, 1);
  return x;
}

}  // namespace scout

// The most probable of many logits without sorting them all. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace scout {

struct Candidate {
  float logit;
  int32_t id;
};

// Most probable first; of equals the lower id, so that the order is one of values alone.
inline bool Before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// A candidate with its weight, exp((logit - best logit) / temperature).
struct Weighted {
  Candidate candidate;
  double weight;
};

// *best becomes the k first of (logits, ids 0 to n - 1) in the order Before, in no order; fewer
// where fewer are above -inf. NaN is never among them. O(n) time, O(k) memory. k >= 1.
void SelectTop(const float* logits, int64_t n, int64_t k, std::vector<Candidate>* best);

// The last of the shortest run, in the order Before, whose weights sum to `wanted` or more; the
// last of all where they do not. Reorders *all, which is not empty. O(n) time.
Candidate SelectMass(std::vector<Weighted>* all, double wanted);

// exp(x) for x <= 0 to 1 unit in the last place or two; x below -708 counts as -708. Plain
// arithmetic, so the bits are the same on every machine.
double ExpNotPositive(double x);
// values[i] = ExpNotPositive(values[i]).
void ExpNotPositive(double* values, int64_t n);

}  // namespace scout

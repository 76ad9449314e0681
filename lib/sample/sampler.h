// Drawing a token from logits. The random number is a function of seed and position.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "lib/sample/options.h"
#include "lib/sample/select.h"
#include "lib/util/status.h"

namespace scout {

// The tokens before the one that is drawn: prompt and answer so far. Not owned.
struct TokenHistory {
  const int32_t* tokens = nullptr;  // (n); may be null where no penalty is asked for
  int64_t n = 0;                    // also the position of the drawn token
  int64_t answer_start = 0;         // tokens from here on are the answer
};

struct TokenLogProb {
  int32_t id;
  float logprob;  // natural logarithm of the probability; -inf for none
};

// Scratch for drawing, so that a token costs no allocation. What it returns depends on the
// arguments alone, never on earlier calls. One thread at a time. About 16 bytes per id of the
// vocabulary.
class Sampler {
 public:
  // The order is that of SamplingOptions; greedy takes the lowest id of equals. NaN counts as -inf.
  // logits (n) are not changed. Errors: as CheckSampling; DataLoss where no logit is finite or one
  // is +inf (the weights are at fault); InvalidArgument where logit_bias bans every token.
  absl::StatusOr<int32_t> Sample(const float* logits, int64_t n, const SamplingOptions& options,
                                 const TokenHistory& history);

  // Log-probability of `chosen` and the n_top most probable, in the order Before, from the logits
  // as the model gave them: before penalties, bias and temperature. n_top is cut to what is finite.
  // Errors: InvalidArgument (chosen outside [0, n), n_top < 0), DataLoss as Sample.
  absl::StatusOr<float> LogProbs(const float* logits, int64_t n, int32_t chosen, int64_t n_top,
                                 std::vector<TokenLogProb>* top);

 private:
  void Count(const int32_t* first, const int32_t* last, int64_t n);
  void ForgetCounts();
  const float* Adjust(const float* logits, int64_t n, const SamplingOptions& options,
                      const TokenHistory& history);
  double Weigh(const float* logits, int64_t n, Candidate cut, float best, double temperature);
  Candidate CutByMass(const float* logits, int64_t n, Candidate cut, float best,
                      const SamplingOptions& options);
  int32_t Draw(const float* logits, int64_t n, int32_t best, const SamplingOptions& options,
               int64_t position);

  std::vector<float> adjusted_;        // (n) logits after penalties and bias
  std::vector<int32_t> counts_;        // (n), all 0 between calls
  std::vector<int32_t> counted_;       // ids whose count is not 0
  std::vector<Candidate> candidates_;  // the first few
  std::vector<Candidate> kept_;        // (n), n_kept_ in use
  std::vector<double> weights_;        // of kept_
  int64_t n_kept_ = 0;
  std::vector<Weighted> weighted_;
};

// The most probable id, the lowest of equals; NaN never wins. n >= 1.
int32_t ArgMax(const float* logits, int64_t n);

// Uniform in [0, 1) with 53 bits, a function of its arguments (SplitMix64 finaliser, Steele, Lea &
// Flood 2014).
double CounterUniform(uint64_t seed, uint64_t position);

}  // namespace scout

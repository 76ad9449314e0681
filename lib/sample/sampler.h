// Drawing a token from logits. No state: the random number is a function of seed and position.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "lib/util/status.h"

namespace scout {

struct SamplingOptions {
  int32_t top_k = 0;      // 0 all
  float temperature = 0;  // 0 greedy
  float top_p = 1;        // in (0, 1]
  float min_p = 0;        // in [0, 1]
  uint64_t seed = 0;
};

// InvalidArgument that names the option and its value.
absl::Status CheckSampling(const SamplingOptions& options);

// The most probable id, the lowest of equals; NaN never wins. n >= 1.
int32_t ArgMax(const float* logits, int64_t n);

// temperature, top_k, top_p, min_p, draw, in this order. DataLoss where every logit is NaN or
// -inf: the weights are at fault.
absl::StatusOr<int32_t> Sample(const float* logits, int64_t n, const SamplingOptions& options,
                               int64_t position);

// Uniform in [0, 1) with 53 bits, a function of its arguments (SplitMix64 finaliser, Steele, Lea &
// Flood 2014).
double CounterUniform(uint64_t seed, uint64_t position);

}  // namespace scout

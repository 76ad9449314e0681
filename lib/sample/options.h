// What a token is drawn by. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "lib/util/status.h"

namespace scout {

// Added to the logit of `token`; -inf bans it.
struct LogitBias {
  int32_t token;
  float bias;
};

// Applied in this order: repetition penalty, frequency and presence penalty, logit bias,
// temperature, top-k, top-p, min-p, draw. Formulas: lib/sample/README.md.
struct SamplingOptions {
  int32_t top_k = 0;             // 0 all
  float temperature = 0;         // 0 greedy
  float top_p = 1;               // in (0, 1]
  float min_p = 0;               // in [0, 1]
  uint64_t seed = 0;             // of the counter-based random numbers
  float repetition_penalty = 1;  // > 0; 1 none
  float frequency_penalty = 0;   // finite
  float presence_penalty = 0;    // finite
  int64_t penalty_window = 0;    // last tokens that repetition_penalty sees; 0 all
  int64_t answer_start = -1;     // position of the answer's first token; -1: the session knows
  std::vector<LogitBias> logit_bias = {};  // of equal tokens the biases add up
};

// InvalidArgument that names the option and its value. `vocab`: biased tokens must lie in it.
absl::Status CheckSampling(const SamplingOptions& options, int64_t vocab);

}  // namespace scout

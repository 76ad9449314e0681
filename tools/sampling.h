// How answers are drawn, from the command line or from a JSON object. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <vector>

#include "scout.h"
#include "tools/args.h"
#include "tools/failure.h"

namespace scout::tool {

// The options with what they point to.
class Sampling {
 public:
  Sampling() { scout_sampling_options_init(&options_); }
  // Valid while this object lives unchanged.
  const scout_sampling_options* Get() {
    options_.logit_bias = bias.empty() ? nullptr : bias.data();
    options_.n_logit_bias = static_cast<int64_t>(bias.size());
    return &options_;
  }
  scout_sampling_options* operator->() { return &options_; }

  std::vector<scout_logit_bias> bias;

 private:
  scout_sampling_options options_;
};

Option StopOption();           // stop strings
OptionList SamplingOptions();  // temperature, top-k, ...
Failure ReadSampling(const Args& args, Sampling* sampling);

}  // namespace scout::tool

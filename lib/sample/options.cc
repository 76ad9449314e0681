#include "lib/sample/options.h"

#include <cmath>

namespace scout {
namespace {

template <typename T>
absl::Status Refuse(const char* name, T value, const char* rule) {
  return absl::InvalidArgumentError(absl::StrCat("sampling ", name, " is ", value, ", ", rule));
}

}  // namespace

absl::Status CheckSampling(const SamplingOptions& o, int64_t vocab) {
  if (!(o.temperature >= 0) || std::isinf(o.temperature)) {
    return Refuse("temperature", o.temperature, "not a finite number >= 0");
  }
  if (!(o.top_p > 0 && o.top_p <= 1)) return Refuse("top_p", o.top_p, "not in (0, 1]");
  if (!(o.min_p >= 0 && o.min_p <= 1)) return Refuse("min_p", o.min_p, "not in [0, 1]");
  if (o.top_k < 0) return Refuse("top_k", o.top_k, "below 0");
  if (!(o.repetition_penalty > 0) || std::isinf(o.repetition_penalty)) {
    return Refuse("repetition_penalty", o.repetition_penalty, "not a finite number > 0");
  }
  if (!std::isfinite(o.frequency_penalty)) {
    return Refuse("frequency_penalty", o.frequency_penalty, "not finite");
  }
  if (!std::isfinite(o.presence_penalty)) {
    return Refuse("presence_penalty", o.presence_penalty, "not finite");
  }
  if (o.penalty_window < 0) return Refuse("penalty_window", o.penalty_window, "below 0");
  if (o.answer_start < -1) return Refuse("answer_start", o.answer_start, "below -1");
  for (size_t i = 0; i < o.logit_bias.size(); ++i) {
    const LogitBias& b = o.logit_bias[i];
    if (b.token < 0 || b.token >= vocab) {
      return absl::InvalidArgumentError(absl::StrCat("sampling logit_bias[", i, "].token is ",
                                                     b.token, ", outside the vocabulary of ",
                                                     vocab));
    }
    if (std::isnan(b.bias) || b.bias == INFINITY) {
      return absl::InvalidArgumentError(absl::StrCat("sampling logit_bias[", i, "].bias of token ",
                                                     b.token, " is ", b.bias,
                                                     ", not finite and not -inf"));
    }
  }
  return absl::OkStatus();
}

}  // namespace scout

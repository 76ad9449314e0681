// Sampling options and log-probabilities: argument checks and conversion. No logic.
#include <cmath>

#include "lib/api/edge.h"

using scout::api::Guard;
using scout::api::NullError;

namespace scout::api {

absl::StatusOr<SamplingOptions> ReadSampling(const scout_sampling_options* in) {
  scout_sampling_options o;
  scout_sampling_options_init(&o);
  SCOUT_RETURN_IF_ERROR(ReadOptions(in, "scout_sampling_options", sizeof o, &o));
  SCOUT_RETURN_IF_ERROR(CheckReserved(o.reserved, "scout_sampling_options"));
  SCOUT_RETURN_IF_ERROR(
      CheckReserved(static_cast<uint32_t>(o.reserved2), "scout_sampling_options"));
  if (o.n_logit_bias < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("scout_sampling_options.n_logit_bias is ", o.n_logit_bias));
  }
  if (o.n_logit_bias > 0 && o.logit_bias == nullptr) {
    return NullError("scout_sampling_options.logit_bias");
  }
  SamplingOptions options;
  options.top_k = o.top_k;
  options.temperature = o.temperature;
  options.top_p = o.top_p;
  options.min_p = o.min_p;
  options.seed = o.seed;
  options.repetition_penalty = o.repetition_penalty;
  options.frequency_penalty = o.frequency_penalty;
  options.presence_penalty = o.presence_penalty;
  options.penalty_window = o.penalty_window;
  options.answer_start = o.answer_start;
  for (int64_t i = 0; i < o.n_logit_bias; ++i) {
    options.logit_bias.push_back({o.logit_bias[i].token, o.logit_bias[i].bias});
  }
  return options;
}

}  // namespace scout::api

extern "C" {

void scout_sampling_options_init(scout_sampling_options* options) {
  if (options == nullptr) return;
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->top_p = 1;
  options->repetition_penalty = 1;
  options->answer_start = SCOUT_KEEP;
}

scout_status scout_logprobs(const float* logits, int64_t n_logits, int32_t token, float* logprob,
                            int64_t n_top, int32_t* top_ids, float* top_logprobs,
                            scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (logits == nullptr) return NullError("logits");
    if (logprob == nullptr) return NullError("logprob");
    if (n_top > 0 && top_ids == nullptr) return NullError("top_ids");
    if (n_top > 0 && top_logprobs == nullptr) return NullError("top_logprobs");
    if (n_logits < 1 || n_logits > INT32_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("n_logits is ", n_logits));
    }
    scout::Sampler sampler;
    std::vector<scout::TokenLogProb> top;
    SCOUT_ASSIGN_OR_RETURN(*logprob, sampler.LogProbs(logits, n_logits, token, n_top, &top));
    const auto found = static_cast<int64_t>(top.size());
    for (int64_t i = 0; i < n_top; ++i) {
      top_ids[i] = i < found ? top[static_cast<size_t>(i)].id : -1;
      top_logprobs[i] = i < found ? top[static_cast<size_t>(i)].logprob : -INFINITY;
    }
    return absl::OkStatus();
  });
}

}  // extern "C"

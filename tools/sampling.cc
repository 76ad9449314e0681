// Sampling options of the command line. SPDX-License-Identifier: Apache-2.0
#include "tools/sampling.h"

#include <cmath>
#include <string>

namespace scout::tool {
namespace {

Failure Float(const Args& args, const char* name, double least, double most, float* value) {
  double wide = *value;
  TOOL_TRY(args.Double(name, least, most, &wide));
  *value = static_cast<float>(wide);
  return Ok();
}

// "ID:BIAS,ID:BIAS"; a bias may be -inf.
Failure ReadBias(const std::string& text, std::vector<scout_logit_bias>* bias) {
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string pair = text.substr(at, comma - at);
    const size_t colon = pair.find(':');
    int64_t id = 0;
    double value = -INFINITY;
    if (colon == std::string::npos || !ParseInt(pair.substr(0, colon), &id) || id < 0 ||
        id > INT32_MAX ||
        (pair.substr(colon + 1) != "-inf" &&
         (!ParseDouble(pair.substr(colon + 1), &value) || std::abs(value) > 3e38))) {
      return Usage("--logit-bias '" + pair + "' is not ID:NUMBER or ID:-inf");
    }
    bias->push_back({static_cast<int32_t>(id), static_cast<float>(value)});
    at = comma + 1;
  }
  return Ok();
}

}  // namespace

Option StopOption() {
  return {0, "stop", "TEXT", "end the answer before this text; may be repeated"};
}

OptionList SamplingOptions() {
  return {
      {0, "temp", "X", "temperature; 0 (default) always takes the most probable"},
      {0, "top-k", "N", "keep the N most probable tokens; 0: all"},
      {0, "top-p", "P", "keep the smallest set of tokens with this probability"},
      {0, "min-p", "P", "drop tokens below P times the best one's probability"},
      {0, "seed", "N", "seed of the draws (default 0)"},
      {0, "repetition-penalty", "X",
       "divide (multiply) positive (negative) logits of tokens\nalready there; 1 (default): none"},
      {0, "penalty-window", "N", "last tokens that it sees; 0 (default): all"},
      {0, "frequency-penalty", "X", "subtract for each time that a token is in the answer"},
      {0, "presence-penalty", "X", "subtract where a token is in the answer"},
      {0, "logit-bias", "LIST", "add to logits: ID:BIAS,ID:-inf (which bans the token)"},
  };
}

Failure ReadSampling(const Args& args, Sampling* sampling) {
  *sampling = Sampling();
  for (const std::string& stop : args.GetAll("stop")) {
    if (stop.empty()) return Usage("--stop '' is no text");
  }
  scout_sampling_options& o = *sampling->operator->();
  int64_t seed = 0;
  TOOL_TRY(Float(args, "temp", 0, 1000, &o.temperature));
  TOOL_TRY(args.Int("top-k", 0, INT32_MAX, &o.top_k));
  TOOL_TRY(Float(args, "top-p", 0, 1, &o.top_p));
  TOOL_TRY(Float(args, "min-p", 0, 1, &o.min_p));
  TOOL_TRY(args.Int("seed", 0, INT64_MAX, &seed));
  o.seed = static_cast<uint64_t>(seed);
  TOOL_TRY(Float(args, "repetition-penalty", 1e-6, 1e6, &o.repetition_penalty));
  TOOL_TRY(args.Int("penalty-window", 0, INT64_MAX, &o.penalty_window));
  TOOL_TRY(Float(args, "frequency-penalty", -1e6, 1e6, &o.frequency_penalty));
  TOOL_TRY(Float(args, "presence-penalty", -1e6, 1e6, &o.presence_penalty));
  if (args.Has("logit-bias")) TOOL_TRY(ReadBias(args.Get("logit-bias"), &sampling->bias));
  return Ok();
}

}  // namespace scout::tool

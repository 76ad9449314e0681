// scout generate: the greedy continuation of token ids, as ids. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/input.h"
#include "tools/open.h"
#include "tools/sampling.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

Failure Generate(const Args& args) {
  TOOL_TRY(args.AtMost(0));
  TOOL_TRY(args.Require("model", "-m PATH"));
  TOOL_TRY(args.Require("ids", "--ids LIST|@FILE"));
  TOOL_TRY(args.Require("tokens", "-n N"));
  int64_t n = 0;
  TOOL_TRY(args.Int("tokens", 0, int64_t{1} << 40, &n));
  std::vector<int32_t> ids, answer;
  TOOL_TRY(ReadIds(args.Get("ids"), &ids));
  if (ids.empty()) return Usage("--ids has no tokens");
  Sampling sampling;
  TOOL_TRY(ReadSampling(args, &sampling));

  Model model;
  TOOL_TRY(LoadModel(args, 0, &model));
  scout_model_info info;
  TOOL_TRY(ModelInfo(model.get(), &info));
  TOOL_TRY(CheckIds(ids, info.vocab_size));
  int64_t n_ids = static_cast<int64_t>(ids.size());
  int64_t budget = 0;
  TOOL_TRY(SessionBudget(args, info, n_ids + n, &budget));
  Engine engine;
  TOOL_TRY(CreateEngine(args, model.get(), budget, &engine));
  Session session;
  TOOL_TRY(CreateSession(args, engine.get(), n_ids + n, &session));

  Progress progress("prefill", Progress::Unit::kTokens, !args.Has("quiet"));
  scout_prefill_options options;
  scout_prefill_options_init(&options);
  options.progress = Progress::Callback;
  options.progress_user = &progress;
  TOOL_CALL(scout_session_prefill, session.get(), ids.data(), n_ids, &options, nullptr);
  while (static_cast<int64_t>(answer.size()) < n) {
    if (Interrupted()) return {kExitCancelled, "cancelled"};
    int32_t token = -1;
    TOOL_CALL(scout_session_decode, session.get(), sampling.Get(), &token);
    answer.push_back(token);
  }
  return Out(JsonList(answer) + "\n");
}

}  // namespace

Command GenerateCommand() {
  return {"generate",
          "-m PATH --ids LIST|@FILE -n N [options]",
          "continue token ids greedily; prints a JSON list of N ids",
          "Exactly N tokens: end tokens do not stop it. Needs no tokenizer.",
          Join({ModelOption(),
                {{0, "ids", "LIST|@FILE",
                  "token ids: JSON list, numbers between commas or blanks,\n"
                  ".npy of integers; @- is standard input"},
                 {'n', "tokens", "N", "number of tokens to generate"}},
                SamplingOptions(),
                EngineOptions(),
                OverrideOptions()}),
          Generate};
}

}  // namespace scout::tool

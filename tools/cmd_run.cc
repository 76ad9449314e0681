// scout run: one prompt, one answer. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "tools/answer.h"
#include "tools/commands.h"
#include "tools/input.h"
#include "tools/open.h"
#include "tools/sampling.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

Failure Run(const Args& args) {
  TOOL_TRY(args.Require("model", "-m PATH"));
  if (args.Has("system") && !args.Has("chat")) return Usage("--system needs --chat");
  Sampling sampling;
  TOOL_TRY(ReadSampling(args, &sampling));
  int64_t limit = 256, context = INT64_MAX;
  TOOL_TRY(args.Int("tokens", 0, INT64_MAX, &limit));
  TOOL_TRY(args.Int("ctx", 1, INT64_MAX, &context));
  std::string text;
  TOOL_TRY(ReadText(args, &text));
  if (text.empty()) return Usage("the prompt is empty: give a text, -f FILE or standard input");

  Clock load_clock;
  Model model;
  TOOL_TRY(LoadModel(args, 0, &model));
  Tokenizer tokenizer;
  TOOL_TRY(ModelTokenizer(model.get(), &tokenizer));
  scout_model_info info;
  TOOL_TRY(ModelInfo(model.get(), &info));
  std::vector<int32_t> ids;
  if (args.Has("chat")) {
    std::vector<std::pair<std::string, std::string>> messages;
    if (args.Has("system")) messages.emplace_back("system", args.Get("system"));
    messages.emplace_back("user", text);
    TOOL_TRY(EncodeChat(tokenizer.get(), messages, &ids));
  } else {
    uint32_t flags = (args.Has("no-bos") ? 0 : SCOUT_ENCODE_BOS) |
                     (args.Has("special") ? SCOUT_ENCODE_SPECIAL : 0);
    TOOL_TRY(Encode(tokenizer.get(), text, flags, &ids));
  }
  if (ids.empty()) return Usage("the prompt has no tokens");
  TOOL_TRY(CheckIds(ids, info.vocab_size));
  int64_t n_prompt = static_cast<int64_t>(ids.size());
  // -n is a limit: an answer may also end where the context does, which must leave room for one.
  TOOL_TRY(CheckContext(args, info, n_prompt + (limit > 0 ? 1 : 0)));
  limit = std::min(limit, std::min(context, info.context_length) - n_prompt);
  int64_t wanted = n_prompt + limit;
  int64_t budget = 0;
  TOOL_TRY(SessionBudget(args, info, wanted, &budget));
  Engine engine;
  TOOL_TRY(CreateEngine(args, model.get(), budget, &engine));
  Session session;
  TOOL_TRY(CreateSession(args, engine.get(), wanted, &session));
  double load_seconds = load_clock.Seconds();

  Clock prefill_clock;
  {
    Progress progress("prefill", Progress::Unit::kTokens, !args.Has("quiet"));
    scout_prefill_options options;
    scout_prefill_options_init(&options);
    options.progress = Progress::Callback;
    options.progress_user = &progress;
    TOOL_CALL(scout_session_prefill, session.get(), ids.data(), n_prompt, &options, nullptr);
  }
  double prefill_seconds = prefill_clock.Seconds();
  Answer answer;
  TOOL_TRY(StreamAnswer(session.get(), *sampling.Get(), limit, args.Has("ignore-end"),
                        args.GetAll("stop"), nullptr, &answer));
  if (answer.text.empty() || answer.text.back() != '\n') TOOL_TRY(Out("\n"));
  TOOL_TRY(FlushOut());
  if (!args.Has("quiet")) {
    scout_engine_stats stats;
    TOOL_TRY(EngineStats(engine.get(), &stats));
    double to_first = prefill_seconds + answer.first;
    std::string line =
        "scout: loaded " + Bytes(info.weight_bytes) + " in " + Fixed(load_seconds, 2) +
        " s; prompt " + std::to_string(n_prompt) + " tokens in " + Fixed(to_first, 3) + " s (" +
        Rate(n_prompt, to_first) + " tokens/s); answer " + std::to_string(answer.tokens) +
        " tokens (" + Rate(answer.tokens - 1, answer.seconds) + " tokens/s); " +
        Printable(stats.backend) + " " + Printable(stats.isa) + ", " +
        std::to_string(stats.n_threads) + (stats.n_threads == 1 ? " thread\n" : " threads\n");
    std::fputs(line.c_str(), stderr);
  }
  return answer.interrupted ? Failure{kExitCancelled, "cancelled"} : Ok();
}

}  // namespace

Command RunCommand() {
  return {
      "run",
      "-m PATH [PROMPT] [options]",
      "continue a prompt and stream the answer",
      "The prompt is the argument, the file of -f, or standard input. Without --chat the model\n"
      "continues the text; with --chat the text is the user's message and the model answers.\n"
      "The answer ends at an end token or after -n tokens. Timings go to stderr.",
      Join({ModelOption(),
            {{'f', "file", "PATH", "read the prompt from a file"},
             {'c', "chat", nullptr, "wrap the prompt in the Llama 4 chat format"},
             {0, "system", "TEXT", "with --chat: the system message"},
             {'n', "tokens", "N", "most tokens of the answer (default 256)"},
             StopOption(),
             {0, "no-bos", nullptr, "without --chat: no begin-of-text token"},
             {0, "special", nullptr, "without --chat: text of special tokens becomes those"},
             {0, "ignore-end", nullptr, "go on after end tokens, and show special tokens"}},
            SamplingOptions(),
            EngineOptions(),
            OverrideOptions()}),
      Run};
}

}  // namespace scout::tool

// scout logits: the logits of given rows, as a .npy file written piece by piece.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/input.h"
#include "tools/npy.h"
#include "tools/open.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

// Most bytes of logits held at a time; at least one row.
constexpr int64_t kPieceBytes = int64_t{64} << 20;

// "a:b" as in Python, half-open, negative from the end; "a" is one row.
Failure ReadRows(const Args& args, int64_t n, int64_t* begin, int64_t* end) {
  *begin = 0;
  *end = n;
  if (!args.Has("rows")) return Ok();
  std::string text = args.Get("rows");
  size_t colon = text.find(':');
  std::string first = text.substr(0, colon);
  int64_t a = 0, b = n;
  bool good =
      colon == std::string::npos ? ParseInt(first, &a) : first.empty() || ParseInt(first, &a);
  if (good && colon != std::string::npos) {
    std::string last = text.substr(colon + 1);
    good = last.empty() || ParseInt(last, &b);
  }
  if (!good) return Usage("--rows '" + text + "' is not a range A:B of positions");
  if (a < 0) a = a < -n ? (colon == std::string::npos ? -1 : 0) : a + n;
  if (b < 0) b = b < -n ? 0 : b + n;
  if (colon == std::string::npos) b = a < n ? a + 1 : a;
  b = std::min(b, n);
  if (a < 0 || a >= b) {
    return Usage("--rows '" + text + "' has no row of the " + std::to_string(n) + " tokens");
  }
  *begin = a;
  *end = b;
  return Ok();
}

Failure Logits(const Args& args) {
  TOOL_TRY(args.AtMost(0));
  TOOL_TRY(args.Require("model", "-m PATH"));
  TOOL_TRY(args.Require("ids", "--ids LIST|@FILE"));
  TOOL_TRY(args.Require("out", "--out FILE"));
  if (args.Get("out").empty()) return Usage("--out is empty");
  std::vector<int32_t> ids;
  TOOL_TRY(ReadIds(args.Get("ids"), &ids));
  if (ids.empty()) return Usage("--ids has no tokens");
  int64_t begin = 0, end = 0;
  TOOL_TRY(ReadRows(args, static_cast<int64_t>(ids.size()), &begin, &end));

  Model model;
  TOOL_TRY(LoadModel(args, 0, &model));
  scout_model_info info;
  TOOL_TRY(ModelInfo(model.get(), &info));
  TOOL_TRY(CheckIds(ids, info.vocab_size));
  int64_t budget = 0;
  TOOL_TRY(SessionBudget(args, info, end, &budget));
  Engine engine;
  TOOL_TRY(CreateEngine(args, model.get(), budget, &engine));
  Session session;
  TOOL_TRY(CreateSession(args, engine.get(), end, &session));
  NpyWriter writer;
  TOOL_TRY(writer.Open(args.Get("out"), end - begin, info.vocab_size));

  Progress progress("logits", Progress::Unit::kTokens, !args.Has("quiet"));
  int64_t row_bytes = info.vocab_size * static_cast<int64_t>(sizeof(float));
  int64_t piece = std::clamp(kPieceBytes / row_bytes, int64_t{1}, int64_t{4096});
  std::vector<float> logits(std::min(piece, end - begin) * info.vocab_size);
  std::vector<int64_t> rows;
  for (int64_t at = 0; at < end;) {
    // What lies before the first wanted row goes in one call; tokens behind the last do not run.
    int64_t stop = at < begin ? begin : std::min(at + piece, end);
    rows.clear();
    for (int64_t row = std::max(at, begin); row < stop; ++row) rows.push_back(row);
    progress.SetPart(at, end);
    scout_prefill_options options;
    scout_prefill_options_init(&options);
    options.progress = Progress::Callback;
    options.progress_user = &progress;
    options.logit_rows = rows.empty() ? nullptr : rows.data();
    options.n_logit_rows = static_cast<int64_t>(rows.size());
    options.logits = rows.empty() ? nullptr : logits.data();
    options.logits_capacity = rows.empty() ? 0 : static_cast<int64_t>(logits.size());
    TOOL_CALL(scout_session_prefill, session.get(), ids.data() + at, stop - at, &options, nullptr);
    TOOL_TRY(writer.Write(logits.data(), options.n_logit_rows * info.vocab_size));
    at = stop;
  }
  return writer.Finish();
}

}  // namespace

Command LogitsCommand() {
  return {"logits",
          "-m PATH --ids LIST|@FILE --out FILE.npy [options]",
          "write the logits of a sequence of tokens as a float32 .npy file",
          "Row i holds the logits behind token i, that is for the token at i + 1. The array is\n"
          "(rows, vocabulary); it is written while it is computed, under a temporary name.",
          Join({ModelOption(),
                {{0, "ids", "LIST|@FILE",
                  "token ids: JSON list, numbers between commas or blanks,\n"
                  ".npy of integers; @- is standard input"},
                 {0, "rows", "A:B",
                  "only these rows, as in Python: half-open, negative\n"
                  "numbers from the end (default all)"},
                 {'o', "out", "FILE", "the file to write; - is standard output"}},
                EngineOptions(),
                OverrideOptions()}),
          Logits};
}

}  // namespace scout::tool

// scout chat: a dialog at the terminal, or line by line from standard input.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tools/answer.h"
#include "tools/commands.h"
#include "tools/input.h"
#include "tools/open.h"
#include "tools/sampling.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

constexpr char kHelp[] =
    "/reset forgets the dialog, /undo the last question and answer, /system TEXT begins anew with\n"
    "this system message, /stats shows what was computed, /quit ends. A line that ends in \\ goes "
    "on\n"
    "in the next. Ctrl-C stops an answer.\n";
// Turns of calls and results within one answer: a model that only calls must not go on for ever.
constexpr int kMostRounds = 32;

class Chat {
 public:
  Chat(const Args& args) : args_(args), quiet_(args.Has("quiet")) {}

  Failure Open() {
    TOOL_TRY(ReadSampling(args_, &sampling_));
    TOOL_TRY(args_.Int("tokens", 1, INT64_MAX, &limit_));
    TOOL_TRY(LoadModel(args_, 0, &model_));
    TOOL_TRY(ModelTokenizer(model_.get(), &tokenizer_));
    scout_model_info info;
    TOOL_TRY(ModelInfo(model_.get(), &info));
    // The one session has the whole of a default budget.
    int64_t budget = 0, tokens = std::min(info.context_length, kDefaultKvTokens);
    TOOL_TRY(args_.Int("ctx", 1, INT64_MAX, &tokens));
    TOOL_TRY(SessionBudget(args_, info, tokens, &budget));
    TOOL_TRY(CreateEngine(args_, model_.get(), budget, &engine_));
    TOOL_TRY(CreateSession(args_, engine_.get(), tokens, &session_));
    Begin(args_.Get("system"));
    return OpenTools();
  }

  Failure Loop() {
    bool asks = isatty(0) && isatty(2);
    if (asks && !quiet_) Note(kHelp);
    for (;;) {
      if (asks) Note("> ");
      std::string line;
      if (!ReadLine(&line)) break;
      if (line.empty()) continue;
      if (line[0] == '/') {
        if (line == "/quit" || line == "/exit") return Ok();
        TOOL_TRY(Obey(line));
        continue;
      }
      TOOL_TRY(Ask(line));
      CatchInterrupts();  // a Ctrl-C stopped the answer and no more
    }
    if (asks) Note("\n");
    return Interrupted() ? Failure{kExitCancelled, "cancelled"} : Ok();
  }

 private:
  struct Message {
    const char* role;
    std::string content;
  };

  // The definitions, a parser for their calls, and where results come from.
  Failure OpenTools() {
    if (!args_.Has("tools")) {
      for (const char* name : {"tool-style", "tool-results"}) {
        if (args_.Has(name)) return Usage(std::string("--") + name + " needs --tools");
      }
      return Ok();
    }
    TOOL_TRY(args_.Choice("tool-style",
                          {{"python", SCOUT_TOOL_STYLE_PYTHON}, {"json", SCOUT_TOOL_STYLE_JSON}},
                          &tool_style_));
    TOOL_TRY(ReadFile(args_.Get("tools"), &tools_));
    scout_tool_parser_options options;
    scout_tool_parser_options_init(&options);
    options.tools = tools_.data();
    options.tools_bytes = static_cast<int64_t>(tools_.size());
    scout_tool_parser* parser = nullptr;
    scout_error* error = nullptr;
    if (scout_status status = scout_tool_parser_create(&options, &parser, &error);
        status != SCOUT_OK) {
      Failure failure = FromLibrary(status, error);
      return BadInput(args_.Get("tools") + ": " + failure.text);
    }
    parser_.reset(parser);
    if (!args_.Has("tool-results")) return Ok();
    std::string text;
    TOOL_TRY(ReadFile(args_.Get("tool-results"), &text));
    results_.str(text);
    return Ok();
  }

  // The result of a call: a line of --tool-results or of standard input; false where there is none.
  bool ReadResult(const Call& call, std::string* result) {
    if (args_.Has("tool-results")) return static_cast<bool>(std::getline(results_, *result));
    if (!quiet_) Note("result of " + Printable(call.name) + ": ");
    return ReadLine(result);
  }

  static void Note(const std::string& text) { std::fputs(text.c_str(), stderr); }

  static bool ReadLine(std::string* line) {
    std::string part;
    while (std::getline(std::cin, part)) {
      *line += part;
      if (line->empty() || line->back() != '\\') return true;
      line->back() = '\n';
    }
    return !line->empty() && !Interrupted();
  }

  void Begin(const std::string& system) {
    dialog_.clear();
    if (!system.empty()) dialog_.push_back({"system", system});
  }

  Failure Obey(const std::string& line) {
    if (line == "/reset") {
      Begin(!dialog_.empty() && dialog_[0].role[0] == 's' ? dialog_[0].content : "");
    } else if (line.compare(0, 8, "/system ") == 0) {
      Begin(line.substr(8));
    } else if (line == "/undo") {
      size_t from = dialog_.size();
      while (from > 0 && dialog_[from - 1].role[0] != 'u') --from;
      if (from == 0) {
        Note("there is no question to undo\n");
        return Ok();
      }
      const std::string question = Printable(dialog_[from - 1].content, 60);
      Note("took back \"" + question + "\" and " + std::to_string(dialog_.size() - from) +
           (dialog_.size() - from == 1 ? " message" : " messages") + " after it\n");
      dialog_.resize(from - 1);
    } else if (line == "/stats") {
      scout_engine_stats stats;
      TOOL_TRY(EngineStats(engine_.get(), &stats));
      Note(std::to_string(scout_session_position(session_.get())) + " of " +
           std::to_string(scout_session_max_tokens(session_.get())) + " tokens held, " +
           std::to_string(stats.tokens_computed) + " computed, KV " +
           Bytes(stats.kv_pages_used * stats.kv_page_bytes) + "\n");
    } else {
      if (line != "/help") Note("unknown command " + Printable(line, 60) + "\n");
      Note(kHelp);
    }
    return Ok();
  }

  Failure Render(std::vector<int32_t>* ids) const {
    std::vector<scout_chat_message> messages(dialog_.size());
    size_t room = 4096 + 8 * tools_.size();  // definitions are laid out over lines
    for (size_t i = 0; i < dialog_.size(); ++i) {
      messages[i] = tool::Message(dialog_[i].role, dialog_[i].content);
      room += dialog_[i].content.size() + 32;
    }
    ids->resize(room);
    int64_t count = 0;
    scout_chat_options options;
    scout_chat_options_init(&options);
    options.messages = messages.data();
    options.n_messages = static_cast<int64_t>(messages.size());
    options.tools = tools_.empty() ? nullptr : tools_.data();
    options.tools_bytes = static_cast<int64_t>(tools_.size());
    options.tool_style = tool_style_;
    scout_error* error = nullptr;
    scout_status status = scout_tokenizer_chat(tokenizer_.get(), &options, ids->data(),
                                               static_cast<int64_t>(ids->size()), &count, &error);
    if (status != SCOUT_OK && status != SCOUT_BUFFER_TOO_SMALL) return FromLibrary(status, error);
    scout_error_free(error);
    ids->resize(count);
    if (status == SCOUT_OK) return Ok();
    TOOL_CALL(scout_tokenizer_chat, tokenizer_.get(), &options, ids->data(), count, &count);
    return Ok();
  }

  // The question, and turn by turn the results of the calls in its answer. What does not fit or is
  // stopped before an answer is forgotten as a whole.
  Failure Ask(const std::string& question) {
    const size_t before = dialog_.size();
    dialog_.push_back({"user", question});
    for (int round = 0; round < kMostRounds; ++round) {
      std::vector<Call> calls;
      bool answered = false;
      TOOL_TRY(Turn(&answered, &calls));
      if (!answered) dialog_.resize(before);
      if (calls.empty()) return Ok();
      for (const Call& call : calls) {
        std::string result;
        if (!ReadResult(call, &result)) {
          Note("no result for " + Printable(call.name) + "\n");
          return Ok();
        }
        dialog_.push_back({"tool", result});
      }
    }
    Note("stopped after " + std::to_string(kMostRounds) + " rounds of calls\n");
    return Ok();
  }

  // One answer to the dialog as it is.
  Failure Turn(bool* answered, std::vector<Call>* calls) {
    std::vector<int32_t> ids;
    TOOL_TRY(Render(&ids));
    int64_t n = static_cast<int64_t>(ids.size());
    int64_t room = scout_session_max_tokens(session_.get()) - n;
    if (room < 1) {
      Note("the dialog does not fit in the session's " +
           std::to_string(scout_session_max_tokens(session_.get())) +
           " tokens: /undo, /reset or a larger --ctx\n");
      return Ok();
    }
    scout_sync_result done = {};
    done.struct_size = sizeof(done);
    Clock clock;
    {
      Progress progress("prefill", Progress::Unit::kTokens, !quiet_);
      scout_prefill_options options;
      scout_prefill_options_init(&options);
      options.progress = Progress::Callback;
      options.progress_user = &progress;
      scout_error* error = nullptr;
      scout_status status =
          scout_session_sync(session_.get(), ids.data(), n, &options, &done, &error);
      if (status == SCOUT_CANCELLED) {
        scout_error_free(error);
        Note("stopped\n");
        return Ok();
      }
      if (status != SCOUT_OK) return FromLibrary(status, error);
    }
    double prefill = clock.Seconds();
    Answer answer;
    TOOL_TRY(StreamAnswer(session_.get(), *sampling_.Get(), std::min(limit_, room), false,
                          args_.GetAll("stop"), parser_.get(), &answer));
    TOOL_TRY(Out("\n"));
    TOOL_TRY(FlushOut());
    // The model's own words, so that the session keeps what it has computed for them.
    dialog_.push_back({"assistant", answer.text});
    *answered = true;
    if (!answer.interrupted) *calls = answer.calls;
    if (!quiet_) {
      Note("[kept " + std::to_string(done.kept) + ", dropped " + std::to_string(done.dropped) +
           ", computed " + std::to_string(done.computed) + " tokens in " +
           Fixed(prefill + answer.first, 3) + " s; answer " + std::to_string(answer.tokens) +
           " tokens, " + Rate(answer.tokens - 1, answer.seconds) + " tokens/s" +
           (answer.interrupted ? ", stopped"
            : answer.ended     ? ""
                               : ", cut") +
           "]\n");
    }
    return Ok();
  }

  const Args& args_;
  const bool quiet_;
  int64_t limit_ = 1024;
  Sampling sampling_;
  Model model_;
  Tokenizer tokenizer_;
  Engine engine_;
  Session session_;
  std::vector<Message> dialog_;
  std::string tools_;  // their definitions
  int32_t tool_style_ = SCOUT_TOOL_STYLE_PYTHON;
  ToolParser parser_;
  std::istringstream results_;  // of --tool-results
};

Failure RunChat(const Args& args) {
  TOOL_TRY(args.AtMost(0));
  Chat chat(args);
  TOOL_TRY(chat.Open());
  return chat.Loop();
}

}  // namespace

Command ChatCommand() {
  return {
      "chat",
      "-m PATH [options]",
      "talk with a model, turn by turn",
      "Reads one message per line from standard input. The session is synchronised with the\n"
      "whole dialog each time and computes only what is new; [kept K, dropped D, computed C]\n"
      "on stderr says how much. Commands: /reset, /undo, /system TEXT, /stats, /help, /quit.\n"
      "With --tools the model may call functions: each call is shown as \"-> name {arguments}\",\n"
      "and its result is one line of standard input or of --tool-results.",
      Join({ModelOption(),
            {{0, "system", "TEXT", "the system message"},
             {'n', "tokens", "N", "most tokens of an answer (default 1024)"},
             StopOption(),
             {0, "tools", "FILE", "functions that may be called: a JSON list of definitions"},
             {0, "tool-style", "python|json", "how they are asked for (default python)"},
             {0, "tool-results", "FILE", "results of calls, one per line, in order"}},
            SamplingOptions(),
            EngineOptions("tokens the dialog can hold (default: the model's context, at\n"
                          "most 131072)"),
            OverrideOptions()}),
      RunChat};
}

}  // namespace scout::tool

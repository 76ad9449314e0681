// scout chat: a dialog at the terminal, or line by line from standard input.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "tools/answer.h"
#include "tools/commands.h"
#include "tools/open.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

constexpr char kHelp[] =
    "/reset forgets the dialog, /undo the last question and answer, /system TEXT begins anew with\n"
    "this system message, /stats shows what was computed, /quit ends. A line that ends in \\ goes "
    "on\n"
    "in the next. Ctrl-C stops an answer.\n";

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
    int64_t budget = 0;
    TOOL_TRY(SessionBudget(args_, info, 0, &budget));
    TOOL_TRY(CreateEngine(args_, model_.get(), budget, &engine_));
    TOOL_TRY(CreateSession(args_, engine_.get(), 0, &session_));
    Begin(args_.Get("system"));
    return Ok();
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
      if (dialog_.size() >= 2 && dialog_.back().role[0] == 'a') dialog_.resize(dialog_.size() - 2);
    } else if (line == "/stats") {
      scout_engine_stats stats;
      TOOL_TRY(EngineStats(engine_.get(), &stats));
      Note(std::to_string(scout_session_position(session_.get())) + " of " +
           std::to_string(scout_session_max_tokens(session_.get())) + " tokens held, " +
           std::to_string(stats.tokens_computed) + " computed, KV " +
           Bytes(stats.kv_pages_used * stats.kv_page_bytes) + "\n");
    } else {
      Note(kHelp);
    }
    return Ok();
  }

  Failure Render(std::vector<int32_t>* ids) const {
    std::vector<scout_chat_message> messages(dialog_.size());
    size_t room = 16;
    for (size_t i = 0; i < dialog_.size(); ++i) {
      messages[i] = {};
      messages[i].struct_size = sizeof(messages[i]);
      messages[i].role = dialog_[i].role;
      messages[i].content = dialog_[i].content.data();
      messages[i].content_bytes = static_cast<int64_t>(dialog_[i].content.size());
      room += dialog_[i].content.size() + 32;
    }
    ids->resize(room);
    int64_t count = 0;
    TOOL_CALL(scout_tokenizer_chat, tokenizer_.get(), messages.data(),
              static_cast<int64_t>(messages.size()), 1, ids->data(),
              static_cast<int64_t>(ids->size()), &count);
    ids->resize(count);
    return Ok();
  }

  Failure Ask(const std::string& question) {
    dialog_.push_back({"user", question});
    std::vector<int32_t> ids;
    TOOL_TRY(Render(&ids));
    int64_t n = static_cast<int64_t>(ids.size());
    int64_t room = scout_session_max_tokens(session_.get()) - n;
    if (room < 1) {
      dialog_.pop_back();
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
        dialog_.pop_back();
        Note("stopped\n");
        return Ok();
      }
      if (status != SCOUT_OK) return FromLibrary(status, error);
    }
    double prefill = clock.Seconds();
    Answer answer;
    TOOL_TRY(StreamAnswer(session_.get(), tokenizer_.get(), sampling_, std::min(limit_, room),
                          false, &answer));
    TOOL_TRY(Out("\n"));
    TOOL_TRY(FlushOut());
    dialog_.push_back({"assistant", answer.text});
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
  scout_sampling_options sampling_;
  Model model_;
  Tokenizer tokenizer_;
  Engine engine_;
  Session session_;
  std::vector<Message> dialog_;
};

Failure RunChat(const Args& args) {
  TOOL_TRY(args.AtMost(0));
  Chat chat(args);
  TOOL_TRY(chat.Open());
  return chat.Loop();
}

}  // namespace

Command ChatCommand() {
  return {"chat",
          "-m PATH [options]",
          "talk with a model, turn by turn",
          "Reads one message per line from standard input. The session is synchronised with the\n"
          "whole dialog each time and computes only what is new; [kept K, dropped D, computed C]\n"
          "on stderr says how much. Commands: /reset, /undo, /system TEXT, /stats, /help, /quit.",
          Join({ModelOption(),
                {{0, "system", "TEXT", "the system message"},
                 {'n', "tokens", "N", "most tokens of an answer (default 1024)"}},
                SamplingOptions(),
                EngineOptions(),
                OverrideOptions()}),
          RunChat};
}

}  // namespace scout::tool

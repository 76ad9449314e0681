// scout batch: many requests from a JSONL file, answered into another; goes on where it was
// stopped. SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tools/batch_file.h"
#include "tools/batch_request.h"
#include "tools/batch_slot.h"
#include "tools/commands.h"
#include "tools/input.h"
#include "tools/open.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

// Bounds how late a Ctrl-C or a finished neighbour is noticed.
constexpr int64_t kWaitMs = 5;

class Batch {
 public:
  explicit Batch(const Args& args) : args_(args) {}
  Failure Run();

 private:
  Failure OpenModel();
  Failure OpenEngine(int64_t document_tokens);
  Failure Settings(std::string* settings) const;
  Failure ReadDocument(const std::vector<int32_t>& ids);
  Failure Fill();
  Failure Begin(BatchLine* line, std::unique_ptr<BatchSlot>* slot);
  Failure Finish(const BatchSlot& slot);
  Failure Answer(const BatchLine& line, nlohmann::ordered_json result);
  Failure Refuse(const BatchLine& line, const nlohmann::json& id, const Failure& failure);
  void Report();
  void Summary() const;
  Failure Verdict() const;

  const Args& args_;
  int64_t n_parallel_ = 1, limit_ = 256;
  int64_t context_ = 0;  // --ctx: tokens that a request may need beyond the document; 0: not given
  BatchRequest defaults_;
  std::string settings_;
  BatchInput input_;
  BatchOutput output_;
  Model model_;
  scout_model_info info_;
  Tokenizer tokenizer_;
  Engine engine_;
  BatchPrompt prompt_;  // how a request becomes tokens
  Session document_;    // holds the document's tokens, which questions fork; or null
  std::vector<std::unique_ptr<BatchSlot>> slots_;
  size_t next_ = 0;     // of input_.lines()
  bool waits_ = false;  // the next line, for the room of a session that has not ended
  int64_t done_ = 0, failed_ = 0, tokens_ = 0;
  int64_t tenths_ = 0;  // of the lines, last reported
  Clock clock_;
};

Failure Batch::OpenModel() {
  TOOL_TRY(LoadModel(args_, 0, &model_));
  TOOL_TRY(ModelInfo(model_.get(), &info_));
  TOOL_TRY(ModelTokenizer(model_.get(), &tokenizer_));
  prompt_.tokenizer = tokenizer_.get();
  prompt_.chat = args_.Has("chat");
  prompt_.bos = !args_.Has("no-bos");
  prompt_.has_system = args_.Has("system");
  prompt_.system = args_.Get("system");
  return Ok();
}

// What must be the same for results to belong together: the model and all that shapes answers.
Failure Batch::Settings(std::string* settings) const {
  int64_t size = 0;
  scout_error* error = nullptr;
  scout_status status = scout_model_describe(model_.get(), nullptr, 0, &size, &error);
  if (status != SCOUT_BUFFER_TOO_SMALL) return FromLibrary(status, error);
  scout_error_free(error);
  std::string json(static_cast<size_t>(size), '\0');
  TOOL_CALL(scout_model_describe, model_.get(), json.data(), size, &size);
  const auto described = nlohmann::json::parse(json, nullptr, false);
  if (!described.is_object() || !described.contains("identity")) {
    return RunError("the model's description has no identity");
  }
  uint64_t digest = Digest(described["identity"].dump());
  for (const char* name :
       {"mode", "backend", "isa", "kv", "temp", "top-k", "top-p", "min-p", "seed",
        "repetition-penalty", "penalty-window", "frequency-penalty", "presence-penalty",
        "logit-bias", "tokens", "chat", "system", "no-bos", "ignore-end"}) {
    digest =
        Digest(std::string(name) + (args_.Has(name) ? "=" : "-") + args_.Get(name) + "\n", digest);
  }
  for (const std::string& stop : args_.GetAll("stop"))
    digest = Digest("stop=" + stop + "\n", digest);
  digest = Digest(prompt_.has_document ? "document\n" : "none\n", digest);
  *settings = Hex(Digest(prompt_.document, digest));
  return Ok();
}

// --ctx is what a request may need beyond the document, whose pages all share.
Failure Batch::OpenEngine(int64_t document_tokens) {
  constexpr int64_t kDefaultRequest = 8192;
  const int64_t wanted =
      document_tokens + n_parallel_ * (context_ > 0 ? context_ : kDefaultRequest);
  return CreateEngine(args_, model_.get(), context_ > 0 || wanted > kDefaultKvTokens ? wanted : 0,
                      &engine_, static_cast<int32_t>(n_parallel_ + 1));
}

// The document goes through the model once, in a session that questions fork.
Failure Batch::ReadDocument(const std::vector<int32_t>& ids) {
  scout_session_options options;
  scout_session_options_init(&options);
  options.max_tokens = static_cast<int64_t>(ids.size());
  scout_session* session = nullptr;
  TOOL_CALL(scout_session_create, engine_.get(), &options, &session);
  document_.reset(session);
  Progress progress("document", Progress::Unit::kTokens, !args_.Has("quiet"));
  scout_prefill_options prefill;
  scout_prefill_options_init(&prefill);
  prefill.progress = Progress::Callback;
  prefill.progress_user = &progress;
  TOOL_CALL(scout_session_prefill, document_.get(), ids.data(), options.max_tokens, &prefill,
            nullptr);
  return Ok();
}

Failure Batch::Answer(const BatchLine& line, nlohmann::ordered_json result) {
  result["input"] = Hex(line.digest);
  result["settings"] = settings_;
  TOOL_TRY(output_.Append(
      result.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
  ++done_;
  return Ok();
}

// A request that cannot be answered is answered with what is wrong with it.
Failure Batch::Refuse(const BatchLine& line, const nlohmann::json& id, const Failure& failure) {
  nlohmann::ordered_json result;
  result["line"] = line.number;
  if (!id.is_discarded()) result["id"] = id;
  result["error"] = Printable(failure.text);
  ++failed_;
  return Answer(line, std::move(result));
}

Failure Batch::Finish(const BatchSlot& slot) {
  nlohmann::ordered_json result;
  result["line"] = slot.line().number;
  if (!slot.request().id.is_discarded()) result["id"] = slot.request().id;
  result["text"] = slot.text();
  result["finish"] = slot.finish();
  result["prompt_tokens"] = slot.n_prompt();
  result["tokens"] = slot.n_answer();
  tokens_ += slot.n_answer();
  return Answer(slot.line(), std::move(result));
}

// *slot stays null where the line was answered with an error, or (with line unanswered) where there
// is no room before another session ends.
Failure Batch::Begin(BatchLine* line, std::unique_ptr<BatchSlot>* slot) {
  std::string text;
  TOOL_TRY(input_.Read(*line, &text));
  BatchRequest request = defaults_;
  const Failure wrong = ReadRequest(text, &request);
  line->answered = true;
  if (wrong) return Refuse(*line, request.id, wrong);
  auto made = std::make_unique<BatchSlot>(*line, std::move(request));
  const Failure failure = made->Start(engine_.get(), document_.get(), prompt_, info_, context_);
  if (!failure) {
    *slot = std::move(made);
    return Ok();
  }
  if (made->no_room() &&
      std::any_of(slots_.begin(), slots_.end(), [](auto& s) { return s != nullptr; })) {
    line->answered = false;
    return Ok();
  }
  if (!made->at_fault()) return failure;
  if (made->no_room()) {  // with all other sessions gone
    return Refuse(*line, made->request().id,
                  {kExitLimit, made->needs() + ", for which the KV budget has no room: give a "
                                               "larger --ctx, and --retry-errors"});
  }
  return Refuse(*line, made->request().id, failure);
}

// Starts requests in free slots.
Failure Batch::Fill() {
  for (auto& slot : slots_) {
    while (slot == nullptr && !waits_ && next_ < input_.lines().size()) {
      if (Interrupted()) return Ok();
      BatchLine* line = &input_.lines()[next_];
      if (!line->answered) {
        TOOL_TRY(Begin(line, &slot));
        waits_ = !line->answered;
        if (waits_) return Ok();
      }
      ++next_;
    }
  }
  return Ok();
}

// Where stderr is no terminal a line for each tenth of the work, in place of the progress bar.
void Batch::Report() {
  if (args_.Has("quiet") || isatty(2)) return;
  const auto total = static_cast<int64_t>(input_.lines().size());
  const int64_t done = output_.answered() + done_, tenths = 10 * done / total;
  if (tenths == tenths_ || done == total) return;
  tenths_ = tenths;
  std::fputs(("scout: batch: " + std::to_string(done) + " of " + std::to_string(total) +
              " lines answered\n")
                 .c_str(),
             stderr);
}

void Batch::Summary() const {
  if (args_.Has("quiet")) return;
  std::string line = "scout: " + std::to_string(done_) + " lines answered";
  if (failed_ > 0) line += ", " + std::to_string(failed_) + " of them with an error";
  if (output_.answered() > 0) line += "; " + std::to_string(output_.answered()) + " before";
  line += "; " + std::to_string(tokens_) + " tokens, " + Rate(tokens_, clock_.Seconds()) +
          " tokens/s\n";
  std::fputs(line.c_str(), stderr);
}

Failure Batch::Verdict() const {
  if (Interrupted()) return {kExitCancelled, "cancelled; the same command goes on from here"};
  const int64_t errors = output_.errors() + failed_;
  if (errors == 0) return Ok();
  return {kExitErrors, std::to_string(errors) + " of " + std::to_string(input_.lines().size()) +
                           " lines are answered with an error; --retry-errors answers them again"};
}

Failure Batch::Run() {
  TOOL_TRY(args_.AtMost(2));
  if (args_.positional().size() < 2) return Usage("IN.jsonl and OUT.jsonl are needed (see --help)");
  if (args_.Has("system") && !args_.Has("chat")) return Usage("--system needs --chat");
  TOOL_TRY(args_.Int("parallel", 1, 1024, &n_parallel_));
  TOOL_TRY(args_.Int("tokens", 0, INT64_MAX, &limit_));
  TOOL_TRY(args_.Int("ctx", 1, int64_t{1} << 40, &context_));
  TOOL_TRY(ReadSampling(args_, &defaults_.sampling));
  defaults_.max_tokens = limit_;
  defaults_.stop = args_.GetAll("stop");
  defaults_.ignore_end = args_.Has("ignore-end");
  prompt_.has_document = args_.Has("document");
  if (prompt_.has_document) TOOL_TRY(ReadFile(args_.Get("document"), &prompt_.document));
  TOOL_TRY(input_.Open(args_.positional()[0]));
  TOOL_TRY(OpenModel());
  TOOL_TRY(Settings(&settings_));
  std::vector<int32_t> document;
  if (prompt_.has_document) {
    TOOL_TRY(prompt_.DocumentPrefix(&document));
    TOOL_TRY(CheckIds(document, info_.vocab_size));
    if (static_cast<int64_t>(document.size()) >= info_.context_length) {
      return {kExitLimit, args_.Get("document") + ": the document has " +
                              std::to_string(document.size()) + " tokens, the model's context is " +
                              std::to_string(info_.context_length)};
    }
  }
  TOOL_TRY(output_.Open(args_.positional()[1], settings_, args_.Has("fsync"), &input_,
                        args_.Has("retry-errors")));
  if (output_.retried() > 0 && !args_.Has("quiet")) {
    std::fputs(("scout: took out " + std::to_string(output_.retried()) +
                " errors, to answer their lines again\n")
                   .c_str(),
               stderr);
  }
  if (output_.torn() > 0 && !args_.Has("quiet")) {
    std::fputs(
        ("scout: cut off an unfinished last line of " + std::to_string(output_.torn()) + " bytes\n")
            .c_str(),
        stderr);
  }
  const auto total = static_cast<int64_t>(input_.lines().size());
  if (output_.answered() == total) {
    Summary();
    return Verdict();
  }
  tenths_ = 10 * output_.answered() / total;
  TOOL_TRY(OpenEngine(static_cast<int64_t>(document.size())));
  if (!document.empty()) TOOL_TRY(ReadDocument(document));
  slots_.resize(static_cast<size_t>(n_parallel_));
  clock_ = Clock();
  {
    Progress progress("batch", Progress::Unit::kLines, !args_.Has("quiet"));
    progress.SetPart(output_.answered(), total);
    for (;;) {
      TOOL_TRY(Fill());
      if (Progress::Callback(&progress, done_, total) != 0) break;
      Report();
      bool any = false;
      for (auto& slot : slots_) {
        if (slot == nullptr) continue;
        // The first waits a little for its job, the others only take what is there.
        const int64_t timeout_ms = any ? 0 : kWaitMs;
        any = true;
        bool over = false;
        const Failure failure = slot->Step(timeout_ms, &over);
        if (failure && !slot->at_fault()) return failure;
        if (failure) TOOL_TRY(Refuse(slot->line(), slot->request().id, failure));
        if (over && !failure) TOOL_TRY(Finish(*slot));
        if (over || failure) {
          slot.reset();
          waits_ = false;
        }
      }
      if (!any && next_ == input_.lines().size()) break;
    }
  }
  Summary();
  return Verdict();
}

Failure RunBatch(const Args& args) { return Batch(args).Run(); }

}  // namespace

Command BatchCommand() {
  return {
      "batch",
      "-m PATH IN.jsonl OUT.jsonl [options]",
      "answer many requests from a file; goes on where it was stopped",
      "Each line of IN is an object: \"prompt\", or \"messages\" of {\"role\", \"content\"}; and "
      "if\n"
      "wanted \"id\", \"max_tokens\", \"stop\", \"ignore_end\", \"seed\" and the other sampling "
      "options.\n"
      "Results are appended to OUT as they come. Run again after a stop of any kind, the command\n"
      "answers the lines that are missing. With --document every prompt is a question about it,\n"
      "and it is read once.",
      Join({ModelOption(),
            {{0, "document", "PATH", "put this text before every prompt"},
             {'c', "chat", nullptr, "wrap prompts in the Llama 4 chat format"},
             {0, "system", "TEXT", "with --chat: the system message"},
             {'n', "tokens", "N", "most tokens of an answer (default 256)"},
             StopOption(),
             {'p', "parallel", "N", "requests worked on at the same time (default 1)"},
             {0, "retry-errors", nullptr, "answer again the lines whose result is an error"},
             {0, "fsync", nullptr, "have each result on the disk before going on"},
             {0, "no-bos", nullptr, "without --chat: no begin-of-text token"},
             {0, "ignore-end", nullptr, "go on after end tokens"}},
            SamplingOptions(),
            EngineOptions("tokens that a request may need beyond the document\n"
                          "(default: no limit; room for 8192 each)"),
            OverrideOptions()}),
      RunBatch};
}

}  // namespace scout::tool

// Opens what the commands work with, from the options that all of them share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scout.h"
#include "tools/args.h"
#include "tools/failure.h"

namespace scout::tool {

// kv_tokens of an engine that is told none (scout.h).
constexpr int64_t kDefaultKvTokens = 131072;

struct Free {
  void operator()(scout_model* p) const { scout_model_free(p); }
  void operator()(scout_tokenizer* p) const { scout_tokenizer_free(p); }
  void operator()(scout_detokenizer* p) const { scout_detokenizer_free(p); }
  void operator()(scout_tool_parser* p) const { scout_tool_parser_free(p); }
  void operator()(scout_engine* p) const { scout_engine_free(p); }
  void operator()(scout_session* p) const { scout_session_free(p); }
  void operator()(scout_job* p) const { scout_job_free(p); }
};
using Model = std::unique_ptr<scout_model, Free>;
using Tokenizer = std::unique_ptr<scout_tokenizer, Free>;
using Detokenizer = std::unique_ptr<scout_detokenizer, Free>;
using ToolParser = std::unique_ptr<scout_tool_parser, Free>;
using Engine = std::unique_ptr<scout_engine, Free>;
using Session = std::unique_ptr<scout_session, Free>;
using Job = std::unique_ptr<scout_job, Free>;

OptionList ModelOption();       // -m
OptionList VocabularyOption();  // -m where the vocabulary is enough
OptionList TalkOptions();       // -v, -q: of all commands but completion
OptionList OverrideOptions();   // of the model, -v, -q
// Mode, backend, threads, memory; `context`: what is said of --ctx, nullptr where it is no option.
OptionList EngineOptions(const char* context = "tokens the session can hold (default: as needed)");

// `flags`: SCOUT_MODEL_*. Wrong engine options are refused here too, before the long reading.
// `log_level` is what is printed without -v.
Failure LoadModel(const Args& args, uint32_t flags, Model* model,
                  int32_t log_level = SCOUT_LOG_WARNING);
// Fails where `tokens` exceed the model's context or --ctx.
Failure CheckContext(const Args& args, const scout_model_info& info, int64_t tokens);
// The KV budget for one session of `tokens`, or of --ctx: 0, the library's default, serves unless
// more than that is asked for. Fails as CheckContext.
Failure SessionBudget(const Args& args, const scout_model_info& info, int64_t tokens,
                      int64_t* kv_tokens);
// kv_tokens: the KV budget of all sessions together, 0 for the library's default.
Failure CreateEngine(const Args& args, scout_model* model, int64_t kv_tokens, Engine* engine,
                     int32_t max_sessions = 0);
// For `tokens`, or what --ctx says; 0 for as many as fit.
Failure CreateSession(const Args& args, scout_engine* engine, int64_t tokens, Session* session);

Failure ModelInfo(const scout_model* model, scout_model_info* info);
Failure EngineStats(const scout_engine* engine, scout_engine_stats* stats);
Failure ModelTokenizer(const scout_model* model, Tokenizer* tokenizer);
Failure LoadTokenizer(const Args& args, Tokenizer* tokenizer);
// Number of tokens of a text, in which special tokens are text.
Failure CountTokens(const scout_tokenizer* tokenizer, std::string_view text, int64_t* count);
Failure Encode(const scout_tokenizer* tokenizer, const std::string& text, uint32_t flags,
               std::vector<int32_t>* ids);
// The library's view of a message; the strings stay the caller's.
scout_chat_message Message(const char* role, const std::string& content);
// A dialog of (role, content), with the header of the answer.
Failure EncodeChat(const scout_tokenizer* tokenizer,
                   const std::vector<std::pair<std::string, std::string>>& messages,
                   std::vector<int32_t>* ids);
// Every id must be below the vocabulary's size; the library checks again.
Failure CheckIds(const std::vector<int32_t>& ids, int64_t vocab_size);

// "[1, 2, 3]"
std::string JsonList(const std::vector<int32_t>& ids);

}  // namespace scout::tool

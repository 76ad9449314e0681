// The shared options, and the objects made from them. SPDX-License-Identifier: Apache-2.0
#include "tools/open.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tools/terminal.h"

namespace scout::tool {
namespace {

void PrintLog(void*, int32_t level, const char* message) {
  static const char* const kNames[] = {"error", "warning", "info", "debug"};
  std::string line =
      std::string("scout: ") + kNames[std::clamp(level, 0, 3)] + ": " + Printable(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// Makes a folder and those above it that are missing, for this user alone. False where that failed.
bool MakeFolders(const std::string& path) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), 0700);  // mostly there; the last one tells
  }
  struct stat info;
  return ::mkdir(path.c_str(), 0700) == 0 ||
         (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode));
}

// Where digests of weights are kept: $XDG_CACHE_HOME/scout or ~/.cache/scout, "" without a home.
std::string CacheFolder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string base;
  struct stat info;
  if (cache != nullptr && cache[0] == '/') {
    base = cache;
  } else if (home != nullptr && home[0] == '/' && ::stat(home, &info) == 0) {
    base = std::string(home) + "/.cache";
  }
  return !base.empty() && MakeFolders(base) ? base + "/scout" : "";
}

Failure ReadOverrides(const Args& args, scout_model_options* o) {
  TOOL_TRY(args.Int("chunk", 1, INT64_MAX, &o->attention_chunk));
  TOOL_TRY(args.Choice("temperature-tuning", {{"on", 1}, {"off", 0}}, &o->temperature_tuning));
  TOOL_TRY(args.Double("temperature-scale", 0, 1e6, &o->temperature_scale));
  TOOL_TRY(args.Int("temperature-floor", 1, INT64_MAX, &o->temperature_floor));
  TOOL_TRY(args.Double("rope-theta", 1e-3, 1e18, &o->rope_theta));
  TOOL_TRY(args.Choice("rope-scaling", {{"none", 0}, {"llama3", 1}}, &o->rope_scaling));
  TOOL_TRY(args.Double("rope-factor", 1e-3, 1e9, &o->rope_factor));
  TOOL_TRY(args.Double("rope-low-freq-factor", 1e-9, 1e9, &o->rope_low_freq_factor));
  TOOL_TRY(args.Double("rope-high-freq-factor", 1e-9, 1e9, &o->rope_high_freq_factor));
  return args.Int("rope-original-context", 1, INT64_MAX, &o->rope_original_context);
}

Failure ReadEngine(const Args& args, scout_engine_options* o) {
  scout_engine_options_init(o);
  o->log = PrintLog;
  o->log_level = args.Has("verbose") ? SCOUT_LOG_DEBUG : SCOUT_LOG_WARNING;
  TOOL_TRY(args.Choice("mode", {{"exact", SCOUT_MODE_EXACT}, {"fast", SCOUT_MODE_FAST}}, &o->mode));
  TOOL_TRY(args.Choice("backend",
                       {{"reference", SCOUT_BACKEND_REFERENCE}, {"cpu", SCOUT_BACKEND_CPU}},
                       &o->backend));
  TOOL_TRY(args.Choice("isa",
                       {{"portable", SCOUT_ISA_PORTABLE},
                        {"avx2", SCOUT_ISA_AVX2},
                        {"avx512", SCOUT_ISA_AVX512},
                        {"avx512-vnni", SCOUT_ISA_AVX512}},  // as scout_engine_stats names it
                       &o->isa));
  TOOL_TRY(args.Choice("kv",
                       {{"f32", SCOUT_KV_F32}, {"f16", SCOUT_KV_F16}, {"bf16", SCOUT_KV_BF16}},
                       &o->kv_format));
  TOOL_TRY(args.Int("threads", 1, 4096, &o->n_threads));
  TOOL_TRY(args.Int("page-tokens", 16, 4096, &o->page_tokens));
  if ((o->page_tokens & (o->page_tokens - 1)) != 0) {
    return Usage("--page-tokens " + std::to_string(o->page_tokens) + " is not a power of two");
  }
  TOOL_TRY(args.Int("step-tokens", 1, INT32_MAX, &o->max_step_tokens));
  int64_t context = 0;
  return args.Int("ctx", 1, INT64_MAX, &context);
}

}  // namespace

OptionList ModelOption() { return {{'m', "model", "PATH", "the model: a folder or a .gguf file"}}; }

OptionList VocabularyOption() {
  return {{'m', "model", "PATH", "a folder, a .gguf file, a tokenizer.json or .model"}};
}

OptionList TalkOptions() {
  return {{'v', "verbose", nullptr, "print the library's log lines to stderr"},
          {'q', "quiet", nullptr, "no progress bar, no timings and no report on stderr"}};
}

OptionList OverrideOptions() {
  OptionList options = {
      {0, "chunk", "N", "override: tokens of an attention chunk"},
      {0, "temperature-tuning", "on|off", "override: attention temperature of global layers"},
      {0, "temperature-scale", "X", "override: its scale"},
      {0, "temperature-floor", "N", "override: its floor, in tokens"},
      {0, "rope-theta", "X", "override: base of the rotary frequencies"},
      {0, "rope-scaling", "none|llama3", "override: scaling of the rotary frequencies"},
      {0, "rope-factor", "X", "override: factor of llama3 scaling"},
      {0, "rope-low-freq-factor", "X", "override: its low frequency factor"},
      {0, "rope-high-freq-factor", "X", "override: its high frequency factor"},
      {0, "rope-original-context", "N", "override: its original context length"},
  };
  return Join({options, TalkOptions()});
}

OptionList EngineOptions(const char* context) {
  OptionList options = {
      {0, "mode", "exact|fast",
       "exact: fp32 throughout; fast (default): integer kernels\n"
       "for quantised weights, 16-bit KV cache"},
      {0, "backend", "reference|cpu", "reference: plain scalar code; cpu (default): vectorised"},
      {0, "isa", "portable|avx2|avx512",
       "instructions of the cpu backend (default: the best);\n"
       "avx512-vnni is avx512"},
      {0, "threads", "N", "default: one per physical core"},
      {0, "kv", "f32|f16|bf16", "format of the KV cache (default: by mode)"},
  };
  if (context != nullptr) options.push_back({0, "ctx", "N", context});
  return Join({options,
               {{0, "page-tokens", "N", "tokens of a KV page, a power of two (default 256)"},
                {0, "step-tokens", "N", "most tokens computed in one step (default 512)"}}});
}

Failure LoadModel(const Args& args, uint32_t flags, Model* model, int32_t log_level) {
  TOOL_TRY(args.Require("model", "-m PATH"));
  Progress progress("loading", Progress::Unit::kBytes, !args.Has("quiet"));
  scout_model_options options;
  scout_model_options_init(&options);
  options.flags = flags;
  options.progress = Progress::Callback;
  options.progress_user = &progress;
  options.log = PrintLog;
  options.log_level = args.Has("verbose") ? SCOUT_LOG_DEBUG : log_level;
  const std::string cache = CacheFolder();
  if (!cache.empty()) options.cache_dir = cache.c_str();
  TOOL_TRY(ReadOverrides(args, &options));
  scout_engine_options engine_options;
  TOOL_TRY(ReadEngine(args, &engine_options));
  scout_model* loaded = nullptr;
  TOOL_CALL(scout_model_load, args.Get("model").c_str(), &options, &loaded);
  model->reset(loaded);
  return Ok();
}

Failure CheckContext(const Args& args, const scout_model_info& info, int64_t tokens) {
  int64_t context = INT64_MAX;
  TOOL_TRY(args.Int("ctx", 1, INT64_MAX, &context));
  const std::string wanted = std::to_string(tokens) + " tokens are wanted, ";
  if (tokens > info.context_length) {
    return {kExitLimit, wanted + "the model's context is " + std::to_string(info.context_length)};
  }
  if (context < INT64_MAX && context > info.context_length) {
    return {kExitLimit, "--ctx is " + std::to_string(context) + ", the model's context is " +
                            std::to_string(info.context_length)};
  }
  if (tokens > context) return {kExitLimit, wanted + "--ctx is " + std::to_string(context)};
  return Ok();
}

Failure SessionBudget(const Args& args, const scout_model_info& info, int64_t tokens,
                      int64_t* kv_tokens) {
  TOOL_TRY(CheckContext(args, info, tokens));
  TOOL_TRY(args.Int("ctx", 1, INT64_MAX, &tokens));
  *kv_tokens = tokens > kDefaultKvTokens ? tokens : 0;
  return Ok();
}

Failure CreateEngine(const Args& args, scout_model* model, int64_t kv_tokens, Engine* engine,
                     int32_t max_sessions) {
  scout_engine_options options;
  TOOL_TRY(ReadEngine(args, &options));
  options.kv_tokens = kv_tokens;
  options.max_sessions = max_sessions;
  scout_engine* created = nullptr;
  TOOL_CALL(scout_engine_create, model, &options, &created);
  engine->reset(created);
  return Ok();
}

Failure CreateSession(const Args& args, scout_engine* engine, int64_t tokens, Session* session) {
  scout_session_options options;
  scout_session_options_init(&options);
  options.max_tokens = tokens;
  TOOL_TRY(args.Int("ctx", 1, INT64_MAX, &options.max_tokens));
  scout_session* created = nullptr;
  TOOL_CALL(scout_session_create, engine, &options, &created);
  session->reset(created);
  return Ok();
}

Failure ModelInfo(const scout_model* model, scout_model_info* info) {
  *info = {};
  info->struct_size = sizeof(*info);
  TOOL_CALL(scout_model_get_info, model, info);
  return Ok();
}

Failure EngineStats(const scout_engine* engine, scout_engine_stats* stats) {
  *stats = {};
  stats->struct_size = sizeof(*stats);
  TOOL_CALL(scout_engine_get_stats, engine, stats);
  return Ok();
}

Failure ModelTokenizer(const scout_model* model, Tokenizer* tokenizer) {
  scout_tokenizer* found = nullptr;
  TOOL_CALL(scout_model_tokenizer, model, &found);
  tokenizer->reset(found);
  return Ok();
}

Failure LoadTokenizer(const Args& args, Tokenizer* tokenizer) {
  TOOL_TRY(args.Require("model", "-m PATH"));
  scout_tokenizer* loaded = nullptr;
  TOOL_CALL(scout_tokenizer_load, args.Get("model").c_str(), &loaded);
  tokenizer->reset(loaded);
  return Ok();
}

Failure CountTokens(const scout_tokenizer* tokenizer, std::string_view text, int64_t* count) {
  *count = 0;
  scout_error* error = nullptr;
  scout_status status = scout_tokenizer_encode(
      tokenizer, text.data(), static_cast<int64_t>(text.size()), 0, nullptr, 0, count, &error);
  if (status != SCOUT_OK && status != SCOUT_BUFFER_TOO_SMALL) return FromLibrary(status, error);
  scout_error_free(error);
  return Ok();
}

Failure Encode(const scout_tokenizer* tokenizer, const std::string& text, uint32_t flags,
               std::vector<int32_t>* ids) {
  ids->resize(text.size() + 1);
  int64_t count = 0;
  TOOL_CALL(scout_tokenizer_encode, tokenizer, text.data(), static_cast<int64_t>(text.size()),
            flags, ids->data(), static_cast<int64_t>(ids->size()), &count);
  ids->resize(count);
  return Ok();
}

scout_chat_message Message(const char* role, const std::string& content) {
  scout_chat_message message;
  scout_chat_message_init(&message);
  message.role = role;
  message.content = content.c_str();
  if (!content.empty()) message.content_bytes = static_cast<int64_t>(content.size());
  return message;
}

Failure EncodeChat(const scout_tokenizer* tokenizer,
                   const std::vector<std::pair<std::string, std::string>>& messages,
                   std::vector<int32_t>* ids) {
  std::vector<scout_chat_message> list(messages.size());
  size_t room = 64;
  for (size_t i = 0; i < messages.size(); ++i) {
    list[i] = Message(messages[i].first.c_str(), messages[i].second);
    room += messages[i].second.size() + 64;
  }
  scout_chat_options options;
  scout_chat_options_init(&options);
  options.messages = list.data();
  options.n_messages = static_cast<int64_t>(list.size());
  for (;;) {
    ids->resize(room);
    int64_t count = 0;
    scout_error* error = nullptr;
    const scout_status status = scout_tokenizer_chat(
        tokenizer, &options, ids->data(), static_cast<int64_t>(ids->size()), &count, &error);
    if (status != SCOUT_OK && status != SCOUT_BUFFER_TOO_SMALL) return FromLibrary(status, error);
    scout_error_free(error);
    ids->resize(static_cast<size_t>(count));
    if (status == SCOUT_OK) return Ok();
    room = static_cast<size_t>(count);
  }
}

Failure CheckIds(const std::vector<int32_t>& ids, int64_t vocab_size) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      return Usage("id " + std::to_string(ids[i]) + " at index " + std::to_string(i) +
                   " is outside the model's vocabulary of " + std::to_string(vocab_size));
    }
  }
  return Ok();
}

std::string JsonList(const std::vector<int32_t>& ids) {
  std::string text = "[";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(ids[i]);
  }
  return text + "]";
}

}  // namespace scout::tool

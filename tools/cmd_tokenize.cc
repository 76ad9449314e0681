// scout tokenize and scout detokenize. SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/input.h"
#include "tools/open.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

Failure Decode(const scout_tokenizer* tokenizer, const int32_t* ids, int64_t count, uint32_t flags,
               std::string* text) {
  int64_t size = 0;
  scout_error* error = nullptr;
  scout_status status =
      scout_tokenizer_decode(tokenizer, ids, count, flags, nullptr, 0, &size, &error);
  if (status != SCOUT_OK && status != SCOUT_BUFFER_TOO_SMALL) return FromLibrary(status, error);
  scout_error_free(error);
  text->resize(size);
  if (size == 0) return Ok();
  TOOL_CALL(scout_tokenizer_decode, tokenizer, ids, count, flags, text->data(), size, &size);
  return Ok();
}

Failure Tokenize(const Args& args) {
  Tokenizer tokenizer;
  TOOL_TRY(LoadTokenizer(args, &tokenizer));
  std::string text;
  TOOL_TRY(ReadText(args, &text));
  uint32_t flags =
      (args.Has("bos") ? SCOUT_ENCODE_BOS : 0) | (args.Has("special") ? SCOUT_ENCODE_SPECIAL : 0);
  std::vector<int32_t> ids;
  TOOL_TRY(Encode(tokenizer.get(), text, flags, &ids));
  if (args.Has("count")) return Out(std::to_string(ids.size()) + "\n");
  if (!args.Has("pieces")) return Out(JsonList(ids) + "\n");
  for (int32_t id : ids) {
    std::string piece;
    TOOL_TRY(Decode(tokenizer.get(), &id, 1, 0, &piece));
    // A piece may be part of a character: such bytes show as U+FFFD.
    std::string quoted =
        nlohmann::json(piece).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    TOOL_TRY(Out(std::to_string(id) + "\t" + quoted + "\n"));
  }
  return Ok();
}

Failure Detokenize(const Args& args) {
  TOOL_TRY(args.AtMost(1));
  Tokenizer tokenizer;
  TOOL_TRY(LoadTokenizer(args, &tokenizer));
  std::vector<int32_t> ids;
  TOOL_TRY(ReadIds(args.positional().empty() ? "@-" : args.positional()[0], &ids));
  std::string text;
  TOOL_TRY(Decode(tokenizer.get(), ids.data(), static_cast<int64_t>(ids.size()),
                  args.Has("skip-special") ? SCOUT_DECODE_SKIP_SPECIAL : 0, &text));
  return Out(text);
}

}  // namespace

Command TokenizeCommand() {
  return {"tokenize",
          "-m PATH [TEXT] [options]",
          "turn text into token ids, printed as a JSON list",
          "The text is the argument, the file of -f, or standard input, taken byte for byte.",
          Join({VocabularyOption(),
                {{'f', "file", "PATH", "read the text from a file"},
                 {0, "bos", nullptr, "begin with the begin-of-text token"},
                 {0, "special", nullptr, "text of special tokens becomes those tokens"},
                 {0, "pieces", nullptr, "one token per line: id, tab, its text as a JSON string"},
                 {0, "count", nullptr, "print only the number of tokens"}},
                TalkOptions()}),
          Tokenize};
}

Command DetokenizeCommand() {
  return {"detokenize",
          "-m PATH [LIST | @FILE] [options]",
          "turn token ids into text",
          "Ids are a JSON list, or numbers between commas or blanks, or a .npy file; without an\n"
          "argument they come from standard input. The bytes are printed as they are, without a\n"
          "newline behind them.",
          Join({VocabularyOption(),
                {{0, "skip-special", nullptr, "special tokens give no text"}},
                TalkOptions()}),
          Detokenize};
}

}  // namespace scout::tool

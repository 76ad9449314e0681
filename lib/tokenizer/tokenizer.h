// Byte-level BPE tokenizer: vocabulary, merges, special tokens, splitting rule.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/format/gguf.h"
#include "lib/format/json.h"
#include "lib/tokenizer/chat.h"
#include "lib/util/status.h"

namespace scout {

// Immutable and safe from any thread.
class Tokenizer {
 public:
  // From a Hugging Face tokenizer.json; `config` is tokenizer_config.json or null. Unsupported
  // names the splitting rule, normalizer or model kind that this library does not know.
  // `template_kind` is the ChatTemplateKind of a template beside them; null: the configuration's.
  static absl::StatusOr<std::shared_ptr<const Tokenizer>> FromJson(
      const Json& json, const Json* config, const char* template_kind = nullptr);
  // From the bytes of a tiktoken file (tokenizer.model), which holds no special tokens: those of
  // Llama 4 follow its last rank. DataLoss names the line, its offset the place.
  static absl::StatusOr<std::shared_ptr<const Tokenizer>> FromTiktoken(std::string_view file);
  // From the tokenizer.ggml.* keys of a GGUF file. NotFound where it has none.
  static absl::StatusOr<std::shared_ptr<const Tokenizer>> FromGguf(const Gguf& gguf);
  // A folder with tokenizer.json or else tokenizer.model, a .gguf file, or one of those two files
  // (told apart by what they hold).
  static absl::StatusOr<std::shared_ptr<const Tokenizer>> Load(const std::string& path);
  static bool IsInFolder(const std::string& folder);  // one of the two files is there
  ~Tokenizer();

  struct EncodeOptions {
    bool bos = false;            // the begin-of-text token first, where there is one
    bool allow_special = false;  // names of special tokens in the text become those tokens
  };
  // Any bytes; decoding gives them back. Tokens that were added but are not special are found in
  // every text. Of the three sources
  // only a tiktoken file cuts text at long runs first (long_runs.h), as its own reference does.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options) const;
  // Bytes of the ids; InvalidArgument for an id outside the vocabulary or in a hole of it.
  absl::StatusOr<std::string> Decode(const int32_t* ids, int64_t n, bool skip_special) const;
  // Bytes of one token (a special token's name), empty view for a hole. id must be in range.
  std::string_view TokenBytes(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  bool IsValid(int32_t id) const;             // in range and not a hole
  bool IsEnd(int32_t id) const;               // ends an answer
  int32_t Find(std::string_view name) const;  // -1 where there is none
  int32_t bos() const;                        // -1 where there is none
  int64_t vocab_size() const;                 // highest id + 1
  // The dialog in the Llama 4 format. Roles: system, user, assistant, and tool or ipython for a
  // tool's result. Text of the caller never becomes a special token. Unsupported where the
  // vocabulary lacks a token of the format, InvalidArgument for other roles, tools or arguments
  // that are not the JSON they should be, and what a style cannot express.
  absl::StatusOr<std::vector<int32_t>> Chat(const ChatMessage* messages, int64_t n,
                                            const ChatOptions& options) const;
  // ChatTemplateKind of the file that this was read from; a chat does not depend on it.
  const char* chat_template() const;
  // 128-bit digest of everything that decides ids, as 32 hex digits (part of a model's identity).
  const std::string& digest() const;

 private:
  friend class ChatWriter;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns tokens into text as they come, whole UTF-8 characters only.
class Detokenizer {
 public:
  Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  // Text that became whole; bytes that can never become a character come out as U+FFFD (one per
  // maximal subpart, as Unicode 15 section 3.9 recommends). InvalidArgument for an unknown id, the
  // state then unchanged.
  absl::StatusOr<std::string_view> Push(int32_t id);  // valid until the next call
  std::string_view Flush();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  std::string held_;
  std::string out_;
};

}  // namespace scout

// Tokenizers of GGUF files. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/byte_level.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/shown.h"

namespace scout {
namespace {

// Other programs take a rule of their own here, with other ids than the model was trained on.
constexpr char kPreHint[] =
    "; if the file is of Llama 4, `gguf-new-metadata --pre-tokenizer llama4 IN OUT` of the gguf "
    "package writes it";

// Values of tokenizer.ggml.token_type.
constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5;

absl::StatusOr<TokenKind> KindOfType(int64_t type, size_t id) {
  switch (type) {
    case kNormal:
      return TokenKind::kOrdinary;
    case kUnknown:
    case kControl:
      return TokenKind::kSpecial;
    case kUserDefined:
      return TokenKind::kAdded;
    case kUnused:
      return TokenKind::kUnused;
    default:
      return UnsupportedError(
          absl::StrCat("token ", id, " has the type ", type, " in tokenizer.ggml.token_type"));
  }
}

// The optional id under `key`; -1 where the key is absent. Files also write -1 for none.
absl::StatusOr<int64_t> OptionalId(const Gguf& gguf, const char* key) {
  if (!gguf.metadata.contains(key)) return -1;
  const int64_t* id = gguf.find_int(key);
  if (id == nullptr) return CorruptError(absl::StrCat(key, " is no integer"));
  return *id == 0xFFFFFFFF ? -1 : *id;
}

absl::Status ReadTokens(const Gguf& gguf, TokenizerSource* source) {
  const auto* tokens = gguf.find_strings("tokenizer.ggml.tokens");
  if (tokens == nullptr) return CorruptError("tokenizer.ggml.tokens is missing or no string array");
  const auto* types = gguf.find_ints("tokenizer.ggml.token_type");
  if (types == nullptr && gguf.metadata.contains("tokenizer.ggml.token_type")) {
    return CorruptError("tokenizer.ggml.token_type is no integer array");
  }
  if (types != nullptr && types->size() != tokens->size()) {
    return CorruptError(absl::StrCat("tokenizer.ggml.token_type has ", types->size(),
                                     " entries for ", tokens->size(), " tokens"));
  }
  source->tokens.reserve(tokens->size());
  for (size_t id = 0; id < tokens->size(); ++id) {
    SCOUT_ASSIGN_OR_RETURN(const TokenKind kind,
                           KindOfType(types == nullptr ? kNormal : (*types)[id], id));
    VocabToken token{static_cast<int64_t>(id), kind, (*tokens)[id]};
    if (kind == TokenKind::kOrdinary && !BytesFromByteLevel((*tokens)[id], &token.bytes)) {
      return CorruptError(absl::StrCat("token ", id, " (\"", Shown((*tokens)[id]),
                                       "\") has characters outside the byte-level alphabet"));
    }
    source->tokens.push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status ReadMerges(const Gguf& gguf, TokenizerSource* source) {
  const auto* merges = gguf.find_strings("tokenizer.ggml.merges");
  if (merges == nullptr) {
    if (!gguf.metadata.contains("tokenizer.ggml.merges")) return absl::OkStatus();
    return CorruptError("tokenizer.ggml.merges is no string array");
  }
  source->merges.reserve(merges->size());
  for (size_t i = 0; i < merges->size(); ++i) {
    const std::string_view text = (*merges)[i];
    const size_t space = text.find(' ');
    MergeText merge;
    if (space == std::string_view::npos ||
        !BytesFromByteLevel(text.substr(0, space), &merge.left) ||
        !BytesFromByteLevel(text.substr(space + 1), &merge.right)) {
      return CorruptError(
          absl::StrCat("merge ", i, " (\"", Shown(text), "\") is not two byte-level strings"));
    }
    source->merges.push_back(std::move(merge));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::FromGguf(const Gguf& gguf) {
  const std::string* model = gguf.find_string("tokenizer.ggml.model");
  if (model == nullptr) return absl::NotFoundError("no tokenizer.ggml.model in the metadata");
  if (*model != "gpt2") {
    return UnsupportedError(absl::StrCat("tokenizer.ggml.model is \"", Shown(*model),
                                         "\"; only byte-level BPE (\"gpt2\") is known"));
  }
  TokenizerSource source;
  const std::string* pre = gguf.find_string("tokenizer.ggml.pre");
  if (pre == nullptr) {
    return UnsupportedError(
        absl::StrCat("tokenizer.ggml.pre is missing, so how text is split is not known", kPreHint));
  }
  if (*pre == "default") {
    return UnsupportedError(absl::StrCat(
        "tokenizer.ggml.pre is \"default\", which is no splitting rule of a model", kPreHint));
  }
  SCOUT_ASSIGN_OR_RETURN(source.rule, SplitRuleOfGgufName(*pre));
  // The Llama vocabularies come from tiktoken files, where a piece that is a token is that token.
  source.ignore_merges = source.rule == SplitRule::kLlama4 || source.rule == SplitRule::kLlama3;
  SCOUT_RETURN_IF_ERROR(ReadTokens(gguf, &source));
  SCOUT_RETURN_IF_ERROR(ReadMerges(gguf, &source));
  SCOUT_ASSIGN_OR_RETURN(source.bos_id, OptionalId(gguf, "tokenizer.ggml.bos_token_id"));
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    SCOUT_ASSIGN_OR_RETURN(const int64_t id, OptionalId(gguf, key));
    if (id >= 0) source.end_ids.push_back(id);
  }
  SCOUT_ASSIGN_OR_RETURN(auto impl, Impl::Build(std::move(source)));
  if (const std::string* text = gguf.find_string("tokenizer.chat_template")) {
    impl->chat_template = ChatTemplateKind(*text);
  } else if (gguf.metadata.contains("tokenizer.chat_template")) {
    impl->chat_template = kOtherTemplate;
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace scout

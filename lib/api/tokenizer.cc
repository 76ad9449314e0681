// scout_tokenizer_* and scout_detokenizer_*: argument checks and conversion. No logic.
#include <string_view>
#include <vector>

#include "lib/api/edge.h"

using scout::api::CheckHandle;
using scout::api::Guard;
using scout::api::NullError;

namespace {

absl::Status CheckFlags(uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("flags has unknown bits: ", flags));
}

absl::Status CheckArray(const void* data, int64_t n, const char* name) {
  if (n < 0) return absl::InvalidArgumentError(absl::StrCat("the length of ", name, " is ", n));
  return data == nullptr && n > 0 ? NullError(name) : absl::OkStatus();
}

absl::Status WriteIds(const std::vector<int32_t>& ids, int32_t* out, int64_t capacity, int64_t* n) {
  return scout::api::WriteArray(ids.data(), static_cast<int64_t>(ids.size()), "ids", out, capacity,
                                n);
}

}  // namespace

extern "C" {

scout_status scout_tokenizer_load(const char* path, scout_tokenizer** tokenizer,
                                  scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (tokenizer == nullptr) return NullError("tokenizer");
    *tokenizer = nullptr;
    if (path == nullptr) return NullError("path");
    auto handle = std::make_unique<scout_tokenizer>();
    SCOUT_ASSIGN_OR_RETURN(handle->impl, scout::Tokenizer::Load(path));
    *tokenizer = handle.release();
    return absl::OkStatus();
  });
}

void scout_tokenizer_free(scout_tokenizer* tokenizer) {
  if (tokenizer != nullptr && !tokenizer->forked()) delete tokenizer;
}

scout_status scout_tokenizer_encode(const scout_tokenizer* tokenizer, const char* text,
                                    int64_t n_bytes, uint32_t flags, int32_t* ids, int64_t capacity,
                                    int64_t* n_ids, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(tokenizer, "tokenizer"));
    SCOUT_RETURN_IF_ERROR(CheckArray(text, n_bytes, "text"));
    SCOUT_RETURN_IF_ERROR(CheckFlags(flags, SCOUT_ENCODE_BOS | SCOUT_ENCODE_SPECIAL));
    SCOUT_ASSIGN_OR_RETURN(
        const std::vector<int32_t> out,
        tokenizer->impl->Encode(
            {text == nullptr ? "" : text, static_cast<size_t>(n_bytes)},
            {(flags & SCOUT_ENCODE_BOS) != 0, (flags & SCOUT_ENCODE_SPECIAL) != 0}));
    return WriteIds(out, ids, capacity, n_ids);
  });
}

scout_status scout_tokenizer_decode(const scout_tokenizer* tokenizer, const int32_t* ids,
                                    int64_t n_ids, uint32_t flags, char* text, int64_t capacity,
                                    int64_t* n_bytes, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(tokenizer, "tokenizer"));
    SCOUT_RETURN_IF_ERROR(CheckArray(ids, n_ids, "ids"));
    SCOUT_RETURN_IF_ERROR(CheckFlags(flags, SCOUT_DECODE_SKIP_SPECIAL));
    SCOUT_ASSIGN_OR_RETURN(
        const std::string out,
        tokenizer->impl->Decode(ids, n_ids, (flags & SCOUT_DECODE_SKIP_SPECIAL) != 0));
    return scout::api::WriteArray(out.data(), static_cast<int64_t>(out.size()), "text", text,
                                  capacity, n_bytes);
  });
}

int64_t scout_tokenizer_vocab_size(const scout_tokenizer* tokenizer) {
  return tokenizer == nullptr ? 0 : tokenizer->impl->vocab_size();
}

int32_t scout_tokenizer_is_end(const scout_tokenizer* tokenizer, int32_t token) {
  return tokenizer != nullptr && tokenizer->impl->IsValid(token) && tokenizer->impl->IsEnd(token);
}

int32_t scout_tokenizer_find(const scout_tokenizer* tokenizer, const char* name) {
  return tokenizer == nullptr || name == nullptr ? -1 : tokenizer->impl->Find(name);
}

scout_status scout_detokenizer_create(const scout_tokenizer* tokenizer, uint32_t flags,
                                      scout_detokenizer** detokenizer, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (detokenizer == nullptr) return NullError("detokenizer");
    *detokenizer = nullptr;
    SCOUT_RETURN_IF_ERROR(CheckHandle(tokenizer, "tokenizer"));
    SCOUT_RETURN_IF_ERROR(CheckFlags(flags, SCOUT_DECODE_SKIP_SPECIAL));
    auto handle = std::make_unique<scout_detokenizer>();
    handle->impl = std::make_unique<scout::Detokenizer>(tokenizer->impl,
                                                        (flags & SCOUT_DECODE_SKIP_SPECIAL) != 0);
    *detokenizer = handle.release();
    return absl::OkStatus();
  });
}

scout_status scout_detokenizer_push(scout_detokenizer* detokenizer, int32_t token,
                                    const char** text, int64_t* n_bytes, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(detokenizer, "detokenizer"));
    if (text == nullptr || n_bytes == nullptr) return NullError("text or n_bytes");
    SCOUT_ASSIGN_OR_RETURN(const std::string_view out, detokenizer->impl->Push(token));
    *text = out.empty() ? "" : out.data();
    *n_bytes = static_cast<int64_t>(out.size());
    return absl::OkStatus();
  });
}

scout_status scout_detokenizer_flush(scout_detokenizer* detokenizer, const char** text,
                                     int64_t* n_bytes, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(detokenizer, "detokenizer"));
    if (text == nullptr || n_bytes == nullptr) return NullError("text or n_bytes");
    const std::string_view out = detokenizer->impl->Flush();
    *text = out.empty() ? "" : out.data();
    *n_bytes = static_cast<int64_t>(out.size());
    return absl::OkStatus();
  });
}

void scout_detokenizer_free(scout_detokenizer* detokenizer) {
  if (detokenizer != nullptr && !detokenizer->forked()) delete detokenizer;
}

}  // extern "C"

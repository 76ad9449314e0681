// Prompts and answers of a batch. SPDX-License-Identifier: Apache-2.0
#include "tools/batch_slot.h"

#include <algorithm>

#include "tools/terminal.h"

namespace scout::tool {
namespace {

int32_t GoOn(void*, int64_t, int64_t) { return Interrupted() ? 1 : 0; }

}  // namespace

Failure BatchPrompt::Tokens(const BatchRequest& request, std::vector<int32_t>* ids) const {
  std::vector<std::pair<std::string, std::string>> messages = request.messages;
  if (has_document && request.chat) {
    return BadInput("\"messages\" cannot be used with --document: give a \"prompt\"");
  }
  const std::string text = has_document ? document + "\n\n" + request.prompt : request.prompt;
  if (!request.chat && !chat) {
    TOOL_TRY(Encode(tokenizer, text, bos ? SCOUT_ENCODE_BOS : 0, ids));
  } else {
    if (!request.chat) {
      if (has_system) messages.emplace_back("system", system);
      messages.emplace_back("user", text);
    }
    TOOL_TRY(EncodeChat(tokenizer, messages, ids));
  }
  return ids->empty() ? BadInput("the prompt has no tokens") : Ok();
}

Failure BatchPrompt::DocumentPrefix(std::vector<int32_t>* ids) const {
  // What two questions have in common is the document and what stands before it. A question whose
  // first bytes join with the document's last into other tokens computes those again.
  BatchRequest first, second;
  first.prompt = "Who";
  second.prompt = "0";
  std::vector<int32_t> other;
  TOOL_TRY(Tokens(first, ids));
  TOOL_TRY(Tokens(second, &other));
  const size_t most = std::min(ids->size(), other.size());
  ids->resize(static_cast<size_t>(
      std::mismatch(ids->begin(), ids->begin() + static_cast<int64_t>(most), other.begin()).first -
      ids->begin()));
  return Ok();
}

Failure BatchSlot::Fail(scout_status status, scout_error* error) {
  no_room_ = status == SCOUT_CAPACITY;
  at_fault_ = no_room_ || status == SCOUT_INVALID_ARGUMENT || status == SCOUT_UNSUPPORTED;
  return FromLibrary(status, error);
}

Failure BatchSlot::Start(scout_engine* engine, scout_session* document, const BatchPrompt& prompt,
                         const scout_model_info& info) {
  std::vector<int32_t> ids;
  at_fault_ = true;
  TOOL_TRY(prompt.Tokens(request_, &ids));
  TOOL_TRY(CheckIds(ids, info.vocab_size));
  at_fault_ = false;
  tokenizer_ = prompt.tokenizer;
  n_prompt_ = static_cast<int64_t>(ids.size());
  // Only a length that was not asked for gives way to the context; the library refuses the other.
  limit_ = request_.max_tokens;
  if (!request_.max_tokens_given) {
    limit_ = std::clamp(info.context_length - n_prompt_, int64_t{0}, limit_);
  }
  const int64_t wanted = limit_ > INT64_MAX - n_prompt_ ? INT64_MAX : n_prompt_ + limit_;
  scout_error* error = nullptr;
  scout_session* session = nullptr;
  scout_status status = SCOUT_OK;
  if (document != nullptr) {
    status = scout_session_fork(document, std::max(wanted, scout_session_position(document)),
                                &session, &error);
  } else {
    scout_session_options options;
    scout_session_options_init(&options);
    options.max_tokens = wanted;
    status = scout_session_create(engine, &options, &session, &error);
  }
  if (status != SCOUT_OK) return Fail(status, error);
  session_.reset(session);
  scout_prefill_options prefill;
  scout_prefill_options_init(&prefill);
  prefill.progress = GoOn;
  status = scout_session_sync(session, ids.data(), n_prompt_, &prefill, nullptr, &error);
  if (status != SCOUT_OK) return Fail(status, error);
  scout_detokenizer* detokenizer = nullptr;
  TOOL_CALL(scout_detokenizer_create, tokenizer_,
            request_.ignore_end ? 0 : SCOUT_DECODE_SKIP_SPECIAL, &detokenizer);
  detokenizer_.reset(detokenizer);
  return Ok();
}

// Looks for the stop string that ends first, from those that end after `searched` bytes.
bool BatchSlot::Stopped(size_t searched) {
  size_t best_end = std::string::npos, best_begin = 0;
  for (const std::string& stop : request_.stop) {
    const size_t from = searched >= stop.size() ? searched - stop.size() + 1 : 0;
    const size_t begin = text_.find(stop, from);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (best_end == std::string::npos || end < best_end ||
        (end == best_end && begin < best_begin)) {
      best_end = end;
      best_begin = begin;
    }
  }
  if (best_end == std::string::npos) return false;
  text_.resize(best_begin);
  return true;
}

Failure BatchSlot::Step(bool* over) {
  *over = true;
  finish_ = "length";
  const char* text = nullptr;
  int64_t size = 0;
  const size_t searched = text_.size();
  if (n_answer_ < limit_) {
    int32_t token = -1;
    scout_error* error = nullptr;
    const scout_status status =
        scout_session_decode(session_.get(), request_.sampling.Get(), &token, &error);
    if (status != SCOUT_OK) return Fail(status, error);
    ++n_answer_;
    if (!request_.ignore_end && scout_tokenizer_is_end(tokenizer_, token)) {
      finish_ = "end";
    } else {
      *over = false;
      if (scout_detokenizer_push(detokenizer_.get(), token, &text, &size, nullptr) !=
          SCOUT_INVALID_ARGUMENT) {
        text_.append(text, static_cast<size_t>(size));
      } else {  // a model may have more ids than its tokenizer: such a token has no text
        TOOL_CALL(scout_detokenizer_flush, detokenizer_.get(), &text, &size);
        text_.append(text, static_cast<size_t>(size));
        text_ += "\xEF\xBF\xBD";
      }
    }
  }
  if (*over) {
    TOOL_CALL(scout_detokenizer_flush, detokenizer_.get(), &text, &size);
    text_.append(text, static_cast<size_t>(size));
  }
  if (!request_.stop.empty() && Stopped(searched)) {
    *over = true;
    finish_ = "stop";
  }
  return Ok();
}

}  // namespace scout::tool

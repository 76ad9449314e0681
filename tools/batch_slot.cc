// Prompts and answers of a batch. SPDX-License-Identifier: Apache-2.0
#include "tools/batch_slot.h"

#include <algorithm>

namespace scout::tool {
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

void BatchSlot::Blame(scout_status status) {
  no_room_ = status == SCOUT_CAPACITY;
  at_fault_ = no_room_ || status == SCOUT_INVALID_ARGUMENT || status == SCOUT_UNSUPPORTED;
}

Failure BatchSlot::Fail(scout_status status, scout_error* error) {
  Blame(status);
  return FromLibrary(status, error);
}

Failure BatchSlot::Start(scout_engine* engine, scout_session* document, const BatchPrompt& prompt,
                         const scout_model_info& info, int64_t context) {
  std::vector<int32_t> ids;
  at_fault_ = true;
  TOOL_TRY(prompt.Tokens(request_, &ids));
  TOOL_TRY(CheckIds(ids, info.vocab_size));
  at_fault_ = false;
  n_prompt_ = static_cast<int64_t>(ids.size());
  // Only a length that was not asked for gives way to the context; the library refuses the other.
  int64_t limit = request_.max_tokens;
  if (!request_.max_tokens_given) {
    limit = std::clamp(info.context_length - n_prompt_, std::min(limit, int64_t{1}), limit);
  }
  const int64_t wanted = limit > INT64_MAX - n_prompt_ ? INT64_MAX : n_prompt_ + limit;
  const int64_t shared = document == nullptr ? 0 : scout_session_position(document);
  needs_ = std::to_string(wanted) + " tokens are wanted (prompt " + std::to_string(n_prompt_) +
           ", answer " + std::to_string(limit) + ")";
  at_fault_ = true;
  if (wanted > info.context_length) {
    return {kExitLimit, needs_ + ", the model's context is " + std::to_string(info.context_length)};
  }
  if (context > 0 && wanted - shared > context) {
    return {kExitLimit, needs_ +
                            (shared > 0 ? ", " + std::to_string(shared) +
                                              " of them the document's; beyond these"
                                        : ",") +
                            " --ctx allows " + std::to_string(context)};
  }
  at_fault_ = false;
  scout_error* error = nullptr;
  scout_session* session = nullptr;
  scout_status status = SCOUT_OK;
  if (document != nullptr) {
    status = scout_session_fork(document, std::max(wanted, shared), &session, &error);
  } else {
    scout_session_options options;
    scout_session_options_init(&options);
    options.max_tokens = wanted;
    status = scout_session_create(engine, &options, &session, &error);
  }
  if (status != SCOUT_OK) return Fail(status, error);
  session_.reset(session);
  std::vector<const char*> stops;
  for (const std::string& stop : request_.stop) stops.push_back(stop.c_str());
  scout_job_options options;
  scout_job_options_init(&options);
  if (request_.ignore_end) options.flags = SCOUT_JOB_IGNORE_END | SCOUT_JOB_SPECIAL_TEXT;
  options.max_new_tokens = limit;
  options.sampling = request_.sampling.Get();
  options.stop_strings = stops.data();
  options.n_stop_strings = static_cast<int64_t>(stops.size());
  scout_job* job = nullptr;
  status = scout_job_submit(session, ids.data(), n_prompt_, &options, &job, &error);
  if (status != SCOUT_OK) return Fail(status, error);
  job_.reset(job);
  return Ok();
}

Failure BatchSlot::Finish(const scout_event& event) {
  switch (event.reason) {
    case SCOUT_DONE_END_TOKEN:
      finish_ = "end";
      return Ok();
    case SCOUT_DONE_STOP_STRING:
      finish_ = "stop";
      return Ok();
    case SCOUT_DONE_MAX_TOKENS:
      finish_ = "length";
      return Ok();
    default:
      return RunError("line " + std::to_string(line_.number) + ": the job ended for reason " +
                      std::to_string(event.reason));
  }
}

Failure BatchSlot::Step(int64_t timeout_ms, bool* over) {
  *over = false;
  for (;; timeout_ms = 0) {
    scout_event event = {};
    event.struct_size = sizeof(event);
    TOOL_CALL(scout_job_poll, job_.get(), timeout_ms, &event);
    switch (event.kind) {
      case SCOUT_EVENT_NONE:
        return Ok();
      case SCOUT_EVENT_TOKEN:
        text_.append(event.text, static_cast<size_t>(event.text_bytes));
        break;
      case SCOUT_EVENT_DONE:
        *over = true;
        text_.append(event.text, static_cast<size_t>(event.text_bytes));
        n_answer_ = event.generated;
        return Finish(event);
      case SCOUT_EVENT_ERROR:
        Blame(scout_error_code(event.error));
        return Describe(scout_error_code(event.error), event.error);
      default:
        break;
    }
  }
}

}  // namespace scout::tool

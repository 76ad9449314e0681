// One request of a batch while it is worked on. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tools/batch_file.h"
#include "tools/batch_request.h"
#include "tools/open.h"

namespace scout::tool {

// How a request becomes tokens.
struct BatchPrompt {
  const scout_tokenizer* tokenizer = nullptr;
  bool chat = false, bos = true, has_system = false, has_document = false;
  std::string system, document;

  Failure Tokens(const BatchRequest& request, std::vector<int32_t>* ids) const;
  // The tokens with which every question about the document begins.
  Failure DocumentPrefix(std::vector<int32_t>* ids) const;
};

class BatchSlot {
 public:
  BatchSlot(const BatchLine& line, BatchRequest request)
      : line_(line), request_(std::move(request)) {}

  // Begins a job: in a fork of `document`, or where that is null in a new session. Fails where it
  // needs more than `context` tokens beyond the document's; 0 is no limit.
  Failure Start(scout_engine* engine, scout_session* document, const BatchPrompt& prompt,
                const scout_model_info& info, int64_t context);
  // Takes what has come of the answer, or waits for it up to timeout_ms; *over once it is whole.
  Failure Step(int64_t timeout_ms, bool* over);

  // After a failure: whether the request is to blame, and whether the KV budget had no room for it.
  bool at_fault() const { return at_fault_; }
  bool no_room() const { return no_room_; }
  const std::string& needs() const { return needs_; }  // how many tokens, and what for

  const BatchLine& line() const { return line_; }
  const BatchRequest& request() const { return request_; }
  const std::string& text() const { return text_; }
  const char* finish() const { return finish_; }
  int64_t n_prompt() const { return n_prompt_; }
  int64_t n_answer() const { return n_answer_; }

 private:
  Failure Fail(scout_status status, scout_error* error);
  void Blame(scout_status status);
  Failure Finish(const scout_event& event);

  BatchLine line_;
  BatchRequest request_;
  Session session_;
  Job job_;
  std::string text_, needs_;
  const char* finish_ = "";
  int64_t n_prompt_ = 0, n_answer_ = 0;
  bool at_fault_ = false, no_room_ = false;
};

}  // namespace scout::tool

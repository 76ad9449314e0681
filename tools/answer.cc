// The decode loop. SPDX-License-Identifier: Apache-2.0
#include "tools/answer.h"

#include "tools/terminal.h"

namespace scout::tool {
namespace {

// One event of an answer with tools, to the screen.
Failure ShowEvent(const scout_tool_event& event, Answer* answer) {
  const std::string text(event.text, static_cast<size_t>(event.text_bytes));
  switch (event.kind) {
    case SCOUT_TOOL_BEGIN:
      return Out("\n-> " + std::string(event.name) + " ");
    case SCOUT_TOOL_CALL:
      answer->calls.push_back({event.name, text});
      return Ok();
    case SCOUT_TOOL_SOURCE:
      return Out("\n");
    case SCOUT_TOOL_REJECTED:
      return Out("\n" + text + "\n(no call: " + Printable(event.reason) + ")\n");
    case SCOUT_TOOL_MARKER:
      return Ok();
    default:
      return Out(text);
  }
}

// What the detokenizer gave, to the screen and to the answer.
Failure Show(const char* text, int64_t size, scout_tool_parser* calls, bool last, Answer* answer) {
  answer->text.append(text, static_cast<size_t>(size));
  if (calls == nullptr) {
    if (size == 0) return Ok();
    TOOL_TRY(Out({text, static_cast<size_t>(size)}));
    return FlushOut();
  }
  TOOL_CALL(scout_tool_parser_push, calls, text, size);
  if (last) {
    scout_error* error = nullptr;
    scout_status status = scout_tool_parser_finish(calls, &error);
    if (status != SCOUT_OK) return FromLibrary(status, error);
  }
  scout_tool_event event = {};
  event.struct_size = sizeof(event);
  for (;;) {
    TOOL_CALL(scout_tool_parser_next, calls, &event);
    if (event.kind == SCOUT_TOOL_NONE) return FlushOut();
    TOOL_TRY(ShowEvent(event, answer));
  }
}

}  // namespace

Failure StreamAnswer(scout_session* session, const scout_tokenizer* tokenizer,
                     const scout_sampling_options& sampling, int64_t limit, bool ignore_end,
                     scout_tool_parser* calls, Answer* answer) {
  scout_detokenizer* created = nullptr;
  TOOL_CALL(scout_detokenizer_create, tokenizer, ignore_end ? 0 : SCOUT_DECODE_SKIP_SPECIAL,
            &created);
  Detokenizer detokenizer(created);
  const char* text = nullptr;
  int64_t size = 0;
  Clock clock;
  while (answer->tokens < limit) {
    if (Interrupted()) {
      answer->interrupted = true;
      break;
    }
    int32_t token = -1;
    TOOL_CALL(scout_session_decode, session, &sampling, &token);
    if (++answer->tokens == 1) answer->first = clock.Seconds();
    answer->seconds = clock.Seconds() - answer->first;
    if (!ignore_end && scout_tokenizer_is_end(tokenizer, token)) {
      answer->ended = true;
      break;
    }
    if (scout_detokenizer_push(detokenizer.get(), token, &text, &size, nullptr) ==
        SCOUT_INVALID_ARGUMENT) {
      // A model may have more ids than its tokenizer: such a token has no text.
      TOOL_CALL(scout_detokenizer_flush, detokenizer.get(), &text, &size);
      TOOL_TRY(Show(text, size, calls, false, answer));
      text = "\xEF\xBF\xBD";
      size = 3;
    }
    TOOL_TRY(Show(text, size, calls, false, answer));
  }
  TOOL_CALL(scout_detokenizer_flush, detokenizer.get(), &text, &size);
  return Show(text, size, calls, true, answer);
}

}  // namespace scout::tool

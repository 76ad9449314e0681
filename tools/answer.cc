// The decode loop. SPDX-License-Identifier: Apache-2.0
#include "tools/answer.h"

#include "tools/terminal.h"

namespace scout::tool {
namespace {

// What the detokenizer gave, to the screen and to the answer.
Failure Show(const char* text, int64_t size, Answer* answer) {
  if (size == 0) return Ok();
  answer->text.append(text, size);
  TOOL_TRY(Out({text, static_cast<size_t>(size)}));
  return FlushOut();
}

}  // namespace

Failure StreamAnswer(scout_session* session, const scout_tokenizer* tokenizer,
                     const scout_sampling_options& sampling, int64_t limit, bool ignore_end,
                     Answer* answer) {
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
      TOOL_TRY(Show(text, size, answer));
      text = "\xEF\xBF\xBD";
      size = 3;
    }
    TOOL_TRY(Show(text, size, answer));
  }
  TOOL_CALL(scout_detokenizer_flush, detokenizer.get(), &text, &size);
  return Show(text, size, answer);
}

}  // namespace scout::tool

// An answer as the events of a job. SPDX-License-Identifier: Apache-2.0
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

// What became certain, to the screen and to the answer.
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

Failure StreamAnswer(scout_session* session, const scout_sampling_options& sampling, int64_t limit,
                     bool ignore_end, const std::vector<std::string>& stops,
                     scout_tool_parser* calls, Answer* answer) {
  constexpr int64_t kWaitMs = 20;  // bounds how late a Ctrl-C is noticed
  std::vector<const char*> stop_strings;
  for (const std::string& stop : stops) stop_strings.push_back(stop.c_str());
  scout_job_options options;
  scout_job_options_init(&options);
  options.flags = SCOUT_JOB_APPEND;
  if (ignore_end) options.flags |= SCOUT_JOB_IGNORE_END | SCOUT_JOB_SPECIAL_TEXT;
  options.max_new_tokens = limit;
  options.sampling = &sampling;
  options.stop_strings = stop_strings.data();
  options.n_stop_strings = static_cast<int64_t>(stop_strings.size());
  scout_job* submitted = nullptr;
  TOOL_CALL(scout_job_submit, session, nullptr, 0, &options, &submitted);
  Job job(submitted);
  bool cancelled = false;
  for (;;) {
    if (Interrupted() && !cancelled) {
      cancelled = true;
      TOOL_CALL(scout_job_cancel, job.get());
    }
    scout_event event = {};
    event.struct_size = sizeof(event);
    TOOL_CALL(scout_job_poll, job.get(), kWaitMs, &event);
    switch (event.kind) {
      case SCOUT_EVENT_TOKEN:
        TOOL_TRY(Show(event.text, event.text_bytes, calls, false, answer));
        break;
      case SCOUT_EVENT_DONE:
        answer->tokens = event.generated;
        answer->first = event.seconds_queued + event.seconds_prefill;
        answer->seconds = event.seconds_decode;
        answer->interrupted = event.reason == SCOUT_DONE_CANCELLED;
        answer->ended =
            event.reason == SCOUT_DONE_END_TOKEN || event.reason == SCOUT_DONE_STOP_STRING;
        return Show(event.text, event.text_bytes, calls, true, answer);
      case SCOUT_EVENT_ERROR:
        return Describe(scout_error_code(event.error), event.error);
      default:
        break;
    }
  }
}

}  // namespace scout::tool

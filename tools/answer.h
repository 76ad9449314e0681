// Decoding an answer while printing it. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tools/open.h"

namespace scout::tool {

struct Call {
  std::string name;
  std::string arguments;  // JSON
};

struct Answer {
  int64_t tokens = 0;  // drawn, the end token included
  // By the engine's clock: how late the events are read here says nothing of the model's speed.
  double seconds = 0;  // of the draws after the first
  double first = 0;    // until the first token, from the call on
  bool ended = false;  // by an end token or a stop string
  bool interrupted = false;
  std::string text;
  std::vector<Call> calls;  // where a parser looked for them
};

// Draws up to `limit` tokens and streams their text to stdout, whole characters as they come.
// Stops at an end token (not with ignore_end), before a text of `stops`, and at a Ctrl-C, which is
// not a failure here. With `calls`, tool calls are shown as "-> name {arguments}" on lines of their
// own and collected.
Failure StreamAnswer(scout_session* session, const scout_sampling_options& sampling, int64_t limit,
                     bool ignore_end, const std::vector<std::string>& stops,
                     scout_tool_parser* calls, Answer* answer);

}  // namespace scout::tool

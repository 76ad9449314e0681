// Shared by the tests of tool calls. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/tokenizer/tool_call.h"
#include "tests/tokenizer/token_test_util.h"

namespace scout::test {

using Kind = ToolEvent::Kind;
using Strings = std::vector<std::string>;

void Take(ToolCallParser* parser, std::vector<ToolEvent>* out);
// Events of the text, pushed in the given pieces; neighbouring pieces of text and arguments joined.
std::vector<ToolEvent> Parse(const std::vector<std::string_view>& pieces,
                             const ToolCallOptions& options = {});
// One line per event.
std::string Shown(const std::vector<ToolEvent>& events);
// What the events must be whatever the text is.
void CheckEvents(const std::vector<ToolEvent>& events, std::string_view text);
// Events of the whole text, which must be those of every cut into two and of single bytes.
std::vector<ToolEvent> ParseAllCuts(std::string_view text, const ToolCallOptions& options = {});
// "name arguments" of the calls, and the text beside them.
Strings Calls(const std::vector<ToolEvent>& events);
std::string Text(const std::vector<ToolEvent>& events);

}  // namespace scout::test

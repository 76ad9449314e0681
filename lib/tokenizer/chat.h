// A dialog with tools, as the chat format takes it. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lib/util/status.h"

namespace scout {

struct ToolCall {
  std::string_view name;
  std::string_view arguments;  // a JSON object
};

enum class MessageEnd : uint8_t {
  kAuto,
  kTurn,     // <|eot|>
  kMessage,  // <|eom|>
};

struct ChatMessage {
  std::string_view role;
  std::string_view content;
  std::vector<ToolCall> calls = {};  // of an assistant
  MessageEnd end = MessageEnd::kAuto;
};

// Llama 4's published descriptions of its format differ where tools come in; each is one style.
enum class ToolStyle : uint8_t {
  kPython,     // the prompt format page: [name(argument=value), ...]
  kJson,       // the chat template of the checkpoint: {"name": ..., "parameters": ...}
  kReference,  // the reference encoder with the tool prompt format "json"; no definitions
};

enum class ToolPlace : uint8_t { kAuto, kSystem, kUser };

struct ChatOptions {
  bool add_generation_prompt = true;
  ToolStyle style = ToolStyle::kPython;
  ToolPlace place = ToolPlace::kAuto;
  std::string_view tools = {};  // definitions, a JSON list; empty: none
};

// What a checkpoint's chat_template is: "none" (empty), "llama4" (the published one) or "other".
constexpr char kNoTemplate[] = "none", kOtherTemplate[] = "other";
const char* ChatTemplateKind(std::string_view text);

}  // namespace scout

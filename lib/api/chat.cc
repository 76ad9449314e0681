// scout_tokenizer_chat and scout_tool_parser_*: argument checks and conversion. No logic.
// SPDX-License-Identifier: Apache-2.0
#include <string_view>
#include <utility>
#include <vector>

#include "lib/api/edge.h"

using scout::api::CheckHandle;
using scout::api::Guard;
using scout::api::NullError;

namespace {

// The first version's structs: what an array's elements have at least.
constexpr size_t kLeastMessage = offsetof(scout_chat_message, tool_calls);
constexpr size_t kLeastCall = sizeof(scout_tool_call);

absl::Status ReadText(const char* text, int64_t n_bytes, std::string_view name,
                      std::string_view* out) {
  if (text == nullptr) {
    if (n_bytes <= 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(scout::AbslView(name), " is NULL"));
  }
  if (n_bytes < SCOUT_KEEP) {
    return absl::InvalidArgumentError(
        absl::StrCat("the length of ", scout::AbslView(name), " is ", n_bytes));
  }
  *out = n_bytes == SCOUT_KEEP ? std::string_view(text)
                               : std::string_view(text, static_cast<size_t>(n_bytes));
  return absl::OkStatus();
}

// A length of 0 is taken for a forgotten one.
absl::Status CheckGiven(int64_t n_bytes, const char* array, int64_t i, const char* name) {
  if (n_bytes != 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(array, "[", i, "].", name, "_bytes is 0: give the length of ", name,
                   ", or SCOUT_KEEP where it ends with NUL, also for an empty text"));
}

absl::Status CheckChoice(const char* name, int64_t value, int64_t last) {
  if (value >= 0 && value <= last) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, ", known are 0 to ", last));
}

// Reads element i of an array whose elements lie first->struct_size bytes apart.
template <typename T>
absl::Status ReadElement(const T* first, int64_t i, const char* name, size_t least, T* out) {
  const uint32_t stride = first->struct_size;
  if (stride < least) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, "[0].struct_size is ", stride, ", expected ", sizeof(T)));
  }
  const uint8_t* at = reinterpret_cast<const uint8_t*>(first) + i * static_cast<int64_t>(stride);
  uint32_t size = 0;
  std::memcpy(&size, at, sizeof size);
  if (size != stride) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, "[", i, "].struct_size is ", size, ", expected ", stride));
  }
  return scout::api::ReadOptions(at, name, sizeof(T), out);
}

absl::Status CheckCount(const void* data, int64_t n, const char* name) {
  if (n < 0) return absl::InvalidArgumentError(absl::StrCat("the length of ", name, " is ", n));
  return data == nullptr && n > 0 ? NullError(name) : absl::OkStatus();
}

absl::Status ReadCalls(const scout_chat_message& message, std::vector<scout::ToolCall>* out) {
  SCOUT_RETURN_IF_ERROR(CheckCount(message.tool_calls, message.n_tool_calls, "tool_calls"));
  for (int64_t i = 0; i < message.n_tool_calls; ++i) {
    scout_tool_call c{};
    SCOUT_RETURN_IF_ERROR(ReadElement(message.tool_calls, i, "tool_calls", kLeastCall, &c));
    SCOUT_RETURN_IF_ERROR(scout::api::CheckReserved(c.reserved, "scout_tool_call"));
    if (c.name == nullptr || c.arguments == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("tool_calls[", i, "] has a NULL name or arguments"));
    }
    SCOUT_RETURN_IF_ERROR(CheckGiven(c.arguments_bytes, "tool_calls", i, "arguments"));
    scout::ToolCall& call = out->emplace_back();
    call.name = c.name;
    SCOUT_RETURN_IF_ERROR(
        ReadText(c.arguments, c.arguments_bytes, "a tool call's arguments", &call.arguments));
  }
  return absl::OkStatus();
}

absl::Status ReadMessages(const scout_chat_message* messages, int64_t n,
                          std::vector<scout::ChatMessage>* out) {
  SCOUT_RETURN_IF_ERROR(CheckCount(messages, n, "messages"));
  for (int64_t i = 0; i < n; ++i) {
    scout_chat_message m{};
    SCOUT_RETURN_IF_ERROR(ReadElement(messages, i, "messages", kLeastMessage, &m));
    SCOUT_RETURN_IF_ERROR(CheckChoice("the end of a message", m.end, SCOUT_END_OF_MESSAGE));
    if (m.role == nullptr || m.content == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i, "] has a NULL role or content"));
    }
    SCOUT_RETURN_IF_ERROR(CheckGiven(m.content_bytes, "messages", i, "content"));
    scout::ChatMessage& message = out->emplace_back();
    message.role = m.role;
    message.end = static_cast<scout::MessageEnd>(m.end);
    SCOUT_RETURN_IF_ERROR(
        ReadText(m.content, m.content_bytes, "a message's content", &message.content));
    SCOUT_RETURN_IF_ERROR(ReadCalls(m, &message.calls));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> scout::api::EncodeChat(const Tokenizer& tokenizer,
                                                            const scout_chat_options* in) {
  scout_chat_options o;
  scout_chat_options_init(&o);
  SCOUT_RETURN_IF_ERROR(ReadOptions(in, "scout_chat_options", sizeof o, &o));
  SCOUT_RETURN_IF_ERROR(CheckChoice("tool_style", o.tool_style, SCOUT_TOOL_STYLE_REFERENCE));
  SCOUT_RETURN_IF_ERROR(CheckChoice("tools_place", o.tools_place, SCOUT_TOOLS_IN_USER));
  ChatOptions chat;
  chat.add_generation_prompt = o.add_generation_prompt != 0;
  chat.style = static_cast<ToolStyle>(o.tool_style);
  chat.place = static_cast<ToolPlace>(o.tools_place);
  SCOUT_RETURN_IF_ERROR(ReadText(o.tools, o.tools_bytes, "tools", &chat.tools));
  std::vector<ChatMessage> dialog;
  SCOUT_RETURN_IF_ERROR(ReadMessages(o.messages, o.n_messages, &dialog));
  return tokenizer.Chat(dialog.data(), static_cast<int64_t>(dialog.size()), chat);
}

extern "C" {

void scout_tool_call_init(scout_tool_call* call) {
  if (call == nullptr) return;
  *call = {};
  call->struct_size = sizeof *call;
  call->arguments_bytes = SCOUT_KEEP;
}

void scout_chat_message_init(scout_chat_message* message) {
  if (message == nullptr) return;
  *message = {};
  message->struct_size = sizeof *message;
  message->content_bytes = SCOUT_KEEP;
}

void scout_chat_options_init(scout_chat_options* options) {
  if (options == nullptr) return;
  *options = {};
  options->struct_size = sizeof *options;
  options->add_generation_prompt = 1;
  options->tools_bytes = SCOUT_KEEP;
}

scout_status scout_tokenizer_chat(const scout_tokenizer* tokenizer,
                                  const scout_chat_options* options, int32_t* ids, int64_t capacity,
                                  int64_t* n_ids, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(tokenizer, "tokenizer"));
    SCOUT_ASSIGN_OR_RETURN(const std::vector<int32_t> out,
                           scout::api::EncodeChat(*tokenizer->impl, options));
    return scout::api::WriteArray(out.data(), static_cast<int64_t>(out.size()), "ids", ids,
                                  capacity, n_ids);
  });
}

void scout_tool_parser_options_init(scout_tool_parser_options* options) {
  if (options == nullptr) return;
  *options = {};
  options->struct_size = sizeof *options;
  options->tools_bytes = SCOUT_KEEP;
  options->max_call_bytes = int64_t{1} << 20;
  options->max_depth = 32;
}

scout_status scout_tool_parser_create(const scout_tool_parser_options* options,
                                      scout_tool_parser** parser, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (parser == nullptr) return NullError("parser");
    *parser = nullptr;
    scout_tool_parser_options o;
    scout_tool_parser_options_init(&o);
    SCOUT_RETURN_IF_ERROR(
        scout::api::ReadOptions(options, "scout_tool_parser_options", sizeof o, &o));
    SCOUT_RETURN_IF_ERROR(
        scout::api::CheckReserved(static_cast<uint32_t>(o.reserved), "scout_tool_parser_options"));
    if ((o.flags & ~uint32_t{SCOUT_TOOL_CALLS_AT_START}) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("flags has unknown bits: ", o.flags));
    }
    if (o.max_call_bytes < 1 || o.max_call_bytes > int64_t{1} << 28 || o.max_depth < 1 ||
        o.max_depth > 1000) {
      return absl::InvalidArgumentError(absl::StrCat("max_call_bytes is ", o.max_call_bytes,
                                                     " (1 to 2^28), max_depth ", o.max_depth,
                                                     " (1 to 1000)"));
    }
    scout::ToolCallOptions calls;
    calls.only_at_start = (o.flags & SCOUT_TOOL_CALLS_AT_START) != 0;
    calls.max_group_bytes = o.max_call_bytes;
    calls.max_depth = o.max_depth;
    if (o.tools != nullptr) {
      std::string_view tools;
      SCOUT_RETURN_IF_ERROR(ReadText(o.tools, o.tools_bytes, "tools", &tools));
      SCOUT_ASSIGN_OR_RETURN(calls.names, scout::ToolNames(tools));
    }
    auto handle = std::make_unique<scout_tool_parser>();
    handle->impl = std::make_unique<scout::ToolCallParser>(std::move(calls));
    *parser = handle.release();
    return absl::OkStatus();
  });
}

scout_status scout_tool_parser_push(scout_tool_parser* parser, const char* text, int64_t n_bytes,
                                    scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(parser, "parser"));
    SCOUT_RETURN_IF_ERROR(CheckCount(text, n_bytes, "text"));
    if (n_bytes == 0) return absl::OkStatus();
    return parser->impl->Push({text, static_cast<size_t>(n_bytes)});
  });
}

scout_status scout_tool_parser_finish(scout_tool_parser* parser, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(parser, "parser"));
    return parser->impl->Finish();
  });
}

scout_status scout_tool_parser_next(scout_tool_parser* parser, scout_tool_event* event,
                                    scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(parser, "parser"));
    SCOUT_RETURN_IF_ERROR(scout::api::CheckResult(event, "scout_tool_event", sizeof *event));
    scout_tool_event out{};
    out.struct_size = sizeof out;
    out.index = -1;
    out.name = out.text = out.reason = "";
    if (!parser->impl->empty()) {
      parser->event = parser->impl->Next();
      out.kind = static_cast<int32_t>(parser->event.kind) + 1;
      out.index = parser->event.index;
      out.name = parser->event.name.c_str();
      out.text = parser->event.text.c_str();
      out.text_bytes = static_cast<int64_t>(parser->event.text.size());
      out.reason = parser->event.reason.c_str();
    }
    return scout::api::WriteResult(&out, "scout_tool_event", sizeof out, event);
  });
}

void scout_tool_parser_free(scout_tool_parser* parser) {
  if (parser != nullptr && !parser->forked()) delete parser;
}

}  // extern "C"

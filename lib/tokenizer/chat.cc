// A dialog in Llama 4's format. SPDX-License-Identifier: Apache-2.0
//   <|begin_of_text|>, then for each message
//   <|header_start|>role<|header_end|>, two newlines, content, <|eot|> or <|eom|>;
//   to ask for an answer, the header of an assistant message.
// Role, newlines, content and calls are encoded apart from each other, and all of it as plain text:
// what looks like a special token in it is not one. Where the parts come from: docs/chat.md.
#include "lib/tokenizer/chat.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/chat_words.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/literal.h"
#include "lib/tokenizer/shown.h"
#include "lib/tokenizer/tool_call.h"
#include "lib/tokenizer/utf8.h"

namespace scout {
namespace {

constexpr int kMaxDepth = 64;  // of tool definitions and arguments

bool IsTool(std::string_view role) { return role == "tool" || role == "ipython"; }

// Without the white space at both ends that Python's str.strip takes away.
std::string_view Trim(std::string_view text) {
  const auto space = [](uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
  };
  size_t begin = text.size(), end = text.size();
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(text, at);
    if (step.kind != Utf8Kind::kChar || !space(step.code_point)) {
      if (begin == text.size()) begin = at;
      end = at + step.size;
    }
    at += step.size;
  }
  return text.substr(begin, end - begin);
}

absl::Status CallError(int64_t message, size_t call, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("tool call ", call, " of message ", message, ": ", AbslView(what)));
}

// The definitions as the format writes them, each over lines.
struct Definitions {
  std::string list;               // all of them
  std::vector<std::string> each;  // one by one
};

absl::StatusOr<Definitions> ReadDefinitions(std::string_view tools) {
  // ToolNames has made sure that this is a list of objects.
  SCOUT_RETURN_IF_ERROR(ToolNames(tools).status());
  Definitions out;
  std::string error;
  if (!RewriteJson(tools, LiteralForm::kJsonIndent, kMaxDepth, &out.list, &error)) {
    return absl::InvalidArgumentError(absl::StrCat("the tools: ", error));
  }
  const auto between = [](char c) { return IsLiteralSpace(c) || c == ',' || c == '['; };
  for (size_t at = 0; at < tools.size();) {
    if (between(tools[at])) {
      ++at;
      continue;
    }
    if (tools[at] == ']') break;
    LiteralReader reader(LiteralDialect::kJson, LiteralForm::kJsonIndent, kMaxDepth,
                         &out.each.emplace_back());
    while (at < tools.size() && reader.Push(tools[at++]) == LiteralReader::Step::kMore) {
    }
  }
  return out;
}

// The arguments of a call in a form of the format.
absl::StatusOr<std::string> Arguments(const ToolCall& call, LiteralForm form, int64_t message,
                                      size_t number) {
  std::string out, error;
  const size_t first = call.arguments.find_first_not_of(" \n\t\r");
  if (first == std::string_view::npos || call.arguments[first] != '{') {
    return CallError(message, number, "the arguments are not a JSON object");
  }
  if (!RewriteJson(call.arguments, form, kMaxDepth, &out, &error)) {
    return CallError(message, number, absl::StrCat("the arguments: ", error));
  }
  return out;
}

// A function's name between quotes. What JSON would have to escape is refused: the chat template
// writes names as they are.
absl::StatusOr<std::string> QuotedName(const ToolCall& call, LiteralForm form, int64_t message,
                                       size_t number) {
  std::string out, plain;
  const bool utf8 = AppendLiteralString(form, call.name, &out) &&
                    AppendLiteralString(LiteralForm::kJson, call.name, &plain);
  if (!utf8 || call.name.empty() || plain.find('\\') != std::string::npos) {
    return CallError(message, number,
                     absl::StrCat("\"", Shown(call.name), "\" cannot be the name of a function"));
  }
  return out;
}

// [name(argument=value, ...), ...]
absl::StatusOr<std::string> PythonCalls(const ChatMessage& message, int64_t number) {
  std::string out = "[";
  for (size_t i = 0; i < message.calls.size(); ++i) {
    const ToolCall& call = message.calls[i];
    if (!IsPythonName(call.name)) {
      return CallError(number, i,
                       absl::StrCat("\"", Shown(call.name),
                                    "\" cannot be the name of a function in Python style"));
    }
    SCOUT_ASSIGN_OR_RETURN(const std::string arguments,
                           Arguments(call, LiteralForm::kKeywords, number, i));
    absl::StrAppend(&out, i > 0 ? ", " : "", AbslView(call.name), "(", arguments, ")");
  }
  return out + "]";
}

// {"name": ..., "parameters": ...}
absl::StatusOr<std::string> JsonCall(const ToolCall& call, LiteralForm form, const char* before,
                                     int64_t message, size_t number) {
  SCOUT_ASSIGN_OR_RETURN(const std::string name, QuotedName(call, form, message, number));
  SCOUT_ASSIGN_OR_RETURN(const std::string arguments, Arguments(call, form, message, number));
  return absl::StrCat("{", before, "\"name\": ", name, ", \"parameters\": ", arguments, "}");
}

// The reference encoder has its own way for the tools that it knows.
absl::StatusOr<std::string> ReferenceCall(const ToolCall& call, int64_t message, size_t number) {
  const bool code = call.name == "code_interpreter";
  if (!code && call.name != "brave_search" && call.name != "wolfram_alpha" &&
      call.name != "photogen") {
    return JsonCall(call, LiteralForm::kJsonAscii, "\"type\": \"function\", ", message, number);
  }
  const absl::StatusOr<Json> arguments = ParseJson(call.arguments);
  const char* key = code ? "code" : "query";
  const Json* value = arguments.ok() ? arguments->find(key) : nullptr;
  if (value == nullptr || !value->is_string()) {
    return CallError(message, number, absl::StrCat("the arguments have no string \"", key, "\""));
  }
  if (code) return value->as_string();
  return absl::StrCat(AbslView(call.name), ".call(query=\"", value->as_string(), "\")");
}

}  // namespace

// Writes one dialog.
class ChatWriter {
 public:
  ChatWriter(const Tokenizer::Impl& impl, const ChatOptions& options)
      : impl_(impl), options_(options), json_(options.style == ToolStyle::kJson) {}

  absl::Status Begin() {
    header_start_ = Special("<|header_start|>");
    header_end_ = Special("<|header_end|>");
    eot_ = Special("<|eot|>");
    if (header_start_ < 0 || header_end_ < 0 || eot_ < 0) {
      return UnsupportedError(
          "this vocabulary has no <|header_start|>, <|header_end|> and <|eot|> for a chat");
    }
    eom_ = Special("<|eom|>") >= 0 ? Special("<|eom|>") : eot_;
    if (impl_.bos >= 0) out_.push_back(impl_.bos);
    if (options_.tools.empty()) return absl::OkStatus();
    if (options_.style == ToolStyle::kReference) {
      return absl::InvalidArgumentError("the reference style has no words for tool definitions");
    }
    SCOUT_ASSIGN_OR_RETURN(tools_, ReadDefinitions(options_.tools));
    place_ = options_.place;
    if (place_ == ToolPlace::kAuto) place_ = json_ ? ToolPlace::kUser : ToolPlace::kSystem;
    return absl::OkStatus();
  }

  absl::Status Messages(const ChatMessage* messages, int64_t n) {
    const bool has_system = n > 0 && messages[0].role == "system";
    int64_t question = -1;  // the message that takes the tools, where a user's does
    if (place_ == ToolPlace::kUser) {
      question = has_system ? 1 : 0;
      if (question >= n || messages[question].role != "user") {
        return absl::InvalidArgumentError(absl::StrCat(
            "tools go into the user's first message, and message ", question, " is not one"));
      }
    } else if (place_ == ToolPlace::kSystem && !has_system) {
      if (json_) {
        return absl::InvalidArgumentError(
            "in JSON style tools go into a system message only where the dialog has one");
      }
      SCOUT_RETURN_IF_ERROR(Header("system"));
      SCOUT_RETURN_IF_ERROR(Plain(absl::StrCat(kPythonSystem, tools_.list)));
      out_.push_back(eot_);
    }
    for (int64_t i = 0; i < n; ++i) {
      const ChatMessage& m = messages[i];
      if (m.role != "system" && m.role != "user" && m.role != "assistant" && !IsTool(m.role)) {
        return absl::InvalidArgumentError(
            absl::StrCat("message ", i, " has the role \"", Shown(m.role),
                         "\"; known are system, user, assistant, tool"));
      }
      if (!m.calls.empty() && m.role != "assistant") {
        return absl::InvalidArgumentError(
            absl::StrCat("message ", i, " has tool calls and is not an assistant's"));
      }
      SCOUT_RETURN_IF_ERROR(Header(IsTool(m.role) ? "ipython" : m.role));
      if (i == 0 && has_system) {
        SCOUT_RETURN_IF_ERROR(System(m.content));
      } else if (i == question) {
        SCOUT_RETURN_IF_ERROR(Question(m.content));
      } else if (!m.calls.empty()) {
        SCOUT_RETURN_IF_ERROR(Calls(m, i));
      } else if (IsTool(m.role) && json_) {
        std::string quoted;
        if (!AppendLiteralString(LiteralForm::kJson, m.content, &quoted)) {
          return absl::InvalidArgumentError(
              absl::StrCat("message ", i, " is a tool's result and not UTF-8"));
        }
        SCOUT_RETURN_IF_ERROR(Plain(quoted));
      } else {
        SCOUT_RETURN_IF_ERROR(Plain(m.content));
      }
      // A tool's result goes on with the turn, and so did the assistant's call that it answers. The
      // chat template does not tell them apart.
      const bool goes_on = IsTool(m.role) || !m.calls.empty() ||
                           (m.role == "assistant" && i + 1 < n && IsTool(messages[i + 1].role));
      const bool message_end =
          m.end == MessageEnd::kAuto ? goes_on && !json_ : m.end == MessageEnd::kMessage;
      out_.push_back(message_end ? eom_ : eot_);
    }
    return absl::OkStatus();
  }

  absl::Status Header(std::string_view role) {
    out_.push_back(header_start_);
    SCOUT_RETURN_IF_ERROR(Plain(role));
    out_.push_back(header_end_);
    return Plain("\n\n");
  }

  std::vector<int32_t> Take() { return std::move(out_); }

 private:
  int32_t Special(const char* name) const {
    return impl_.vocab.added(/*with_special=*/true).Find(name);
  }
  absl::Status Plain(std::string_view text) { return impl_.EncodePlain(text, &scratch_, &out_); }

  absl::Status System(std::string_view content) {
    if (!json_) {
      if (place_ != ToolPlace::kSystem) return Plain(content);
      return Plain(absl::StrCat(AbslView(content), content.empty() ? "" : "\n\n", kPythonSystem,
                                tools_.list));
    }
    std::string text = place_ == ToolPlace::kAuto ? "" : kJsonEnvironment;
    if (place_ == ToolPlace::kSystem) AppendJsonTools(kJsonSystem, &text);
    return Plain(absl::StrCat(text, AbslView(Trim(content))));
  }

  absl::Status Question(std::string_view content) {
    if (!json_) {
      return Plain(absl::StrCat(kPythonUserBefore, AbslView(content), kPythonUserList, tools_.list,
                                kPythonUserAfter));
    }
    std::string text;
    AppendJsonTools(kJsonUser, &text);
    return Plain(absl::StrCat(text, AbslView(Trim(content))));
  }

  void AppendJsonTools(const char* words, std::string* text) const {
    absl::StrAppend(text, words, kJsonFormat);
    for (const std::string& tool : tools_.each) absl::StrAppend(text, tool, "\n\n");
  }

  absl::Status Calls(const ChatMessage& m, int64_t number) {
    if (!json_) {
      SCOUT_RETURN_IF_ERROR(Plain(m.content));
      if (options_.style == ToolStyle::kPython) {
        SCOUT_ASSIGN_OR_RETURN(const std::string text, PythonCalls(m, number));
        return Plain(text);
      }
      for (size_t i = 0; i < m.calls.size(); ++i) {
        SCOUT_ASSIGN_OR_RETURN(const std::string text, ReferenceCall(m.calls[i], number, i));
        SCOUT_RETURN_IF_ERROR(Plain(text));
      }
      return absl::OkStatus();
    }
    const int32_t python_start = Special("<|python_start|>");
    const int32_t python_end = Special("<|python_end|>");
    if (python_start < 0 || python_end < 0) {
      return UnsupportedError(
          "this vocabulary has no <|python_start|> and <|python_end|> for calls in JSON style");
    }
    out_.push_back(python_start);
    SCOUT_RETURN_IF_ERROR(Plain(m.content));
    out_.push_back(python_end);
    std::string text;
    for (size_t i = 0; i < m.calls.size(); ++i) {
      SCOUT_ASSIGN_OR_RETURN(const std::string call,
                             JsonCall(m.calls[i], LiteralForm::kJson, "", number, i));
      text += call;
    }
    return Plain(text);
  }

  const Tokenizer::Impl& impl_;
  const ChatOptions& options_;
  const bool json_;
  int32_t header_start_ = -1, header_end_ = -1, eot_ = -1, eom_ = -1;
  Definitions tools_;
  ToolPlace place_ = ToolPlace::kAuto;  // kAuto: there are no tools
  BpeScratch scratch_;
  std::vector<int32_t> out_;
};

const char* Tokenizer::chat_template() const { return impl_->chat_template; }

absl::StatusOr<std::vector<int32_t>> Tokenizer::Chat(const ChatMessage* messages, int64_t n,
                                                     const ChatOptions& options) const {
  ChatWriter writer(*impl_, options);
  SCOUT_RETURN_IF_ERROR(writer.Begin());
  SCOUT_RETURN_IF_ERROR(writer.Messages(messages, n));
  if (options.add_generation_prompt) SCOUT_RETURN_IF_ERROR(writer.Header("assistant"));
  return writer.Take();
}

}  // namespace scout

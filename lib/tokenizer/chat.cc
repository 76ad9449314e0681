// A dialog in Llama 4's format. SPDX-License-Identifier: Apache-2.0
//   <|begin_of_text|>, then for each message
//   <|header_start|>role<|header_end|>, two newlines, content, <|eot|> or <|eom|>;
//   to ask for an answer, the header of an assistant message.
// Role, newlines and content are encoded apart from each other, and content as plain text: what
// looks like a special token in it is not one.
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/shown.h"

namespace scout {
namespace {

bool IsTool(std::string_view role) { return role == "tool" || role == "ipython"; }

}  // namespace

absl::StatusOr<std::vector<int32_t>> Tokenizer::Chat(const ChatMessage* messages, int64_t n,
                                                     bool add_generation_prompt) const {
  const auto special = [&](const char* name) {
    return impl_->vocab.added(/*with_special=*/true).Find(name);
  };
  const int32_t header_start = special("<|header_start|>");
  const int32_t header_end = special("<|header_end|>");
  const int32_t eot = special("<|eot|>");
  if (header_start < 0 || header_end < 0 || eot < 0) {
    return UnsupportedError(
        "this vocabulary has no <|header_start|>, <|header_end|> and <|eot|> for a chat");
  }
  const int32_t eom = special("<|eom|>") >= 0 ? special("<|eom|>") : eot;

  std::vector<int32_t> out;
  if (impl_->bos >= 0) out.push_back(impl_->bos);
  BpeScratch scratch;
  const auto header = [&](std::string_view role) -> absl::Status {
    out.push_back(header_start);
    SCOUT_RETURN_IF_ERROR(impl_->EncodePlain(role, &scratch, &out));
    out.push_back(header_end);
    return impl_->EncodePlain("\n\n", &scratch, &out);
  };
  for (int64_t i = 0; i < n; ++i) {
    const std::string_view role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant" && !IsTool(role)) {
      return absl::InvalidArgumentError(
          absl::StrCat("message ", i, " has the role \"", Shown(role),
                       "\"; known are system, user, assistant, tool"));
    }
    SCOUT_RETURN_IF_ERROR(header(IsTool(role) ? "ipython" : role));
    SCOUT_RETURN_IF_ERROR(impl_->EncodePlain(messages[i].content, &scratch, &out));
    // A tool's result goes on with the turn, and so did the assistant's call that it answers.
    const bool calls_tool = role == "assistant" && i + 1 < n && IsTool(messages[i + 1].role);
    out.push_back(IsTool(role) || calls_tool ? eom : eot);
  }
  if (add_generation_prompt) SCOUT_RETURN_IF_ERROR(header("assistant"));
  return out;
}

}  // namespace scout

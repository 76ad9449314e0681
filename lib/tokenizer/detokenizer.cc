// Text from tokens as they come. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/tokenizer.h"
#include "lib/tokenizer/utf8.h"

namespace scout {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Appends the text of `bytes` to out and gives the bytes at the end that may still become a
// character (at most three).
std::string_view AppendText(std::string_view bytes, std::string* out) {
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Step step = NextUtf8(bytes, at);
    if (step.kind == Utf8Kind::kIncomplete) return bytes.substr(at);
    if (step.kind == Utf8Kind::kChar) {
      out->append(bytes, at, step.size);
    } else {
      out->append(kReplacement);
    }
    at += step.size;
  }
  return {};
}

}  // namespace

absl::StatusOr<std::string_view> Detokenizer::Push(int32_t id) {
  if (!tokenizer_->IsValid(id)) {
    return absl::InvalidArgumentError(absl::StrCat("id ", id, " is not in the vocabulary"));
  }
  // What can fail for want of memory comes before any member changes.
  std::string text;
  if (!(skip_special_ && tokenizer_->IsSpecial(id))) {
    std::string bytes = held_;
    bytes += tokenizer_->TokenBytes(id);
    std::string held(AppendText(bytes, &text));
    held_ = std::move(held);
  }
  out_ = std::move(text);
  return std::string_view(out_);
}

std::string_view Detokenizer::Flush() {
  std::string text(held_.empty() ? std::string_view() : kReplacement);
  out_ = std::move(text);
  held_.clear();
  return out_;
}

}  // namespace scout

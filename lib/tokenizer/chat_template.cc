// Whether a checkpoint's chat template is the one that JSON style writes. The template is a program
// in a language of its own; it is compared, never run. SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "lib/tokenizer/chat.h"

namespace scout {

const char* ChatTemplateKind(std::string_view text) {
  // FNV-1a of the published text. A line break inside its strings is one character in some copies
  // and a backslash with n in others.
  constexpr uint64_t kPublished = 0x1BDDEF386DCB0D10u;
  constexpr uint64_t kPublishedBytes = 4926;
  if (text.empty()) return kNoTemplate;
  uint64_t hash = 0xCBF29CE484222325u, bytes = 0;
  for (size_t i = 0; i < text.size(); ++i, ++bytes) {
    const bool line = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
    hash = (hash ^ (line ? '\n' : static_cast<uint8_t>(text[i]))) * 0x100000001B3u;
    if (line) ++i;
  }
  return hash == kPublished && bytes == kPublishedBytes ? "llama4" : kOtherTemplate;
}

}  // namespace scout

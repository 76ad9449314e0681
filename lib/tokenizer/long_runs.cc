// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/long_runs.h"

#include <cstdint>

#include "lib/tokenizer/unicode_tables.h"
#include "lib/tokenizer/utf8.h"

namespace scout {

size_t LongRunEnd(std::string_view text, size_t at) {
  if (text.size() - at <= kLongestRun) return text.size();
  size_t run = 0;
  bool run_is_space = false;
  while (at < text.size()) {
    const auto byte = static_cast<uint8_t>(text[at]);
    size_t size = 1;
    bool space = byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte >= 0x1C && byte <= 0x1F);
    if (byte >= 0x80) {
      const Utf8Step step = NextUtf8(text, at);
      size = step.size;
      space = ClassOf(step.code_point) == CharClass::kSpace;
    }
    run = space == run_is_space ? run + 1 : 1;
    if (run > kLongestRun) return at;
    run_is_space = space;
    at += size;
  }
  return at;
}

}  // namespace scout

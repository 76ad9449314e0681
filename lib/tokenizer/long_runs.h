// Where Llama 4's own tokenizer cuts a text before it looks at it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace scout {

// In characters.
constexpr size_t kLongestRun = 25000;

// Where the text is cut next after `at`, a cut or 0: before a character that would make a run of
// only white space or only other characters longer than kLongestRun; the text's end where there is
// none. Runs begin at `at` anew. text is valid UTF-8. White space is Python's str.isspace(), which
// holds U+001C to U+001F beside the White_Space of Unicode.
size_t LongRunEnd(std::string_view text, size_t at);

}  // namespace scout

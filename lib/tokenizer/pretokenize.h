// Cuts text into pieces before byte-pair merging, as the tokenizers' regular expressions do.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/util/status.h"

namespace scout {

// Each rule is written out by hand: no backtracking beyond the run at hand, linear on any input.
// Values are part of a tokenizer's digest: never renumber.
enum class SplitRule : uint8_t {
  kLlama4 = 1,         // the o200k expression: words cut at a change from lower to upper case
  kLlama3 = 2,         // the cl100k expression as Llama 3 spells it
  kGpt2 = 3,           // the ByteLevel expression
  kDigitsGpt2 = 4,     // every number character alone, kGpt2 on what lies between
  kNumberRunsGpt2 = 5  // runs of number characters, kGpt2 on what lies between
};

// The rule that a Split pre-tokenizer's regular expression spells; Unsupported names it otherwise.
absl::StatusOr<SplitRule> SplitRuleOfRegex(std::string_view regex);
// The rule behind tokenizer.ggml.pre; Unsupported names it otherwise.
absl::StatusOr<SplitRule> SplitRuleOfGgufName(std::string_view name);

// End of the piece that starts at `at` < text.size(). text is valid UTF-8; `at` is a piece border
// found by earlier calls on the same text (or 0).
size_t PieceEnd(SplitRule rule, std::string_view text, size_t at);

}  // namespace scout

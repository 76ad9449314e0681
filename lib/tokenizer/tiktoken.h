// tiktoken's vocabulary files (tokenizer.model of Meta's checkpoints). SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/util/status.h"

namespace scout {

constexpr int64_t kMaxTiktokenBytes = int64_t{64} << 20;

// The tokens by rank. A line of the file is a token's bytes in base64 (RFC 4648, padded), a space,
// its rank in decimal digits, and a line feed, which the last line may lack. Rank i stands in line
// i + 1. DataLoss names the line, with its offset as the place, for anything else; that tokens
// differ and all single bytes are there is checked by Tokenizer::FromTiktoken.
absl::StatusOr<std::vector<std::string>> ParseTiktoken(std::string_view file);

// Names of Llama 4's special tokens, which a tiktoken file does not hold: 2,048, in the order of
// the ids after the last rank.
std::vector<std::string> Llama4SpecialTokens();

}  // namespace scout

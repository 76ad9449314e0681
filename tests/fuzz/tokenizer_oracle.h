// What a tokenizer promises, whatever file it is from. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/tokenizer/tokenizer.h"

namespace scout::test {

// "" where the promises hold, else which one does not.
inline std::string TokenizerFault(const Tokenizer& tokenizer) {
  const int64_t n = tokenizer.vocab_size();
  if (n < 1 || n > int64_t{1} << 24) return "size of the vocabulary";
  if (tokenizer.bos() != -1 && !tokenizer.IsValid(tokenizer.bos())) return "begin-of-text id";
  for (const int64_t id : {int64_t{0}, n - 1}) {
    const auto token = static_cast<int32_t>(id);
    if (tokenizer.IsValid(token) == tokenizer.TokenBytes(token).empty()) return "an empty token";
  }
  for (const int32_t id : {-1, INT32_MIN, INT32_MAX, static_cast<int32_t>(n)}) {
    if (tokenizer.IsValid(id) || tokenizer.Decode(&id, 1, false).ok()) return "an id out of range";
  }
  const std::string_view text = "The <|eot|> of 1234\n\n  things, isn't it?\xFF\xE2\x82";
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.Encode(text, {.bos = false, .allow_special = special});
    if (!ids.ok()) return "encoding: " + std::string(ids.status().message());
    for (const int32_t id : *ids) {
      if (!tokenizer.IsValid(id)) return "an encoded id";
      if (!special && tokenizer.IsSpecial(id)) return "a special token of plain text";
    }
    const auto back = tokenizer.Decode(ids->data(), static_cast<int64_t>(ids->size()), false);
    if (!back.ok() || *back != text) return "the text does not come back";
  }
  if (tokenizer.digest().size() != 32) return "digest";
  return "";
}

}  // namespace scout::test

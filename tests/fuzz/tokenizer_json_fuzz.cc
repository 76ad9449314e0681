// tokenizer.json from any bytes: an error, or a tokenizer that keeps its promises.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using scout::Tokenizer;
  const auto json = scout::ParseJson(std::string_view(reinterpret_cast<const char*>(data), size),
                                     {.max_bytes = 1 << 20});
  if (!json.ok()) return 0;
  const auto tokenizer = Tokenizer::FromJson(*json, nullptr);
  if (!tokenizer.ok()) return 0;
  const std::string_view text = "The <|eot|> of 1234\n\n  things, isn't it?\xFF\xE2\x82";
  for (const bool special : {false, true}) {
    const auto ids = (*tokenizer)->Encode(text, {.bos = false, .allow_special = special});
    if (!ids.ok()) __builtin_trap();
    const auto back = (*tokenizer)->Decode(ids->data(), static_cast<int64_t>(ids->size()), false);
    if (!back.ok() || *back != text) __builtin_trap();
  }
  return 0;
}

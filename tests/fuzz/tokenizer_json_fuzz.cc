// tokenizer.json from any bytes: an error, or a tokenizer that keeps its promises.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/tokenizer/from_json.cc lib/format/json.* lib/tokenizer/bpe.*
// Sources: lib/tokenizer/build.cc lib/tokenizer/byte_level.* lib/tokenizer/impl.h
// Sources: lib/tokenizer/pretokenize.* lib/tokenizer/tokenizer.* lib/tokenizer/unicode_tables.*
// Sources: lib/tokenizer/vocab.* lib/tokenizer/chat_template.cc
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"
#include "tests/fuzz/tokenizer_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateJson);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json =
      scout::ParseJson({reinterpret_cast<const char*>(data), size}, {.max_bytes = 1 << 20});
  if (!json.ok()) return 0;
  const auto tokenizer = scout::Tokenizer::FromJson(*json, nullptr);
  if (tokenizer.ok()) {
    scout::test::Require(scout::test::TokenizerFault(**tokenizer).empty());
  } else {
    scout::test::RequireFileError(tokenizer.status());
  }
  return 0;
}

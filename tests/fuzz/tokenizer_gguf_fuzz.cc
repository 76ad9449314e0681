// The tokenizer.ggml.* keys from any bytes as a GGUF file: an error, or a tokenizer that gives
// every text back. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/tokenizer/from_gguf.cc lib/tokenizer/bpe.* lib/tokenizer/build.cc
// Sources: lib/tokenizer/byte_level.* lib/tokenizer/impl.h lib/tokenizer/pretokenize.*
// Sources: lib/tokenizer/tokenizer.* lib/tokenizer/unicode_tables.* lib/tokenizer/vocab.*
// Sources: lib/format/gguf.* lib/format/gguf_values.cc lib/format/header_reader.*
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"
#include "tests/fuzz/tokenizer_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateGguf);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const scout::MemorySource source({reinterpret_cast<const char*>(data), size});
  const absl::StatusOr<scout::Gguf> gguf = scout::ParseGguf(source);
  if (!gguf.ok()) return 0;
  const auto tokenizer = scout::Tokenizer::FromGguf(*gguf);
  if (tokenizer.ok()) {
    scout::test::Require(scout::test::TokenizerFault(**tokenizer).empty());
  } else {
    scout::test::RequireFileError(tokenizer.status());
  }
  return 0;
}

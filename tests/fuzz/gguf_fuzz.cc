// Any bytes as a GGUF file: an error with a message, or a table that holds.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/format/gguf.* lib/format/gguf_values.cc lib/format/header_reader.*
// Sources: lib/format/byte_source.* lib/format/tensor_check.* lib/format/checkpoint.h
// Sources: lib/util/checked.h kernels/quant/types.*
#include "lib/format/gguf.h"

#include "tests/fuzz/mutators.h"
#include "tests/fuzz/table_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateGguf);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const scout::MemorySource source({reinterpret_cast<const char*>(data), size});
  const absl::StatusOr<scout::Gguf> gguf = scout::ParseGguf(source);
  if (!gguf.ok()) {
    scout::test::Require(!gguf.status().message().empty());
    return 0;
  }
  scout::test::CheckTable(gguf->table.tensors, source.size());
  for (const scout::TensorEntry& t : gguf->table.tensors) {
    scout::test::Require(gguf->table.find(t.name) == &t);
  }
  return 0;
}

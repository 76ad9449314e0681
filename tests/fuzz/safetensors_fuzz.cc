// Any bytes as a safetensors file: an error with a message, or a table that holds.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/format/safetensors.* lib/format/json.* lib/format/byte_source.*
// Sources: lib/format/tensor_check.* lib/format/checkpoint.h lib/util/checked.h
#include "lib/format/safetensors.h"

#include "tests/fuzz/mutators.h"
#include "tests/fuzz/table_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateSafetensors);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const scout::MemorySource source({reinterpret_cast<const char*>(data), size});
  const auto tensors = scout::ParseSafetensors(source, 0);
  if (!tensors.ok()) {
    scout::test::Require(!tensors.status().message().empty());
    return 0;
  }
  scout::test::CheckTable(*tensors, source.size());
  // The format allows no holes: the tensors fill the file from the end of the header.
  int64_t bytes = 0;
  for (const scout::TensorEntry& t : *tensors) bytes += t.nbytes;
  if (!tensors->empty()) scout::test::Require(tensors->front().offset + bytes == source.size());
  return 0;
}

// A model from any bytes as a GGUF file: an error, or weights of the shapes that the forward pass
// takes. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/model/config.* lib/model/model.* lib/model/weight* lib/model/config_gguf.cc
// Sources: lib/format/gguf.* lib/format/gguf_split.cc lib/format/gguf_values.cc
// Sources: lib/format/header_reader.* lib/format/tensor_check.* lib/model/unused.*
#include "lib/model/model.h"
#include "tests/fuzz/model_oracle.h"
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateGguf);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const scout::test::Scratch folder;
  const std::string path = folder.Write("model.gguf", {reinterpret_cast<const char*>(data), size});
  const auto model = scout::Model::Load(path, {});
  if (model.ok()) {
    scout::test::Require(scout::test::ModelFault(**model).empty());
  } else {
    scout::test::RequireFileError(model.status());
  }
  return 0;
}

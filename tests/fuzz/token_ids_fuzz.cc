// Any bytes as a list of token ids for the command (text, JSON, .npy): a message, or ids.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: tools/npy.* tools/input.* tools/args.cc
#include <string>

#include "tests/fuzz/table_oracle.h"
#include "tools/input.h"
#include "tools/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using scout::test::Require;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  std::vector<int32_t> ids;
  const scout::tool::Failure failure =
      scout::tool::ParseIds(bytes, "input", scout::tool::kExitInput, &ids);
  if (failure) {
    Require(failure.code == scout::tool::kExitInput && !failure.text.empty());
    return 0;
  }
  Require(ids.size() <= size);
  // As text they say the same again.
  std::string text = "[";
  for (const int32_t id : ids) text += (text.size() > 1 ? ", " : "") + std::to_string(id);
  std::vector<int32_t> again;
  const bool failed{scout::tool::ParseIds(text + "]", "text", scout::tool::kExitInput, &again)};
  Require(!failed && again == ids);
  return 0;
}

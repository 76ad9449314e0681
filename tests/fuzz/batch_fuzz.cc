// Any bytes as the two files of `scout batch`, the requests and behind a byte 0x1E the results that
// are there: each line a request or a message, the results taken or refused as they are.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: tools/batch_request.* tools/batch_file.* tools/json_line.*
#include <cstdio>

#include "tests/fuzz/batch_oracle.h"
#include "tests/fuzz/scratch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const scout::test::Scratch folder;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const size_t in_size = std::min(bytes.find('\x1e'), size);
  const std::string out = bytes.substr(std::min(in_size + 1, size));
  int64_t answered = 0;
  const std::string wrong = scout::test::CheckBatch(folder.path() + "/in", bytes.substr(0, in_size),
                                                    folder.path() + "/out", out, &answered);
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    __builtin_trap();
  }
  return 0;
}

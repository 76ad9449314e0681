// Shared by the tests of the format room. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "lib/format/gguf.h"
#include "lib/format/safetensors.h"
#include "tests/util/temp_folder.h"

namespace scout::test {

// Parsers over a copy on the heap of exactly that size, so that a sanitizer sees a read past the
// end.
absl::StatusOr<Gguf> ParseGgufBytes(const std::string& bytes);
absl::StatusOr<std::vector<TensorEntry>> ParseSafetensorsBytes(const std::string& bytes);

// "" where the entries keep what TensorEntry promises, else what is wrong. Written apart from the
// reader's own checks: every pair of ranges is compared.
std::string TableFault(const std::vector<TensorEntry>& tensors, int64_t file_size);

// The status has the code and its message every text.
void ExpectError(const absl::Status& status, absl::StatusCode code,
                 std::initializer_list<std::string> texts);

}  // namespace scout::test

// What the commands read: text, and lists of token ids. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/args.h"
#include "tools/failure.h"

namespace scout::tool {

// The whole file; path "-" is standard input.
Failure ReadFile(const std::string& path, std::string* bytes);

// The text of a command: its only positional argument, or --file PATH, or standard input.
Failure ReadText(const Args& args, std::string* text);

// A list of token ids: "[1, 2]", "1,2" or "1 2", or @FILE (@- for standard input) with such text or
// a .npy array of integers.
Failure ReadIds(const std::string& list, std::vector<int32_t>* ids);
// The same from bytes; `name` is for messages, `code` for what is wrong with them.
Failure ParseIds(const std::string& bytes, const std::string& name, ExitCode code,
                 std::vector<int32_t>* ids);

}  // namespace scout::tool

// What the tests of scout pack share. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tests/tools/run_command.h"

namespace scout::tool_test {

// Files by name, folders made as needed.
inline void Make(const Folder& folder, const std::map<std::string, std::string>& files) {
  for (const auto& [name, text] : files) {
    std::filesystem::create_directories(std::filesystem::path(folder.path(name)).parent_path());
    WriteFile(folder.path(name), text);
  }
}

inline Result Pack(Words arguments) {
  arguments.insert(arguments.begin(), "pack");
  return Scout(arguments);
}

}  // namespace scout::tool_test

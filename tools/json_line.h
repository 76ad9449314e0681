// JSON from files that anybody may have written. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "tools/failure.h"

namespace scout::tool {

// Lists and objects within each other. Copying and printing a value recurse into them.
constexpr int kMostNesting = 64;

// One JSON text. The failure's text says which byte is wrong.
Failure ParseJson(std::string_view text, nlohmann::json* json);

}  // namespace scout::tool

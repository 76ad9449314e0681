// Bytes of files and callers as they may stand in an error message: short and printable.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "lib/util/status.h"

namespace scout {

inline std::string Shown(std::string_view text, size_t longest = 60) {
  return absl::CHexEscape(AbslView(text.substr(0, longest)));
}

}  // namespace scout

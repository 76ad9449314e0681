// Names of modules in quantisation configurations: exact, or a regular expression behind "re:".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "lib/util/status.h"

namespace scout {

// Whether `name` is what `entry` says. Behind "re:" stands an expression that must match at the
// start of the name, as Python's re.match. Known: characters, ".", classes in [], "\d" "\w" and
// escaped signs, "*" "+" "?" (their lazy forms too), groups, "|", "^" and "$". Matching takes time
// in proportion to the product of the lengths, whatever the expression. Unsupported for another
// expression and one longer than 512 bytes.
absl::StatusOr<bool> NameMatches(std::string_view entry, std::string_view name);

}  // namespace scout

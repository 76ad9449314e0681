// The printable stand-ins that byte-level BPE files write for the 256 byte values.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace scout {

// The bytes that `shown` stands for; false where it holds a character outside the 256, or is not
// UTF-8.
bool BytesFromByteLevel(std::string_view shown, std::string* bytes);

}  // namespace scout

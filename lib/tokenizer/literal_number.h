// Numbers of JSON and Python. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace scout {

int HexDigit(char c);  // -1 where it is none

// Appends the number as Python prints it; false with *error where it is none, or beyond the range
// of a double, or a hexadecimal, octal or binary one beyond 64 bits.
bool WriteNumber(std::string_view number, bool python, std::string* out, std::string* error);

}  // namespace scout

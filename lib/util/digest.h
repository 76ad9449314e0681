// 128-bit content digests (XXH3), for identities. Not a defence against forgery.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace scout {

// XXH3-128 of the bytes, seed 0, in its canonical (big-endian) form as 32 lower-case hex digits.
std::string Xxh3Hex(std::string_view bytes);

}  // namespace scout

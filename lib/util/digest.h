// 128-bit content digests (XXH3), for identities. Not a defence against forgery.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace scout {

// XXH3-128 of some bytes, seed 0, in its canonical (big-endian) form.
struct Digest128 {
  unsigned char bytes[16] = {};
};
Digest128 Xxh3(const void* data, size_t n_bytes);

// The same as 32 lower-case hex digits.
std::string Xxh3Hex(std::string_view bytes);

}  // namespace scout

// The one place that includes xxHash. SPDX-License-Identifier: Apache-2.0
#include "lib/util/digest.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace scout {

Digest128 Xxh3(const void* data, size_t n_bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, n_bytes));
  Digest128 digest;
  static_assert(sizeof(digest.bytes) == sizeof(canonical.digest));
  std::memcpy(digest.bytes, canonical.digest, sizeof(digest.bytes));
  return digest;
}

std::string Xxh3Hex(std::string_view bytes) {
  const Digest128 digest = Xxh3(bytes.data(), bytes.size());
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * sizeof(digest.bytes));
  for (unsigned char byte : digest.bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace scout

// The one place that includes xxHash. SPDX-License-Identifier: Apache-2.0
#include "lib/util/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace scout {

std::string Xxh3Hex(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * sizeof(canonical.digest));
  for (unsigned char byte : canonical.digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace scout

// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/utf8.h"

#include <cstring>

namespace scout {

size_t ValidUtf8Prefix(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    uint64_t eight;
    if (bytes.size() - at >= sizeof(eight)) {
      std::memcpy(&eight, bytes.data() + at, sizeof(eight));
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof(eight);
        continue;
      }
    }
    const Utf8Step step = NextUtf8(bytes, at);
    if (step.kind != Utf8Kind::kChar) return at;
    at += step.size;
  }
  return at;
}

}  // namespace scout

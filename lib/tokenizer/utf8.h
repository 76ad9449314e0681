// One step through bytes that may or may not be UTF-8. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace scout {

enum class Utf8Kind : uint8_t {
  kChar,        // a whole character
  kBad,         // a maximal subpart (Unicode 15, section 3.9): these bytes can never be a character
  kIncomplete,  // the start of a character that the bytes end in
};

struct Utf8Step {
  Utf8Kind kind;
  uint8_t size;         // bytes this step covers, 1 to 4
  uint32_t code_point;  // of kChar
};

// The step at `at` < bytes.size(). Surrogates, overlong forms and values past U+10FFFF are bad.
inline Utf8Step NextUtf8(std::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[at + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {Utf8Kind::kChar, 1, lead};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Kind::kBad, 1, 0};
  const uint8_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte has a narrower range after four leads; the others any continuation.
  uint8_t low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  uint32_t code_point = lead & (0x7F >> size);
  for (uint8_t i = 1; i < size; ++i) {
    if (i >= bytes.size() - at) return {Utf8Kind::kIncomplete, i, 0};
    const uint8_t b = byte(i);
    if (b < low || b > high) return {Utf8Kind::kBad, i, 0};
    low = 0x80;
    high = 0xBF;
    code_point = code_point << 6 | (b & 0x3F);
  }
  return {Utf8Kind::kChar, size, code_point};
}

// Length of the longest prefix that is whole UTF-8 characters.
size_t ValidUtf8Prefix(std::string_view bytes);

}  // namespace scout

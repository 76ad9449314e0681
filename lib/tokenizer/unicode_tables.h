// Classes of code points as the splitting rules tell them apart.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace scout {

// Values are those of scripts/make_unicode_tables.py.
enum class CharClass : uint8_t {
  kOther = 0,
  kUpper = 1,        // Lu, Lt
  kLower = 2,        // Ll
  kOtherLetter = 3,  // Lm, Lo
  kMark = 4,         // M
  kNumber = 5,       // N
  kSpace = 6,        // White_Space
};

namespace unicode_internal {
// Stage one: block of 64 code points -> row of stage two, where two classes share a byte.
extern const uint16_t kBlockOf[17408];
extern const uint8_t kPackedClasses[];
}  // namespace unicode_internal

// code_point <= 0x10FFFF.
inline CharClass ClassOf(uint32_t code_point) {
  const uint32_t at = unicode_internal::kBlockOf[code_point >> 6] * 64u + (code_point & 63u);
  return static_cast<CharClass>(unicode_internal::kPackedClasses[at >> 1] >> ((at & 1u) * 4) & 15);
}

}  // namespace scout

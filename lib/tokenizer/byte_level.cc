// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "lib/tokenizer/utf8.h"

namespace scout {
namespace {

constexpr int kStandIns = 0x144;  // one past the highest code point that stands for a byte

// Printable Latin-1 stands for itself; the 68 others have U+0100 onwards in byte order.
constexpr std::array<int16_t, kStandIns> MakeByteOf() {
  std::array<int16_t, kStandIns> byte_of{};
  for (auto& b : byte_of) b = -1;
  int next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    byte_of[static_cast<size_t>(printable ? b : next++)] = static_cast<int16_t>(b);
  }
  return byte_of;
}
constexpr std::array<int16_t, kStandIns> kByteOf = MakeByteOf();

}  // namespace

bool BytesFromByteLevel(std::string_view shown, std::string* bytes) {
  bytes->clear();
  for (size_t at = 0; at < shown.size();) {
    const Utf8Step step = NextUtf8(shown, at);
    if (step.kind != Utf8Kind::kChar || step.code_point >= kStandIns) return false;
    const int16_t byte = kByteOf[step.code_point];
    if (byte < 0) return false;
    bytes->push_back(static_cast<char>(byte));
    at += step.size;
  }
  return true;
}

}  // namespace scout

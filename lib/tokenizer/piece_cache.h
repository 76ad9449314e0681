// Tokens of short pieces seen before in the same text. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace scout {

// Most words of a text are among a few hundred: their tokens are found here in memory that stays in
// the second cache, where the vocabulary does not. One call of Encode has one to itself, so nothing
// is locked. A piece overwrites what lies in its place.
class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 16;
  static constexpr size_t kMaxTokens = 3;
  struct Entry {
    uint64_t low = 0, high = 0;  // the bytes, zeros behind them
    int32_t ids[kMaxTokens] = {};
    uint8_t size = 0;  // of the piece; 0: free
    uint8_t n_ids = 0;
  };

  PieceCache() : entries_(kEntries) {}

  // Its place and key for a piece of 1 to kMaxBytes bytes.
  Entry* At(std::string_view piece, Entry* key) {
    uint64_t words[2] = {};
    std::memcpy(words, piece.data(), piece.size());
    return Place(words[0], words[1], piece.size(), key);
  }
  // The same where kMaxBytes may be read from the piece's begin.
  Entry* AtReadable(std::string_view piece, Entry* key) {
    uint64_t words[2];
    std::memcpy(words, piece.data(), sizeof(words));
    // What follows the piece goes; bytes are in memory order on a little-endian machine alone.
    const size_t size = piece.size();
    const uint64_t low_mask = size >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * size) - 1;
    const uint64_t high_mask = size >= 16 ? ~uint64_t{0}
                               : size > 8 ? (uint64_t{1} << 8 * (size - 8)) - 1
                                          : 0;
    return Place(words[0] & low_mask, words[1] & high_mask, size, key);
  }
  static bool Same(const Entry& a, const Entry& b) {
    return a.low == b.low && a.high == b.high && a.size == b.size;
  }

 private:
  static constexpr size_t kEntries = 4096;

  Entry* Place(uint64_t low, uint64_t high, size_t size, Entry* key) {
    key->low = low;
    key->high = high;
    key->size = static_cast<uint8_t>(size);
    const uint64_t mixed = (low ^ (high * 0xC2B2AE3D27D4EB4Fu)) * 0x9E3779B97F4A7C15u;
    return &entries_[(mixed ^ mixed >> 32) >> 20 & (kEntries - 1)];
  }
  std::vector<Entry> entries_;
};
static_assert(sizeof(PieceCache::Entry) == 32);

}  // namespace scout

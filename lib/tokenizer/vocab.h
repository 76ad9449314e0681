// The tokens of a tokenizer: bytes by id, ordinary tokens by their bytes, added tokens in a text.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/util/status.h"

namespace scout {

// Values are part of a tokenizer's digest: never renumber.
enum class TokenKind : uint8_t {
  kHole = 0,
  kOrdinary = 1,  // made by byte-pair merging
  kSpecial = 2,   // found in a text only where that is asked for
  kAdded = 3,     // found in every text before it is split
  kUnused = 4,    // has an id and a text, never made
};

struct VocabToken {
  int64_t id = 0;
  TokenKind kind = TokenKind::kOrdinary;
  std::string bytes;
};

// Tokens that are looked for as they stand in a text: leftmost, and the longest of those.
class AddedMatcher {
 public:
  struct Entry {
    std::string_view bytes;
    int32_t id;
  };
  struct Match {
    size_t at = 0;
    size_t size = 0;
    int32_t id = -1;  // -1: none, `at` is the text's end
  };
  // The entries' bytes must outlive it.
  explicit AddedMatcher(std::vector<Entry> entries);
  AddedMatcher() : AddedMatcher(std::vector<Entry>()) {}
  Match Next(std::string_view text, size_t from) const;
  int32_t Find(std::string_view name) const;  // -1 where there is none
  const Entry* FirstRepeated() const;         // null where all are different

 private:
  const Entry* LongestAt(std::string_view text, size_t at) const;
  std::vector<Entry> entries_;  // in order of bytes
  std::array<bool, 256> starts_{};
};

class Vocab {
 public:
  // Every id at most once and below 2^24, no token empty, ordinary tokens with different bytes and
  // all 256 single bytes among them. DataLoss or Unsupported names the token otherwise.
  static absl::StatusOr<Vocab> Build(const std::vector<VocabToken>& tokens);
  Vocab(Vocab&&) = default;
  Vocab& operator=(Vocab&&) = default;

  int64_t size() const { return static_cast<int64_t>(spans_.size()); }  // highest id + 1
  bool Has(int64_t id) const {
    return id >= 0 && id < size() && spans_[id].kind != TokenKind::kHole;
  }
  TokenKind kind(int32_t id) const { return spans_[id].kind; }
  std::string_view bytes(int32_t id) const {
    return {arena_.data() + spans_[id].begin, spans_[id].size};
  }
  // The ordinary token with these bytes, or -1.
  int32_t FindOrdinary(std::string_view bytes) const;
  uint64_t seed() const { return seed_; }  // for other tables over the same vocabulary
  int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  // Any token: special and added ones first. -1 where there is none.
  int32_t Find(std::string_view bytes) const;
  const AddedMatcher& added(bool with_special) const {
    return with_special ? with_special_ : always_;
  }

 private:
  Vocab() = default;
  absl::Status IndexOrdinary();
  struct Span {
    uint32_t begin = 0;
    uint32_t size : 24 = 0;
    TokenKind kind : 8 = TokenKind::kHole;
  };
  // Open addressing with linear probing, a power of two in size, at most half full. The seed comes
  // from the vocabulary itself, so that a file cannot easily be made to collide.
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;
  };
  std::vector<char> arena_;  // a vector: its bytes stay where they are when the object moves
  std::vector<Span> spans_;  // by id
  std::vector<Slot> slots_;
  uint64_t seed_ = 0;
  size_t longest_ordinary_ = 0;
  std::array<int32_t, 256> byte_tokens_{};
  AddedMatcher always_, with_special_;
};

}  // namespace scout

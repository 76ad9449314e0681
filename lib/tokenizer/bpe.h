// Byte-pair merging of one piece. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "lib/tokenizer/piece_cache.h"
#include "lib/tokenizer/vocab.h"
#include "lib/util/status.h"

namespace scout {

// Pairs of neighbouring tokens that become one, by rank: the lowest rank is merged first.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank = kNoMerge;
    int32_t id = -1;  // of the token the pair becomes
  };
  static constexpr uint32_t kNoMerge = 0xFFFFFFFFu;

  explicit MergeTable(size_t n_merges, uint64_t seed);
  // At most as many as announced; false where the pair is there already.
  bool Add(const Vocab& vocab, int32_t left, int32_t right, Merge merge);
  Merge Find(int32_t left, int32_t right) const {
    const uint64_t key = Key(left, right);
    for (size_t at = Place(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].merge;
      if (slots_[at].key == kFree) return {};
    }
  }
  // The merge of two tokens of a byte each.
  Merge FindBytes(uint8_t left, uint8_t right) const {
    return byte_pairs_[static_cast<size_t>(left) << 8 | right];
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};  // no pair: ids are not negative
  struct Slot {
    uint64_t key = kFree;
    Merge merge;
  };
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t Place(uint64_t key) const {
    const uint64_t mixed = (key ^ seed_) * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>((mixed ^ mixed >> 32) & mask_);
  }
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::vector<Merge> byte_pairs_;
  size_t mask_;
  uint64_t seed_;
};

// Memory of one call of Encode, reused from piece to piece.
struct BpeScratch {
  struct Node {
    int32_t id;
    MergeTable::Merge merge;  // with the next node; kNoMerge also for a node merged away
    uint32_t previous;
    uint32_t next;
  };
  std::vector<Node> nodes;
  std::vector<uint64_t> heap;  // rank << 32 | node
  std::vector<int32_t> window, border;
  uint64_t steps = 0;  // parts and pairs looked at so far: what merging costs, whatever the machine
  std::unique_ptr<PieceCache> cache;  // null for a short text
};

constexpr size_t kMaxPieceBytes = (size_t{1} << 31) - 2;

// Appends the tokens of `piece`, whose size is at most kMaxPieceBytes: again and again the pair of
// lowest rank, the leftmost of equals, is merged. Linear in the piece's size as long as what stands
// far ahead does not decide where tokens end (O(n log n) at worst); nothing recursive. `window` is
// how many bytes of a long piece are merged at once; any number gives the same tokens.
constexpr size_t kMergeWindow = 128;
void MergePiece(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                BpeScratch* scratch, std::vector<int32_t>* out, size_t window = kMergeWindow);

// The same, but the last merge of all, from two parts to one, is left undone. O(n log n).
void MergeToTwo(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                BpeScratch* scratch, std::vector<int32_t>* out);

}  // namespace scout

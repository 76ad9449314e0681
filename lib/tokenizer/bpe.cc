// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/bpe.h"

#include <algorithm>
#include <functional>

namespace scout {
namespace {

// Up to this size looking at all pairs for each merge is faster than a heap.
constexpr size_t kShortPiece = 64;

struct ShortPart {
  int32_t id;
  MergeTable::Merge merge;  // with the next part
};

void MergeShort(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                std::vector<int32_t>* out) {
  ShortPart parts[kShortPiece];
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) parts[i].id = vocab.byte_token(static_cast<uint8_t>(piece[i]));
  for (size_t i = 0; i + 1 < n; ++i) parts[i].merge = merges.Find(parts[i].id, parts[i + 1].id);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (parts[i].merge.rank < parts[best].merge.rank) best = i;
    }
    if (parts[best].merge.rank == MergeTable::kNoMerge) break;
    parts[best].id = parts[best].merge.id;
    --n;
    for (size_t i = best + 1; i < n; ++i) parts[i] = parts[i + 1];
    if (best + 1 < n) parts[best].merge = merges.Find(parts[best].id, parts[best + 1].id);
    if (best > 0) parts[best - 1].merge = merges.Find(parts[best - 1].id, parts[best].id);
  }
  for (size_t i = 0; i < n; ++i) out->push_back(parts[i].id);
}

// A linked list of parts and a heap of pairs. A pair that changed stays in the heap and is known by
// its rank, which is no longer that of its left part.
void MergeLong(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
               BpeScratch* scratch, std::vector<int32_t>* out) {
  const auto n = static_cast<uint32_t>(piece.size());
  auto& nodes = scratch->nodes;
  auto& heap = scratch->heap;
  nodes.clear();
  heap.clear();
  nodes.resize(n);
  for (uint32_t i = 0; i < n; ++i) {
    const int32_t id = vocab.byte_token(static_cast<uint8_t>(piece[i]));
    nodes[i] = {id, MergeTable::kNoMerge, i - 1, i + 1};
  }
  const auto by_rank = std::greater<uint64_t>();
  const auto rank_with_next = [&](uint32_t i) {
    BpeScratch::Node& node = nodes[i];
    node.rank =
        node.next < n ? merges.Find(node.id, nodes[node.next].id).rank : MergeTable::kNoMerge;
    if (node.rank == MergeTable::kNoMerge) return false;
    heap.push_back(static_cast<uint64_t>(node.rank) << 32 | i);
    return true;
  };
  for (uint32_t i = 0; i < n; ++i) rank_with_next(i);
  std::make_heap(heap.begin(), heap.end(), by_rank);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), by_rank);
    const uint64_t top = heap.back();
    heap.pop_back();
    const auto at = static_cast<uint32_t>(top);
    BpeScratch::Node& node = nodes[at];
    if (node.rank != static_cast<uint32_t>(top >> 32)) continue;
    const uint32_t gone = node.next;
    node.id = merges.Find(node.id, nodes[gone].id).id;
    node.next = nodes[gone].next;
    nodes[gone].rank = MergeTable::kNoMerge;
    if (node.next < n) nodes[node.next].previous = at;
    if (rank_with_next(at)) std::push_heap(heap.begin(), heap.end(), by_rank);
    if (at > 0 && rank_with_next(node.previous)) {
      std::push_heap(heap.begin(), heap.end(), by_rank);
    }
  }
  for (uint32_t i = 0; i < n; i = nodes[i].next) out->push_back(nodes[i].id);
}

}  // namespace

MergeTable::MergeTable(size_t n_merges, uint64_t seed) : seed_(seed) {
  size_t n_slots = 16;
  while (n_slots < 2 * n_merges) n_slots *= 2;
  slots_.resize(n_slots);
  mask_ = n_slots - 1;
}

bool MergeTable::Add(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = Key(left, right);
  size_t at = Place(key);
  for (; slots_[at].key != kFree; at = (at + 1) & mask_) {
    if (slots_[at].key == key) return false;
  }
  slots_[at] = {key, merge};
  return true;
}

void MergePiece(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                BpeScratch* scratch, std::vector<int32_t>* out) {
  if (piece.size() <= kShortPiece) {
    MergeShort(vocab, merges, piece, out);
  } else {
    MergeLong(vocab, merges, piece, scratch, out);
  }
}

}  // namespace scout

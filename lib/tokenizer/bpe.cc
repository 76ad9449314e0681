// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/bpe.h"

#include <algorithm>
#include <functional>
#include <string>

namespace scout {
namespace {

// Up to this size passes over all pairs, one for each rank, are faster than a heap.
constexpr size_t kShortPiece = 256;

// At most kShortPiece bytes; stops at n_least parts. A pass makes all merges of the lowest rank
// from left to right. A new pair never has that rank itself (its token would have to be a part of
// itself); one of lower rank goes first, and so ends the pass.
void MergeByPasses(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                   size_t n_least, BpeScratch* scratch, std::vector<int32_t>* out) {
  int32_t ids[kShortPiece];
  MergeTable::Merge pairs[kShortPiece];  // of a part with the next
  size_t n = piece.size();
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(piece[i]); };
  for (size_t i = 0; i < n; ++i) ids[i] = vocab.byte_token(byte(i));
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = merges.FindBytes(byte(i), byte(i + 1));
  while (n > n_least) {
    scratch->steps += n;
    uint32_t lowest = MergeTable::kNoMerge;
    size_t first = 0;
    for (size_t i = 0; i + 1 < n; ++i) {
      if (pairs[i].rank < lowest) {
        lowest = pairs[i].rank;
        first = i;
      }
    }
    if (lowest == MergeTable::kNoMerge) break;
    size_t to = first, left = n;
    bool lower = false;
    for (size_t from = first; from < n; ++from, ++to) {
      ids[to] = ids[from];
      pairs[to] = pairs[from];
      if (from + 1 == n || pairs[from].rank != lowest || lower || left == n_least) continue;
      ids[to] = pairs[from].id;
      ++from;
      --left;
      pairs[to] = {};
      if (from + 1 < n) pairs[to] = merges.Find(ids[to], ids[from + 1]);
      lower = pairs[to].rank < lowest;
      if (to == 0) continue;
      pairs[to - 1] = merges.Find(ids[to - 1], ids[to]);
      lower = lower || pairs[to - 1].rank < lowest;
    }
    n = to;
  }
  out->insert(out->end(), ids, ids + n);
}

// A linked list of parts and a heap of pairs. A pair that changed stays in the heap and is known by
// its rank, which is no longer that of its left part. Stops at n_least parts.
void MergeByHeap(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                 size_t n_least, BpeScratch* scratch, std::vector<int32_t>* out) {
  const auto n = static_cast<uint32_t>(piece.size());
  auto& nodes = scratch->nodes;
  auto& heap = scratch->heap;
  nodes.resize(n);
  heap.clear();
  scratch->steps += n;
  const auto byte = [&](uint32_t i) { return static_cast<uint8_t>(piece[i]); };
  for (uint32_t i = 0; i < n; ++i) {
    nodes[i] = {vocab.byte_token(byte(i)), {}, i - 1, i + 1};
    if (i + 1 < n) nodes[i].merge = merges.FindBytes(byte(i), byte(i + 1));
    const uint32_t rank = nodes[i].merge.rank;
    if (rank != MergeTable::kNoMerge) heap.push_back(static_cast<uint64_t>(rank) << 32 | i);
  }
  const auto by_rank = std::greater<uint64_t>();
  std::make_heap(heap.begin(), heap.end(), by_rank);
  const auto renew = [&](uint32_t i) {
    BpeScratch::Node& node = nodes[i];
    node.merge = node.next < n ? merges.Find(node.id, nodes[node.next].id) : MergeTable::Merge{};
    if (node.merge.rank == MergeTable::kNoMerge) return;
    heap.push_back(static_cast<uint64_t>(node.merge.rank) << 32 | i);
    std::push_heap(heap.begin(), heap.end(), by_rank);
  };

  size_t n_parts = n;
  while (!heap.empty() && n_parts > n_least) {
    std::pop_heap(heap.begin(), heap.end(), by_rank);
    ++scratch->steps;
    const uint64_t top = heap.back();
    heap.pop_back();
    const auto at = static_cast<uint32_t>(top);
    BpeScratch::Node& node = nodes[at];
    if (node.merge.rank != static_cast<uint32_t>(top >> 32)) continue;
    const uint32_t gone = node.next;
    node.id = node.merge.id;
    node.next = nodes[gone].next;
    nodes[gone].merge.rank = MergeTable::kNoMerge;
    if (node.next < n) nodes[node.next].previous = at;
    --n_parts;
    renew(at);
    if (at > 0) renew(node.previous);
  }
  for (uint32_t i = 0; i < n; i = nodes[i].next) out->push_back(nodes[i].id);
}

void MergeAtOnce(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                 size_t n_least, BpeScratch* scratch, std::vector<int32_t>* out) {
  if (piece.size() <= kShortPiece) {
    MergeByPasses(vocab, merges, piece, n_least, scratch, out);
  } else {
    MergeByHeap(vocab, merges, piece, n_least, scratch, out);
  }
}

// Whether the bytes of both tokens together give these two tokens.
bool AreNeighbours(const Vocab& vocab, const MergeTable& merges, int32_t left, int32_t right,
                   BpeScratch* scratch) {
  std::string both(vocab.bytes(left));
  both += vocab.bytes(right);
  scratch->border.clear();
  MergeAtOnce(vocab, merges, both, 1, scratch, &scratch->border);
  return scratch->border.size() == 2 && scratch->border[0] == left && scratch->border[1] == right;
}

// Window by window. Why that is exact: tokens are what merging makes of a text if and only if each
// two neighbours are what merging makes of their own bytes. For the first merge across a border
// would be made in the bytes of the two tokens beside it as well, since until then both merge as
// if they were alone. Inside a window neighbours are right by themselves, so only the border
// between two windows is checked. The last tokens of a window, which what follows may change, are
// left to the next one. Where a border is wrong nevertheless, tokens are given back for a window
// twice as large, at worst the whole piece.
void MergeByWindows(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                    size_t window, BpeScratch* scratch, std::vector<int32_t>* out) {
  const size_t first = out->size();
  for (size_t at = 0; at < piece.size();) {  // the tokens of the bytes before `at` are in `out`
    const size_t size = std::min(window, piece.size() - at);
    auto& tokens = scratch->window;
    tokens.clear();
    MergeAtOnce(vocab, merges, piece.substr(at, size), 1, scratch, &tokens);
    if (out->size() > first &&
        !AreNeighbours(vocab, merges, out->back(), tokens.front(), scratch)) {
      window *= 2;
      size_t given_back = 0;
      for (; out->size() > first && given_back < window / 2; out->pop_back()) {
        given_back += vocab.bytes(out->back()).size();
      }
      at -= given_back;
      continue;
    }
    const bool last = at + size == piece.size();
    const size_t sure = last ? size : size - size / 4;
    size_t kept = 0;
    for (const int32_t id : tokens) {
      const size_t end = kept + vocab.bytes(id).size();
      if (end > sure) break;
      out->push_back(id);
      kept = end;
    }
    if (kept == 0) window *= 2;  // a token longer than that
    at += kept;
  }
}

}  // namespace

MergeTable::MergeTable(size_t n_merges, uint64_t seed) : byte_pairs_(256 * 256), seed_(seed) {
  size_t n_slots = 16;
  while (n_slots < 2 * n_merges) n_slots *= 2;
  slots_.resize(n_slots);
  mask_ = n_slots - 1;
}

bool MergeTable::Add(const Vocab& vocab, int32_t left, int32_t right, Merge merge) {
  const uint64_t key = Key(left, right);
  size_t at = Place(key);
  for (; slots_[at].key != kFree; at = (at + 1) & mask_) {
    if (slots_[at].key == key) return false;
  }
  slots_[at] = {key, merge};
  const std::string_view l = vocab.bytes(left), r = vocab.bytes(right);
  if (l.size() == 1 && r.size() == 1) {
    byte_pairs_[static_cast<size_t>(static_cast<uint8_t>(l[0])) << 8 | static_cast<uint8_t>(r[0])] =
        merge;
  }
  return true;
}

void MergePiece(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                BpeScratch* scratch, std::vector<int32_t>* out, size_t window) {
  if (piece.size() <= window) {
    MergeAtOnce(vocab, merges, piece, 1, scratch, out);
  } else {
    MergeByWindows(vocab, merges, piece, window, scratch, out);
  }
}

void MergeToTwo(const Vocab& vocab, const MergeTable& merges, std::string_view piece,
                BpeScratch* scratch, std::vector<int32_t>* out) {
  MergeAtOnce(vocab, merges, piece, 2, scratch, out);
}

}  // namespace scout

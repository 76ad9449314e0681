// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/vocab.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/shown.h"

namespace scout {
namespace {

constexpr int64_t kMaxId = int64_t{1} << 24;
constexpr size_t kMaxTokenBytes = 1 << 20;
// Longer ones would make the search for added tokens quadratic on a text made for it.
constexpr size_t kMaxAddedBytes = 1024;
// Ids may have holes, but not so many that a small file asks for a large table.
constexpr int64_t kFreeHoles = 1 << 20;

}  // namespace

AddedMatcher::AddedMatcher(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.bytes < b.bytes; });
  for (const Entry& e : entries_) starts_[static_cast<uint8_t>(e.bytes[0])] = true;
}

// Narrows the sorted entries byte by byte; the entry that ends at the current depth is the first of
// the range, since it sorts before its continuations.
const AddedMatcher::Entry* AddedMatcher::LongestAt(std::string_view text, size_t at) const {
  auto low = entries_.begin(), high = entries_.end();
  const Entry* best = nullptr;
  for (size_t depth = 0; at + depth < text.size() && low != high; ++depth) {
    const auto byte = static_cast<uint8_t>(text[at + depth]);
    const auto byte_at = [depth](const Entry& e) {
      return depth < e.bytes.size() ? static_cast<int>(static_cast<uint8_t>(e.bytes[depth])) : -1;
    };
    low = std::partition_point(low, high, [&](const Entry& e) { return byte_at(e) < byte; });
    high = std::partition_point(low, high, [&](const Entry& e) { return byte_at(e) <= byte; });
    if (low != high && low->bytes.size() == depth + 1) best = &*low;
  }
  return best;
}

AddedMatcher::Match AddedMatcher::Next(std::string_view text, size_t from) const {
  if (entries_.empty()) return {text.size(), 0, -1};
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<uint8_t>(text[at])]) continue;
    if (const Entry* e = LongestAt(text, at)) return {at, e->bytes.size(), e->id};
  }
  return {text.size(), 0, -1};
}

const AddedMatcher::Entry* AddedMatcher::FirstRepeated() const {
  const auto it =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.bytes == b.bytes; });
  return it == entries_.end() ? nullptr : &*it;
}

int32_t AddedMatcher::Find(std::string_view name) const {
  const auto it =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const Entry& e, std::string_view wanted) { return e.bytes < wanted; });
  return it != entries_.end() && it->bytes == name ? it->id : -1;
}

absl::StatusOr<Vocab> Vocab::Build(const std::vector<VocabToken>& tokens) {
  if (tokens.empty()) return CorruptError("the vocabulary is empty");
  int64_t highest = -1, total_bytes = 0;
  for (const VocabToken& t : tokens) {
    if (t.id < 0 || t.id >= kMaxId) {
      return CorruptError(absl::StrCat("token \"", Shown(t.bytes), "\" has the id ", t.id,
                                       ", outside 0 to 2^24 - 1"));
    }
    if (t.bytes.empty()) return CorruptError(absl::StrCat("token ", t.id, " is empty"));
    const bool added = t.kind == TokenKind::kSpecial || t.kind == TokenKind::kAdded;
    if (t.bytes.size() > (added ? kMaxAddedBytes : kMaxTokenBytes)) {
      return UnsupportedError(
          absl::StrCat("token ", t.id, " is too long (", t.bytes.size(), " bytes)"));
    }
    highest = std::max(highest, t.id);
    total_bytes += static_cast<int64_t>(t.bytes.size());
  }
  const auto count = static_cast<int64_t>(tokens.size());
  if (highest + 1 - count > kFreeHoles && highest >= 4 * count) {
    return CorruptError(
        absl::StrCat("ids reach ", highest, ", but there are only ", count, " tokens"));
  }
  if (total_bytes > int64_t{1} << 31) return UnsupportedError("the vocabulary is too large");

  Vocab vocab;
  vocab.arena_.reserve(static_cast<size_t>(total_bytes));
  vocab.spans_.resize(static_cast<size_t>(highest + 1));
  for (const VocabToken& t : tokens) {
    Span& span = vocab.spans_[static_cast<size_t>(t.id)];
    if (span.kind != TokenKind::kHole) {
      return CorruptError(absl::StrCat("two tokens have the id ", t.id));
    }
    span.begin = static_cast<uint32_t>(vocab.arena_.size());
    span.size = static_cast<uint32_t>(t.bytes.size());
    span.kind = t.kind;
    vocab.arena_.insert(vocab.arena_.end(), t.bytes.begin(), t.bytes.end());
  }

  std::vector<AddedMatcher::Entry> always, with_special;
  for (int64_t id = 0; id <= highest; ++id) {
    const auto token = static_cast<int32_t>(id);
    const TokenKind kind = vocab.kind(token);
    if (kind == TokenKind::kAdded) always.push_back({vocab.bytes(token), token});
    if (kind == TokenKind::kAdded || kind == TokenKind::kSpecial) {
      with_special.push_back({vocab.bytes(token), token});
    }
  }
  vocab.always_ = AddedMatcher(std::move(always));
  vocab.with_special_ = AddedMatcher(std::move(with_special));
  if (const auto* twice = vocab.with_special_.FirstRepeated()) {
    return CorruptError(absl::StrCat("two added tokens are \"", Shown(twice->bytes), "\""));
  }
  SCOUT_RETURN_IF_ERROR(vocab.IndexOrdinary());
  return vocab;
}

absl::Status Vocab::IndexOrdinary() {
  seed_ = XXH3_64bits(arena_.data(), arena_.size());
  size_t ordinary = 0;
  for (const Span& s : spans_) ordinary += s.kind == TokenKind::kOrdinary ? 1 : 0;
  size_t n_slots = 16;
  while (n_slots < 2 * ordinary) n_slots *= 2;
  slots_.resize(n_slots);
  byte_tokens_.fill(-1);
  for (int64_t id = 0; id < size(); ++id) {
    const auto token = static_cast<int32_t>(id);
    if (kind(token) != TokenKind::kOrdinary) continue;
    const std::string_view key = bytes(token);
    const uint64_t hash = XXH3_64bits_withSeed(key.data(), key.size(), seed_);
    size_t at = hash & (n_slots - 1);
    for (; slots_[at].id >= 0; at = (at + 1) & (n_slots - 1)) {
      if (bytes(slots_[at].id) == key) {
        return CorruptError(absl::StrCat("tokens ", slots_[at].id, " and ", token,
                                         " are the same (\"", Shown(key), "\")"));
      }
    }
    slots_[at] = {static_cast<uint32_t>(hash >> 32), token};
    longest_ordinary_ = std::max(longest_ordinary_, key.size());
    if (key.size() == 1) byte_tokens_[static_cast<uint8_t>(key[0])] = token;
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (byte_tokens_[static_cast<size_t>(byte)] < 0) {
      return CorruptError(absl::StrCat("the vocabulary has no token for the byte 0x",
                                       absl::Hex(byte, absl::kZeroPad2)));
    }
  }
  return absl::OkStatus();
}

int32_t Vocab::FindOrdinary(std::string_view key) const {
  if (key.size() > longest_ordinary_) return -1;
  const uint64_t hash = XXH3_64bits_withSeed(key.data(), key.size(), seed_);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && bytes(slots_[at].id) == key) return slots_[at].id;
  }
  return -1;
}

int32_t Vocab::Find(std::string_view name) const {
  const int32_t added = with_special_.Find(name);
  return added >= 0 ? added : FindOrdinary(name);
}

}  // namespace scout

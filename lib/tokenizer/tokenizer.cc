// Encoding and decoding. SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/tokenizer.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/long_runs.h"
#include "lib/tokenizer/utf8.h"

namespace scout {

// Bytes of a text for which a cache is worth its making.
constexpr size_t kCacheFrom = 8192;

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

absl::Status Tokenizer::Impl::EncodePiece(std::string_view piece, BpeScratch* scratch,
                                          std::vector<int32_t>* out) const {
  const int32_t id = vocab.FindOrdinary(piece);
  if (id >= 0 && whole[static_cast<size_t>(id)]) {
    out->push_back(id);
    return absl::OkStatus();
  }
  if (piece.size() > kMaxPieceBytes) {
    return CapacityError(absl::StrCat(piece.size(), " bytes of text without a place to cut"));
  }
  MergePiece(vocab, merges, piece, scratch, out);
  return absl::OkStatus();
}

// EncodePiece of text[at, at + size) by way of the cache.
absl::Status Tokenizer::Impl::EncodeSeenPiece(std::string_view text, size_t at, size_t size,
                                              BpeScratch* scratch,
                                              std::vector<int32_t>* out) const {
  const std::string_view piece = text.substr(at, size);
  if (scratch->cache == nullptr || size > PieceCache::kMaxBytes) {
    return EncodePiece(piece, scratch, out);
  }
  PieceCache::Entry key;
  const bool readable =
      std::endian::native == std::endian::little && text.size() - at >= PieceCache::kMaxBytes;
  PieceCache::Entry* entry =
      readable ? scratch->cache->AtReadable(piece, &key) : scratch->cache->At(piece, &key);
  if (PieceCache::Same(*entry, key)) {
    out->insert(out->end(), entry->ids, entry->ids + entry->n_ids);
    return absl::OkStatus();
  }
  const size_t before = out->size();
  SCOUT_RETURN_IF_ERROR(EncodePiece(piece, scratch, out));
  const size_t n_ids = out->size() - before;
  if (n_ids > PieceCache::kMaxTokens) return absl::OkStatus();
  key.n_ids = static_cast<uint8_t>(n_ids);
  std::copy(out->begin() + static_cast<ptrdiff_t>(before), out->end(), key.ids);
  *entry = key;
  return absl::OkStatus();
}

// Bytes that are not UTF-8 have no pieces. As tiktoken does it, the valid front is encoded as text;
// the tokens of its last piece (and of the white space around, whose cut may depend on what comes)
// are taken back, and their bytes with all that follow are merged as one piece.
absl::Status Tokenizer::Impl::EncodeUncut(std::string_view text, BpeScratch* scratch,
                                          std::vector<int32_t>* out) const {
  const size_t first_token = out->size();
  const size_t valid = ValidUtf8Prefix(text);
  const std::string_view front = text.substr(0, valid);
  size_t last_piece = first_token;  // where its tokens start
  for (size_t at = 0; at < front.size();) {
    last_piece = out->size();
    const size_t end = PieceEnd(rule, front, at);
    SCOUT_RETURN_IF_ERROR(EncodeSeenPiece(front, at, end - at, scratch, out));
    at = end;
  }
  if (valid == text.size()) return absl::OkStatus();

  const auto all_space = [&](int32_t id) {
    return vocab.bytes(id).find_first_not_of(" \n\t") == std::string_view::npos;
  };
  if (last_piece < out->size() && all_space((*out)[last_piece])) {
    while (last_piece > first_token && all_space((*out)[last_piece - 1])) --last_piece;
  }
  size_t taken_back = 0;
  for (size_t i = last_piece; i < out->size(); ++i) taken_back += vocab.bytes((*out)[i]).size();
  out->resize(last_piece);
  return EncodePiece(text.substr(valid - taken_back), scratch, out);
}

absl::Status Tokenizer::Impl::EncodePlain(std::string_view text, BpeScratch* scratch,
                                          std::vector<int32_t>* out) const {
  const bool cut = cuts_long_runs && ValidUtf8Prefix(text) == text.size();
  for (size_t at = 0; at < text.size();) {
    const size_t end = cut ? LongRunEnd(text, at) : text.size();
    SCOUT_RETURN_IF_ERROR(EncodeUncut(text.substr(at, end - at), scratch, out));
    at = end;
  }
  return absl::OkStatus();
}

// A cut comes before the search for special tokens, and so through one that it meets.
absl::Status Tokenizer::Impl::EncodeText(std::string_view text, bool allow_special,
                                         BpeScratch* scratch, std::vector<int32_t>* out) const {
  const AddedMatcher& added = vocab.added(allow_special);
  const bool cut = cuts_long_runs && ValidUtf8Prefix(text) == text.size();
  for (size_t at = 0; at < text.size();) {
    const size_t end = cut ? LongRunEnd(text, at) : text.size();
    const std::string_view uncut = text.substr(0, end);
    while (at < end) {
      const AddedMatcher::Match match = added.Next(uncut, at);
      SCOUT_RETURN_IF_ERROR(EncodeUncut(uncut.substr(at, match.at - at), scratch, out));
      if (match.id >= 0) out->push_back(match.id);
      at = match.at + match.size;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text,
                                                       const EncodeOptions& options) const {
  std::vector<int32_t> out;
  out.reserve(text.size() / 4 + 8);
  if (options.bos && impl_->bos >= 0) out.push_back(impl_->bos);
  BpeScratch scratch;
  if (text.size() >= kCacheFrom) scratch.cache = std::make_unique<PieceCache>();
  SCOUT_RETURN_IF_ERROR(impl_->EncodeText(text, options.allow_special, &scratch, &out));
  return out;
}

absl::StatusOr<std::string> Tokenizer::Decode(const int32_t* ids, int64_t n,
                                              bool skip_special) const {
  std::string out;
  for (int64_t i = 0; i < n; ++i) {
    if (!IsValid(ids[i])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "id ", ids[i], " at position ", i, " is not in the vocabulary (", vocab_size(), " ids)"));
    }
    if (skip_special && IsSpecial(ids[i])) continue;
    out += impl_->vocab.bytes(ids[i]);
  }
  return out;
}

std::string_view Tokenizer::TokenBytes(int32_t id) const {
  return IsValid(id) ? impl_->vocab.bytes(id) : std::string_view();
}
bool Tokenizer::IsSpecial(int32_t id) const {
  return IsValid(id) && impl_->vocab.kind(id) == TokenKind::kSpecial;
}
bool Tokenizer::IsValid(int32_t id) const { return impl_->vocab.Has(id); }
bool Tokenizer::IsEnd(int32_t id) const {
  return std::binary_search(impl_->ends.begin(), impl_->ends.end(), id);
}
int32_t Tokenizer::Find(std::string_view name) const { return impl_->vocab.Find(name); }
int32_t Tokenizer::bos() const { return impl_->bos; }
int64_t Tokenizer::vocab_size() const { return impl_->vocab.size(); }
const std::string& Tokenizer::digest() const { return impl_->digest; }

}  // namespace scout

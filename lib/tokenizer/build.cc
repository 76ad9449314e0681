// Puts a tokenizer together from what a file says, and digests what decides its ids.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/shown.h"
#include "lib/util/digest.h"

namespace scout {
namespace {

// Little-endian, so that a digest is the same on every machine.
void AppendU32(uint32_t v, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(v >> shift));
}

std::string VocabIdentity(const Vocab& vocab) {
  std::string identity;
  for (int64_t i = 0; i < vocab.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (!vocab.Has(id)) continue;
    AppendU32(static_cast<uint32_t>(id), &identity);
    identity.push_back(static_cast<char>(vocab.kind(id)));
    AppendU32(static_cast<uint32_t>(vocab.bytes(id).size()), &identity);
    identity += vocab.bytes(id);
  }
  return identity;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer::Impl>> Tokenizer::Impl::Build(TokenizerSource source) {
  SCOUT_ASSIGN_OR_RETURN(Vocab vocab, Vocab::Build(source.tokens));
  source.tokens = {};
  auto impl = std::make_unique<Impl>(std::move(vocab));
  impl->rule = source.rule;
  impl->cuts_long_runs = source.cuts_long_runs;
  SCOUT_RETURN_IF_ERROR(impl->FindNamedTokens(source));
  if (source.merges_by_rank) {
    impl->DeriveMerges();
  } else {
    SCOUT_RETURN_IF_ERROR(impl->AddMerges(source.merges));
  }

  std::string identity = "scout tokenizer 2";
  identity.push_back(static_cast<char>(source.rule));
  identity.push_back(source.ignore_merges ? 1 : 0);
  identity.push_back(source.cuts_long_runs ? 1 : 0);
  AppendU32(static_cast<uint32_t>(impl->bos), &identity);
  identity += VocabIdentity(impl->vocab);
  for (const MergeRow& row : impl->rows_) {
    AppendU32(static_cast<uint32_t>(row.left), &identity);
    AppendU32(static_cast<uint32_t>(row.right), &identity);
  }
  impl->rows_ = {};
  impl->digest = Xxh3Hex(identity);
  impl->FindWholeTokens(source.ignore_merges);
  return impl;
}

// A token is only ever made by the last merge of its own bytes: its parts lie between borders that
// no merge crossed, so they merged as if nothing stood around them. Of several merges that a list
// has for one token the others are therefore never made, and are left out: lists with all pairs, as
// converters of tiktoken files also write them, then are the same as lists with one.
absl::Status Tokenizer::Impl::AddMerges(const std::vector<MergeText>& texts) {
  merges = MergeTable(texts.size(), vocab.seed());
  rows_.reserve(texts.size());
  std::vector<uint8_t> n_merges(static_cast<size_t>(vocab.size()));  // by result, up to 2
  bool several = false;
  std::string joined;
  for (size_t i = 0; i < texts.size(); ++i) {
    joined.assign(texts[i].left).append(texts[i].right);
    int32_t ids[3];
    const std::string* names[3] = {&texts[i].left, &texts[i].right, &joined};
    for (int k = 0; k < 3; ++k) {
      ids[k] = vocab.FindOrdinary(*names[k]);
      if (ids[k] >= 0) continue;
      return CorruptError(absl::StrCat("merge ", i, " needs the token \"", Shown(*names[k]),
                                       "\", which does not exist"));
    }
    if (!merges.Add(vocab, ids[0], ids[1], {static_cast<uint32_t>(i), ids[2]})) {
      return CorruptError(absl::StrCat("merge ", i, " is there twice (\"", Shown(texts[i].left),
                                       "\" and \"", Shown(texts[i].right), "\")"));
    }
    rows_.push_back({ids[0], ids[1], ids[2]});
    uint8_t& count = n_merges[static_cast<size_t>(ids[2])];
    several = several || count != 0;
    count = count == 0 ? 1 : 2;
  }
  if (!several) return absl::OkStatus();

  BpeScratch scratch;
  std::vector<int32_t> parts;
  std::erase_if(rows_, [&](const MergeRow& row) {
    if (n_merges[static_cast<size_t>(row.result)] < 2) return false;
    parts.clear();
    MergeToTwo(vocab, merges, vocab.bytes(row.result), &scratch, &parts);
    return parts.size() != 2 || parts[0] != row.left || parts[1] != row.right;
  });
  merges = MergeTable(rows_.size(), vocab.seed());
  for (size_t i = 0; i < rows_.size(); ++i) {
    merges.Add(vocab, rows_[i].left, rows_[i].right, {static_cast<uint32_t>(i), rows_[i].result});
  }
  return absl::OkStatus();
}

namespace {

// tiktoken's own way, for the few tokens whose bytes need a token of higher rank on the way: the
// parts of `bytes` when two are left, or when no two neighbours are a token.
void MergeByBytes(const Vocab& vocab, std::string_view bytes, std::vector<int32_t>* out) {
  struct Part {
    size_t begin;
    int32_t with_next;  // the token of both; -1 for none
  };
  std::vector<Part> parts;
  for (size_t i = 0; i < bytes.size(); ++i) parts.push_back({i, -1});
  const auto end = [&](size_t i) {
    return i + 1 < parts.size() ? parts[i + 1].begin : bytes.size();
  };
  const auto renew = [&](size_t i) {
    parts[i].with_next = -1;
    if (i + 1 == parts.size()) return;
    const size_t begin = parts[i].begin;
    parts[i].with_next = vocab.FindOrdinary(bytes.substr(begin, end(i + 1) - begin));
  };
  for (size_t i = 0; i < parts.size(); ++i) renew(i);
  while (parts.size() > 2) {
    size_t best = parts.size();
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].with_next < 0) continue;
      if (best == parts.size() || parts[i].with_next < parts[best].with_next) best = i;
    }
    if (best == parts.size()) break;
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
    renew(best);
    if (best > 0) renew(best - 1);
  }
  out->clear();
  for (size_t i = 0; i < parts.size(); ++i) {
    out->push_back(vocab.FindOrdinary(bytes.substr(parts[i].begin, end(i) - parts[i].begin)));
  }
}

}  // namespace

// tiktoken merges two neighbours whose bytes together are a token, the lowest rank first. Since a
// token is made by one pair alone (see AddMerges), that is a list of at most one merge per token,
// in order of rank. The pair of a token is what its bytes merge to with the merges of lower rank,
// as long as these suffice.
void Tokenizer::Impl::DeriveMerges() {
  merges = MergeTable(static_cast<size_t>(vocab.size()), vocab.seed());
  rows_.reserve(static_cast<size_t>(vocab.size()));
  BpeScratch scratch;
  std::vector<int32_t> parts;
  for (int64_t i = 0; i < vocab.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (vocab.kind(id) != TokenKind::kOrdinary || vocab.bytes(id).size() < 2) continue;
    parts.clear();
    MergeToTwo(vocab, merges, vocab.bytes(id), &scratch, &parts);
    if (parts.size() > 2) MergeByBytes(vocab, vocab.bytes(id), &parts);
    if (parts.size() > 2) continue;  // never made by merging
    rows_.push_back({parts[0], parts[1], id});
    merges.Add(vocab, parts[0], parts[1], {static_cast<uint32_t>(id), id});
  }
}

absl::Status Tokenizer::Impl::FindNamedTokens(const TokenizerSource& source) {
  if (source.bos_id >= 0) {
    if (!vocab.Has(source.bos_id)) {
      return CorruptError(
          absl::StrCat("the begin-of-text id ", source.bos_id, " is not in the vocabulary"));
    }
    bos = static_cast<int32_t>(source.bos_id);
  } else if (!source.bos.empty()) {
    bos = vocab.Find(source.bos);
    if (bos < 0) {
      return CorruptError(absl::StrCat("the begin-of-text token \"", Shown(source.bos),
                                       "\" is not in the vocabulary"));
    }
  } else {
    bos = vocab.added(/*with_special=*/true).Find("<|begin_of_text|>");
  }
  for (const int64_t id : source.end_ids) {
    if (!vocab.Has(id)) {
      return CorruptError(absl::StrCat("the end id ", id, " is not in the vocabulary"));
    }
    ends.push_back(static_cast<int32_t>(id));
  }
  for (const std::string& name : source.ends) {
    const int32_t id = vocab.Find(name);
    if (id < 0) {
      return CorruptError(
          absl::StrCat("the end token \"", Shown(name), "\" is not in the vocabulary"));
    }
    ends.push_back(id);
  }
  for (const char* name : {"<|end_of_text|>", "<|eom|>", "<|eot|>", "<|eot_id|>", "<|eom_id|>"}) {
    const int32_t id = vocab.added(/*with_special=*/true).Find(name);
    if (id >= 0) ends.push_back(id);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return absl::OkStatus();
}

void Tokenizer::Impl::FindWholeTokens(bool ignore_merges) {
  whole.assign(static_cast<size_t>(vocab.size()), false);
  BpeScratch scratch;
  std::vector<int32_t> merged;
  for (int64_t i = 0; i < vocab.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (vocab.kind(id) != TokenKind::kOrdinary) continue;
    if (!ignore_merges) {
      merged.clear();
      MergePiece(vocab, merges, vocab.bytes(id), &scratch, &merged);
      if (merged.size() != 1 || merged[0] != id) continue;
    }
    whole[static_cast<size_t>(i)] = true;
  }
}

}  // namespace scout

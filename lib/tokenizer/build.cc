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
  SCOUT_RETURN_IF_ERROR(impl->FindNamedTokens(source));

  std::string identity = "scout tokenizer 1";
  identity.push_back(static_cast<char>(source.rule));
  identity.push_back(source.ignore_merges ? 1 : 0);
  AppendU32(static_cast<uint32_t>(impl->bos), &identity);
  identity += VocabIdentity(impl->vocab);
  SCOUT_RETURN_IF_ERROR(impl->AddMerges(source.merges, &identity));
  impl->digest = Xxh3Hex(identity);
  impl->FindWholeTokens(source.ignore_merges);
  return impl;
}

absl::Status Tokenizer::Impl::AddMerges(const std::vector<MergeText>& texts,
                                        std::string* identity) {
  merges = MergeTable(texts.size(), vocab.seed());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string joined = texts[i].left + texts[i].right;
    int32_t ids[3];
    const std::string* names[3] = {&texts[i].left, &texts[i].right, &joined};
    for (int k = 0; k < 3; ++k) {
      ids[k] = vocab.FindOrdinary(*names[k]);
      if (ids[k] >= 0) continue;
      return CorruptError(absl::StrCat("merge ", i, " needs the token \"", Shown(*names[k]),
                                       "\", which does not exist"));
    }
    if (!merges.Add(ids[0], ids[1], {static_cast<uint32_t>(i), ids[2]})) {
      return CorruptError(absl::StrCat("merge ", i, " is there twice (\"", Shown(texts[i].left),
                                       "\" and \"", Shown(texts[i].right), "\")"));
    }
    AppendU32(static_cast<uint32_t>(ids[0]), identity);
    AppendU32(static_cast<uint32_t>(ids[1]), identity);
  }
  return absl::OkStatus();
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

// What a Tokenizer holds, and how the readers of its files put it together.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/tokenizer/bpe.h"
#include "lib/tokenizer/pretokenize.h"
#include "lib/tokenizer/tokenizer.h"
#include "lib/tokenizer/vocab.h"

namespace scout {

// A merge as files spell it, the bytes of both halves.
struct MergeText {
  std::string left;
  std::string right;
};

// A tokenizer as a file describes it.
struct TokenizerSource {
  std::vector<VocabToken> tokens;
  std::vector<MergeText> merges;  // lowest rank first
  bool merges_by_rank =
      false;  // no list: two tokens whose bytes are a token merge, lowest id first
  bool cuts_long_runs = false;  // a text is cut where LongRunEnd says
  SplitRule rule = SplitRule::kLlama4;
  bool ignore_merges = false;     // a piece that is a token becomes it without merging
  std::string bos;                // by name, or empty
  int64_t bos_id = -1;            // by id where the file gives that
  std::vector<std::string> ends;  // names of tokens that end an answer, beside Llama 4's own
  std::vector<int64_t> end_ids;   // the same by id
};

struct Tokenizer::Impl {
  explicit Impl(Vocab v) : vocab(std::move(v)), merges(0, 0) {}

  // Merges that are in force, lowest rank first.
  struct MergeRow {
    int32_t left;
    int32_t right;
    int32_t result;
  };

  // Checks the parts against each other. The source is taken apart on the way to save memory.
  static absl::StatusOr<std::unique_ptr<Impl>> Build(TokenizerSource source);

  // Appends the ids of a text in which no token is looked for by name; any bytes.
  absl::Status EncodePlain(std::string_view text, BpeScratch* scratch,
                           std::vector<int32_t>* out) const;
  // The same with the tokens that are looked for.
  absl::Status EncodeText(std::string_view text, bool allow_special, BpeScratch* scratch,
                          std::vector<int32_t>* out) const;

  Vocab vocab;
  MergeTable merges;
  SplitRule rule = SplitRule::kLlama4;
  bool cuts_long_runs = false;
  // By id: merging the token's bytes gives the token, so a piece equal to it needs no merging.
  std::vector<bool> whole;
  int32_t bos = -1;
  std::vector<int32_t> ends;  // in order
  std::string digest;
  const char* chat_template = "none";

 private:
  std::vector<MergeRow> rows_;  // until the digest is made
  absl::Status AddMerges(const std::vector<MergeText>& texts);
  void DeriveMerges();
  absl::Status FindNamedTokens(const TokenizerSource& source);
  void FindWholeTokens(bool ignore_merges);
  absl::Status EncodeUncut(std::string_view text, BpeScratch* scratch,
                           std::vector<int32_t>* out) const;
  absl::Status EncodeSeenPiece(std::string_view text, size_t at, size_t size, BpeScratch* scratch,
                               std::vector<int32_t>* out) const;
  absl::Status EncodePiece(std::string_view piece, BpeScratch* scratch,
                           std::vector<int32_t>* out) const;
};

}  // namespace scout

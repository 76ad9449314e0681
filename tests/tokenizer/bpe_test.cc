// Byte-pair merging against its definition. SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/bpe.h"

#include <map>
#include <string>
#include <utility>

#include "tests/tokenizer/token_test_util.h"

namespace scout::test {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint64_t Below(uint64_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 11) % n;
  }

 private:
  uint64_t state_;
};

// A vocabulary of the bytes and random merges over the letters a to d.
struct RandomBpe {
  explicit RandomBpe(uint64_t seed) {
    Random random(seed);
    std::vector<std::string> names;
    std::map<std::string, int32_t> ids;
    for (int b = 0; b < 256; ++b) {
      tokens.push_back({b, TokenKind::kOrdinary, std::string(1, static_cast<char>(b))});
    }
    for (const char c : {'a', 'b', 'c', 'd'}) {
      names.push_back(std::string(1, c));
      ids[names.back()] = c;
    }
    for (uint32_t rank = 0; rank < 60; ++rank) {
      const std::string left = names[random.Below(names.size())];
      const std::string right = names[random.Below(names.size())];
      const std::string joined = left + right;
      if (joined.size() > 40 || ranks.count({ids[left], ids[right]}) != 0) continue;
      if (ids.count(joined) == 0) {
        ids[joined] = static_cast<int32_t>(tokens.size());
        tokens.push_back({ids[joined], TokenKind::kOrdinary, joined});
        names.push_back(joined);
      }
      ranks[{ids[left], ids[right]}] = {rank, ids[joined]};
    }
  }

  // The definition: again and again the leftmost pair of lowest rank.
  Ids Slowly(const std::string& piece) const {
    Ids parts;
    for (const char c : piece) parts.push_back(static_cast<uint8_t>(c));
    for (;;) {
      MergeTable::Merge best;
      size_t at = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto it = ranks.find({parts[i], parts[i + 1]});
        if (it == ranks.end() || it->second.rank >= best.rank) continue;
        best = it->second;
        at = i;
      }
      if (best.rank == MergeTable::kNoMerge) return parts;
      parts[at] = best.id;
      parts.erase(parts.begin() + static_cast<int64_t>(at) + 1);
    }
  }

  std::vector<VocabToken> tokens;
  std::map<std::pair<int32_t, int32_t>, MergeTable::Merge> ranks;
};

TEST(Bpe, EqualsItsDefinition) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const RandomBpe random_bpe(seed);
    const auto vocab = Vocab::Build(random_bpe.tokens);
    ASSERT_TRUE(vocab.ok()) << vocab.status();
    MergeTable merges(random_bpe.ranks.size(), vocab->seed());
    for (const auto& [pair, merge] : random_bpe.ranks) {
      ASSERT_TRUE(merges.Add(*vocab, pair.first, pair.second, merge));
      EXPECT_FALSE(merges.Add(*vocab, pair.first, pair.second, merge));
    }
    Random random(seed + 1000);
    BpeScratch scratch;
    // Sizes on both sides of the border between the two algorithms, and repeats, where ties are.
    for (size_t size = 1; size < 200; size += size < 70 ? 1 : 17) {
      std::string piece;
      const uint64_t letters = 1 + random.Below(4);
      for (size_t i = 0; i < size; ++i)
        piece.push_back(static_cast<char>('a' + random.Below(letters)));
      Ids ids;
      MergePiece(*vocab, merges, piece, &scratch, &ids);
      const Ids slowly = random_bpe.Slowly(piece);
      ASSERT_EQ(ids, slowly) << piece;
      for (const size_t window : {1, 2, 5, 16, 40}) {
        ids.clear();
        MergePiece(*vocab, merges, piece, &scratch, &ids, window);
        ASSERT_EQ(ids, slowly) << piece << " by windows of " << window;
      }
    }
  }
}

// A quadratic algorithm would not come to an end here.
TEST(Bpe, LongPieces) {
  TokenizerJson json;
  json.pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  json.vocab = R"(,"aa":256,"aaaa":257,"ba":258,"ab":259)";
  json.merges = R"(["b a","a a","aa aa","a b"])";
  const auto tokenizer = From(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const size_t n = 400'003;
  const Ids ids = Encode(**tokenizer, std::string(n, 'a'));
  ASSERT_EQ(ids.size(), n / 4 + 2);
  EXPECT_EQ(ids[0], 257);
  EXPECT_EQ(ids[n / 4], 256);
  EXPECT_EQ(ids[n / 4 + 1], 'a');
  // Bytes that are not UTF-8 make one piece of all that follows.
  const std::string bytes = "\xFF" + std::string(n, 'a');
  EXPECT_EQ(Encode(**tokenizer, bytes).size(), n / 4 + 3);
  EXPECT_EQ(Decode(**tokenizer, Encode(**tokenizer, bytes)), bytes);
}

// Without ignore_merges a token that merging cannot make is not made, even for a piece equal to it.
TEST(Bpe, TokensWithoutMerges) {
  TokenizerJson json;
  json.vocab = R"(,"ab":256,"abc":257)";
  json.merges = R"(["a b"])";
  auto tokenizer = From(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, "abc"), (Ids{256, 'c'}));
  json.extra_model = "\"ignore_merges\":true,";
  tokenizer = From(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, "abc"), (Ids{257}));
  EXPECT_EQ(Encode(**tokenizer, "abcc"), (Ids{256, 'c', 'c'}));
}

TEST(AddedTokens, LeftmostThenLongest) {
  TokenizerJson json;
  json.added_tokens = R"([{"id":256,"content":"<a>","special":true},
      {"id":257,"content":"<a><b>","special":true},{"id":258,"content":"<x","special":true},
      {"id":259,"content":"##","special":false}])";
  const auto tokenizer = From(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, "<a><b><a>x<x", true), (Ids{257, 256, 'x', 258}));
  EXPECT_EQ(Encode(**tokenizer, "<a><c", true), (Ids{256, '<', 'c'}));
  EXPECT_EQ(Encode(**tokenizer, "###", true), (Ids{259, '#'}));
  // A token that is not special is found in every text.
  EXPECT_EQ(Encode(**tokenizer, "<a>##"), (Ids{'<', 'a', '>', 259}));
  EXPECT_FALSE((*tokenizer)->IsSpecial(259));
}

// Bytes that are not UTF-8: the last piece before them is taken back, and the white space with it.
TEST(InvalidUtf8, ByteRule) {
  TokenizerJson json;
  json.vocab = ",\"ab\":256," + JsonString(ByteLevel("b\xFF")) + ":257," +
               JsonString(ByteLevel("\n\xFF")) + ":258," + JsonString(ByteLevel("\n\n")) + ":259";
  json.merges = "[[\"a\",\"b\"],[\"b\"," + JsonString(ByteLevel("\xFF")) + "],[" +
                JsonString(ByteLevel("\n")) + "," + JsonString(ByteLevel("\xFF")) + "],[" +
                JsonString(ByteLevel("\n")) + "," + JsonString(ByteLevel("\n")) + "]]";
  const auto tokenizer = From(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, "cb\xFF"), (Ids{'c', 257}));
  EXPECT_EQ(Encode(**tokenizer, "ab\xFF"), (Ids{256, 0xFF}));
  EXPECT_EQ(Encode(**tokenizer, "x\n\n\xFF"), (Ids{'x', '\n', 258}));
  EXPECT_EQ(Encode(**tokenizer,
                   "\xFF"
                   "ab"),
            (Ids{0xFF, 256}));
  EXPECT_EQ(Encode(**tokenizer, "\xE2\x82"), (Ids{0xE2, 0x82}));
}

}  // namespace
}  // namespace scout::test

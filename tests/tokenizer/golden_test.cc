// Encodings of the repository's own small vocabularies, as the `tokenizers` package makes them.
// SPDX-License-Identifier: Apache-2.0
#include "tests/tokenizer/token_test_util.h"

namespace scout::test {
namespace {

const std::string kGolden = SCOUT_SOURCE_DIR "/tests/golden/tokenizer/";

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, EncodingsAreEqual) {
  const TokenizerPtr tokenizer = LoadTokenizer(kGolden + GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const Json goldens = ReadJsonFile(kGolden + GetParam() + "/encodings.json");
  int64_t compared = 0;
  for (const Json& c : At(goldens, "cases").items()) {
    const bool special = At(c, "special").as_bool();
    if (c.find("repeat") == nullptr) {
      const std::string text =
          c.find("hex") != nullptr ? FromHex(At(c, "hex").as_string()) : At(c, "text").as_string();
      const Ids ids = Encode(*tokenizer, text, special);
      EXPECT_EQ(ids, IntsAt(c, "ids")) << testing::PrintToString(text);
      EXPECT_EQ(Decode(*tokenizer, ids), text);
    } else {
      std::string text;
      for (int64_t i = 0; i < At(c, "times").as_int(); ++i) text += At(c, "repeat").as_string();
      const Ids ids = Encode(*tokenizer, text, special);
      EXPECT_EQ(static_cast<int64_t>(ids.size()), At(c, "count").as_int()) << text.substr(0, 20);
      const Ids head = IntsAt(c, "head");
      EXPECT_EQ(Ids(ids.begin(), ids.begin() + std::min(ids.size(), head.size())), head);
      EXPECT_EQ(Fnv1a64(ids), At(c, "fnv1a64").as_string()) << text.substr(0, 20);
      EXPECT_EQ(Decode(*tokenizer, ids), text);
    }
    ++compared;
  }
  EXPECT_GE(compared, 130);
}

TEST_P(Golden, SpecialTokensAreTextUnlessAskedFor) {
  const TokenizerPtr tokenizer = LoadTokenizer(kGolden + GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "a<|eot|>b";
  const int32_t eot = tokenizer->Find("<|eot|>");
  const Ids asked = Encode(*tokenizer, text, /*special=*/true);
  EXPECT_EQ(asked, (Ids{tokenizer->Find("a"), eot, tokenizer->Find("b")}));
  const Ids plain = Encode(*tokenizer, text);
  for (const int32_t id : plain) EXPECT_FALSE(tokenizer->IsSpecial(id));
  EXPECT_EQ(Decode(*tokenizer, plain), text);
  EXPECT_EQ(Decode(*tokenizer, asked), text);
  EXPECT_EQ(Decode(*tokenizer, asked, /*skip_special=*/true), "ab");
}

TEST_P(Golden, KnowsItsTokens) {
  const TokenizerPtr tokenizer = LoadTokenizer(kGolden + GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const int32_t size = std::string(GetParam()) == "tiktoken" ? 493 + 2048 : 512;
  EXPECT_EQ(tokenizer->vocab_size(), size);
  const int32_t bos = tokenizer->Find("<|begin_of_text|>");
  EXPECT_GE(bos, 0);
  EXPECT_EQ(tokenizer->bos(), bos);
  EXPECT_EQ(Encode(*tokenizer, "a", false, /*bos=*/true), (Ids{bos, tokenizer->Find("a")}));
  for (const char* name : {"<|end_of_text|>", "<|eom|>", "<|eot|>"}) {
    const int32_t id = tokenizer->Find(name);
    ASSERT_GE(id, 0) << name;
    EXPECT_TRUE(tokenizer->IsEnd(id));
    EXPECT_TRUE(tokenizer->IsSpecial(id));
    EXPECT_EQ(tokenizer->TokenBytes(id), name);
  }
  EXPECT_FALSE(tokenizer->IsEnd(bos));
  EXPECT_EQ(tokenizer->Find("no such token"), -1);
  for (int32_t id = 0; id < size; ++id) EXPECT_TRUE(tokenizer->IsValid(id)) << id;
  EXPECT_FALSE(tokenizer->IsValid(-1));
  EXPECT_FALSE(tokenizer->IsValid(size));
  EXPECT_TRUE(tokenizer->TokenBytes(size).empty());
  EXPECT_FALSE(tokenizer->IsSpecial(size));
  for (const Ids& bad : {Ids{0, -1}, Ids{size}, Ids{1, 2, INT32_MAX}}) {
    const auto text = tokenizer->Decode(bad.data(), static_cast<int64_t>(bad.size()), false);
    ExpectStatus(text.status(), absl::StatusCode::kInvalidArgument,
                 {std::to_string(bad.back()), "not in the vocabulary"});
  }
}

// Bytes that are not UTF-8 come back as they were, alone and between valid text.
TEST_P(Golden, AnyBytesComeBack) {
  const TokenizerPtr tokenizer = LoadTokenizer(kGolden + GetParam());
  ASSERT_NE(tokenizer, nullptr);
  uint64_t state = 88172645463325252u;
  const auto next = [&state] {  // xorshift
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (uint64_t n = next() % 60; n > 0; --n) {
      const uint64_t r = next();
      if (r % 4 == 0) bytes += "the \n";
      if (r % 7 == 0) bytes += "<|eot|>";
      bytes.push_back(static_cast<char>(r >> 32));
    }
    for (const bool special : {false, true}) {
      EXPECT_EQ(Decode(*tokenizer, Encode(*tokenizer, bytes, special)), bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Golden, testing::Values("llama4", "digits", "tiktoken"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Digest, SaysWhatDecidesIds) {
  const TokenizerPtr llama4 = LoadTokenizer(kGolden + "llama4");
  const TokenizerPtr digits = LoadTokenizer(kGolden + "digits");
  ASSERT_TRUE(llama4 != nullptr && digits != nullptr);
  EXPECT_EQ(llama4->digest().size(), 32u);
  EXPECT_NE(llama4->digest(), digits->digest());
  EXPECT_EQ(llama4->digest(), LoadTokenizer(kGolden + "llama4/tokenizer.json")->digest());

  TokenizerJson plain;
  plain.vocab = R"(,"ab":256,"bc":257)";
  plain.merges = R"(["a b","b c"])";
  const auto digest = [](const TokenizerJson& json) {
    const auto t = From(json);
    EXPECT_TRUE(t.ok()) << t.status();
    return t.ok() ? (*t)->digest() : "";
  };
  TokenizerJson same = plain;
  same.vocab = R"(,"bc":257,"ab":256)";
  same.merges = R"([["a","b"],["b","c"]])";
  EXPECT_EQ(digest(plain), digest(same));
  TokenizerJson other_order = plain;
  other_order.merges = R"(["b c","a b"])";
  TokenizerJson other_ids = plain;
  other_ids.vocab = R"(,"ab":257,"bc":256)";
  TokenizerJson other_rule = plain;
  other_rule.extra_model = R"("ignore_merges":true,)";
  TokenizerJson special = plain;
  special.added_tokens = R"([{"id":258,"content":"<s>","special":true}])";
  for (const TokenizerJson& other : {other_order, other_ids, other_rule, special}) {
    EXPECT_NE(digest(plain), digest(other));
  }
}

}  // namespace
}  // namespace scout::test

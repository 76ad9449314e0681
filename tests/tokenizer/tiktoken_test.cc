// tiktoken files: the parser, the special tokens behind them, what they share with tokenizer.json.
// SPDX-License-Identifier: Apache-2.0
#include "lib/tokenizer/tiktoken.h"

#include <set>

#include "absl/strings/escaping.h"
#include "lib/format/file.h"
#include "tests/tokenizer/token_test_util.h"
#include "tests/util/temp_folder.h"

namespace scout::test {
namespace {

const std::string kGolden = SCOUT_SOURCE_DIR "/tests/golden/tokenizer/";

std::string Line(std::string_view bytes, int64_t rank) {
  return absl::StrCat(absl::Base64Escape(AbslView(bytes)), " ", rank, "\n");
}

// The 256 bytes in order.
std::string BytesFile() {
  std::string file;
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    file += Line(std::string_view(&byte, 1), b);
  }
  return file;
}

std::string GoldenFile() {
  auto file = ReadWholeFile(kGolden + "tiktoken/tokenizer.model", 1 << 20);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *file : "";
}

TEST(Tiktoken, ReadsEveryToken) {
  const auto tokens = ParseTiktoken(BytesFile() + "YWI= 256\nYWJj 257");  // no line feed at the end
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 258u);
  for (int b = 0; b < 256; ++b) {
    EXPECT_EQ((*tokens)[static_cast<size_t>(b)], std::string(1, static_cast<char>(b)));
  }
  EXPECT_EQ((*tokens)[256], "ab");
  EXPECT_EQ((*tokens)[257], "abc");
}

struct BadFile {
  const char* name;
  std::string behind;  // what follows the 256 bytes
  int64_t offset;      // of the bad line, behind them
  std::vector<std::string> says;
};

TEST(Tiktoken, EachFaultSaysLineAndOffset) {
  const std::string bytes = BytesFile();
  const std::string longest(256, 'x');
  const std::vector<BadFile> cases = {
      {"base64 digit", "YW!= 256\n", 0, {"line 257", "base64", "YW!="}},
      {"base64 length", "YWI 256\n", 0, {"line 257", "base64"}},
      {"padding inside", "YW==YWJj 256\n", 0, {"line 257", "base64"}},
      {"padding alone", "==== 256\n", 0, {"line 257", "base64"}},
      {"bits left over, one padding", "YWJ= 256\n", 0, {"line 257", "base64"}},
      {"bits left over, two", "YW== 256\nYX== 257\n", 0, {"line 257"}},
      {"empty token", " 256\n", 0, {"line 257", "base64"}},
      {"empty line", "YWI= 256\n\nYWJj 257\n", 9, {"line 258", "empty"}},
      {"carriage return", "YWI= 256\r\n", 0, {"line 257", "256\\r"}},
      {"no rank", "YWI=\n", 0, {"line 257", "a space and a rank"}},
      {"rank empty", "YWI= \n", 0, {"line 257", "rank \"\""}},
      {"gap", "YWI= 257\n", 0, {"line 257", "\"257\"", "expected 256"}},
      {"rank again", "YWI= 255\n", 0, {"line 257", "\"255\"", "expected 256"}},
      {"out of order", "YWI= 257\nYWJj 256\n", 0, {"line 257", "\"257\""}},
      {"negative", "YWI= -1\n", 0, {"line 257", "\"-1\""}},
      {"leading zero", "YWI= 0256\n", 0, {"line 257", "0256"}},
      {"past 64 bits", "YWI= 99999999999999999999999\n", 0, {"line 257", "99999"}},
      {"two spaces", "YWI=  256\n", 0, {"line 257", "\" 256\""}},
      {"more behind the rank", "YWI= 256 x\n", 0, {"line 257", "256 x"}},
      {"NUL", std::string("YWI= 256\0\n", 10), 0, {"line 257", "\\x00"}},
      {"long line", std::string(100000, 'A') + " 256\n", 0, {"line 257", "longer than 360"}},
      {"long token", Line(longest + longest, 256), 0, {"line 257", "longer than 360"}},
      {"token twice", "YWI= 256\nYWJj 257\nYWI= 258\n", 18, {"line 259", "line 257", "\"ab\""}},
      {"byte twice", "YWI= 256\nYQ== 257\n", 9, {"line 258", "line 98", "\"a\""}},
  };
  for (const BadFile& c : cases) {
    SCOPED_TRACE(c.name);
    const auto tokenizer = Tokenizer::FromTiktoken(bytes + c.behind);
    ASSERT_FALSE(tokenizer.ok());
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kDataLoss);
    for (const std::string& text : c.says) {
      EXPECT_NE(std::string(tokenizer.status().message()).find(text), std::string::npos)
          << "\"" << text << "\" in " << tokenizer.status();
    }
    EXPECT_EQ(PlaceOf(tokenizer.status()).offset, static_cast<int64_t>(bytes.size()) + c.offset);
  }
  EXPECT_TRUE(Tokenizer::FromTiktoken(bytes + Line(longest, 256)).ok());
  ExpectStatus(Tokenizer::FromTiktoken("").status(), absl::StatusCode::kDataLoss, {"empty"});
  ExpectStatus(Tokenizer::FromTiktoken("\n\x0e\n\x05<unk>").status(), absl::StatusCode::kDataLoss,
               {"line 1", "SentencePiece"});
  // Each byte left out in turn; the ranks close up.
  for (const int missing : {0, 10, 97, 255}) {
    std::string file;
    for (int b = 0, rank = 0; b < 256; ++b) {
      const char byte = static_cast<char>(b);
      if (b != missing) file += Line(std::string_view(&byte, 1), rank++);
    }
    ExpectStatus(Tokenizer::FromTiktoken(file).status(), absl::StatusCode::kDataLoss,
                 {"no token for the byte", absl::StrCat(absl::Hex(missing, absl::kZeroPad2))});
  }
}

// An error, or a tokenizer of that many ranks: nothing else, at whatever byte the file ends.
TEST(Tiktoken, CutAtEveryLength) {
  const std::string file = GoldenFile();
  int64_t whole = 0;
  for (size_t size = 0; size <= file.size(); ++size) {
    const auto tokens = ParseTiktoken(std::string_view(file).substr(0, size));
    if (!tokens.ok()) {
      EXPECT_EQ(tokens.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    ++whole;
    EXPECT_EQ(file.compare(0, size, file, 0, size), 0);
  }
  EXPECT_GE(whole, 2 * 400);  // with and without the last line feed
  EXPECT_LT(whole, 4 * 493);
}

TEST(Tiktoken, SpecialTokens) {
  const std::vector<std::string> names = Llama4SpecialTokens();
  ASSERT_EQ(names.size(), 2048u);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 2048u);
  const std::vector<std::pair<size_t, const char*>> some = {
      {0, "<|begin_of_text|>"},
      {1, "<|end_of_text|>"},
      {5, "<|header_start|>"},
      {6, "<|header_end|>"},
      {7, "<|eom|>"},
      {8, "<|eot|>"},
      {16, "<|python_start|>"},
      {17, "<|python_end|>"},
      {18, "<|finetune_right_pad|>"},
      {79, "<|text_post_train_reserved_special_token_68|>"},
      {80, "<|image_start|>"},
      {81, "<|image_end|>"},
      {84, "<|tile_x_separator|>"},
      {85, "<|tile_y_separator|>"},
      {90, "<|image|>"},
      {92, "<|patch|>"},
      {1133, "<|vision_reserved_special_token_1047|>"},
      {1142, "<|reasoning_thinking_start|>"},
      {1143, "<|reasoning_thinking_end|>"},
      {1144, "<|reserved_special_token_0|>"},
      {2047, "<|reserved_special_token_903|>"}};
  for (const auto& [place, name] : some) EXPECT_EQ(names[place], name) << place;
}

// Merges derived from ranks give what the list of tokenizer.json gives, wherever no run is cut.
TEST(Tiktoken, EncodesAsTokenizerJson) {
  const TokenizerPtr json = LoadTokenizer(kGolden + "llama4");
  const TokenizerPtr tiktoken = LoadTokenizer(kGolden + "tiktoken");
  ASSERT_TRUE(json != nullptr && tiktoken != nullptr);
  const Json goldens = ReadJsonFile(kGolden + "llama4/encodings.json");
  int compared = 0;
  for (const Json& c : At(goldens, "cases").items()) {
    if (c.find("text") == nullptr) continue;
    const std::string& text = At(c, "text").as_string();
    EXPECT_EQ(Encode(*tiktoken, text), Encode(*json, text));
    ++compared;
  }
  EXPECT_GE(compared, 100);
  EXPECT_NE(json->digest(), tiktoken->digest());  // fewer special tokens, and no cut
}

// A rank may be lower than that of a token that its bytes need on the way.
TEST(Tiktoken, RanksOutOfMergingOrder) {
  // "abc" (256) needs "ab" (257); "xyz" (258) can never be made by merging.
  const auto tokenizer = Tokenizer::FromTiktoken(BytesFile() + Line("abc", 256) + Line("ab", 257) +
                                                 Line("xyz", 258) + Line("abcabc", 259));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, "abc"), Ids{256});
  EXPECT_EQ(Encode(**tokenizer, "abcabc"), Ids{259});
  EXPECT_EQ(Encode(**tokenizer, "dabcab"), (Ids{'d', 256, 257}));
  EXPECT_EQ(Encode(**tokenizer, "xyz"), Ids{258});  // a whole piece
  EXPECT_EQ(Encode(**tokenizer, "wxyz"), (Ids{'w', 'x', 'y', 'z'}));
}

TEST(Tiktoken, CutsLongRunsAndNothingElseDoes) {
  const TokenizerPtr json = LoadTokenizer(kGolden + "llama4");
  const TokenizerPtr tiktoken = LoadTokenizer(kGolden + "tiktoken");
  ASSERT_TRUE(json != nullptr && tiktoken != nullptr);
  std::string run = "xx";
  while (run.size() < 25000) run += "the";
  run.resize(25000);  // ends within "the", whose last two letters are a token
  EXPECT_EQ(Encode(*tiktoken, run), Encode(*json, run));
  const std::string longer = run + "e and more";
  Ids cut = Encode(*json, run);
  for (const int32_t id : Encode(*json, "e and more")) cut.push_back(id);
  EXPECT_EQ(Encode(*tiktoken, longer), cut);
  EXPECT_NE(Encode(*json, longer), cut);
  // Bytes that are not UTF-8 have no characters to count.
  EXPECT_EQ(Encode(*tiktoken, longer + "\xFF"), Encode(*json, longer + "\xFF"));
  // A name is not found across a cut, which comes first.
  const std::string name = std::string(24997, 'a') + "<|eot|>";
  EXPECT_EQ(Decode(*tiktoken, Encode(*tiktoken, name, true)), name);
  EXPECT_NE(Encode(*tiktoken, name, true).back(), tiktoken->Find("<|eot|>"));
  EXPECT_EQ(Encode(*json, name, true).back(), json->Find("<|eot|>"));
}

TEST(Tiktoken, IsFoundByNameAndByContent) {
  const TempFolder folder;
  const std::string file = GoldenFile();
  const std::string digest = LoadTokenizer(kGolden + "tiktoken")->digest();
  EXPECT_FALSE(Tokenizer::IsInFolder(folder.path()));
  ExpectStatus(Tokenizer::Load(folder.path()).status(), absl::StatusCode::kNotFound,
               {"tokenizer.json", "tokenizer.model"});
  for (const char* name : {"tokenizer.model", "o200k.tiktoken", "ranks"}) {
    const TokenizerPtr tokenizer = LoadTokenizer(folder.Write(name, file));
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->digest(), digest);
  }
  EXPECT_TRUE(Tokenizer::IsInFolder(folder.path()));
  EXPECT_EQ(LoadTokenizer(folder.path())->digest(), digest);
  // tokenizer.json goes first.
  auto json = ReadWholeFile(kGolden + "llama4/tokenizer.json", 1 << 20);
  ASSERT_TRUE(json.ok());
  folder.Write("tokenizer.json", *json);
  EXPECT_EQ(LoadTokenizer(folder.path())->vocab_size(), 512);
  const auto bad = Tokenizer::Load(folder.Write("bad.model", BytesFile() + "YWI= 7\n"));
  EXPECT_EQ(PlaceOf(bad.status()).file, folder.path() + "/bad.model");
  EXPECT_EQ(PlaceOf(bad.status()).offset, static_cast<int64_t>(BytesFile().size()));
}

// Lists with every pair that makes a token, and those with the one that is ever merged.
TEST(Digest, IsThatOfTheMergesInForce) {
  TokenizerJson one;
  one.vocab = R"(,"ab":256,"bc":257,"abc":258)";
  one.merges = R"(["a b","b c","ab c"])";
  TokenizerJson all = one;
  all.merges = R"(["a b","b c","ab c","a bc"])";
  TokenizerJson other = one;
  other.merges = R"(["a b","b c","a bc"])";  // "abc" is never made
  const auto from_one = From(one), from_all = From(all), from_other = From(other);
  ASSERT_TRUE(from_one.ok() && from_all.ok() && from_other.ok());
  EXPECT_EQ((*from_one)->digest(), (*from_all)->digest());
  EXPECT_NE((*from_one)->digest(), (*from_other)->digest());
  for (const char* text : {"abc", "babcbc", "bcabcab", "aabcc"}) {
    EXPECT_EQ(Encode(**from_one, text), Encode(**from_all, text));
  }
}

}  // namespace
}  // namespace scout::test

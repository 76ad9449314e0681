// The reference encodings and dialogs of ../shared/fixtures, where that folder is.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "lib/format/byte_source.h"
#include "tests/tokenizer/token_test_util.h"
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

const std::string kFixtures = SCOUT_SOURCE_DIR "/../shared/fixtures";

#define SKIP_WITHOUT_FIXTURES(path)                 \
  if (!std::filesystem::exists(kFixtures + (path))) \
  GTEST_SKIP() << "../shared/fixtures" << (path) << " is not there"

// What `xz -dc` prints; empty where xz is missing.
std::string Unpacked(const std::string& path) {
  std::string out;
  FILE* pipe = popen(("xz -dc '" + path + "' 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[65536];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) out.append(buffer, n);
  pclose(pipe);
  return out;
}

// Null where the vocabulary cannot be unpacked.
TokenizerPtr Llama4Tokenizer() {
  const std::string text = Unpacked(kFixtures + "/tokenizer/tokenizer.json.xz");
  if (text.empty()) return nullptr;
  const auto tokenizer = FromText(text);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

std::string TextOf(const Json& c) {
  if (c.find("bytes_hex") != nullptr) return FromHex(At(c, "bytes_hex").as_string());
  if (c.find("text") != nullptr) return At(c, "text").as_string();
  std::string text;
  const auto& repeat = At(c, "repeat").items();
  for (int64_t i = 0; i < repeat[1].as_int(); ++i) text += repeat[0].as_string();
  return text;
}

const std::string kTiktokenFile = kFixtures + "/tokenizer/tokenizer.model";

// The reference ids. Two cases hold runs of 30,000 characters, which only the tiktoken file's own
// rule cuts: there the others are left out.
void ExpectGoldenEncodings(const Tokenizer& tokenizer, bool cuts_long_runs) {
  EXPECT_EQ(tokenizer.vocab_size(), 202048);
  EXPECT_EQ(tokenizer.bos(), 200000);
  const Json goldens = ReadJsonFile(kFixtures + "/tokenizer/golden_encodings.json");
  const Json info = ReadJsonFile(kFixtures + "/tokenizer/tokenizer_json_info.json");
  const Ids differ = IntsAt(info, "cases_where_tokenizer_json_differs_from_tiktoken");
  EXPECT_EQ(differ.size(), 2u);
  int32_t number = 0, compared = 0;
  for (const Json& c : At(goldens, "cases").items()) {
    const std::string text = TextOf(c);
    const Ids ids = Encode(tokenizer, text, At(c, "allow_special").as_bool());
    EXPECT_EQ(Decode(tokenizer, ids), text);
    const bool differs = std::count(differ.begin(), differ.end(), number++) != 0;
    if (differs && !cuts_long_runs) continue;
    ++compared;
    EXPECT_EQ(ids, IntsAt(c, "ids")) << testing::PrintToString(text.substr(0, 200));
  }
  EXPECT_EQ(number, 450);
  EXPECT_EQ(compared, cuts_long_runs ? 450 : 448);
}

TEST(SharedTokenizer, EncodingsOfTokenizerJson) {
  SKIP_WITHOUT_FIXTURES("/tokenizer/golden_encodings.json");
  const TokenizerPtr tokenizer = Llama4Tokenizer();
  if (tokenizer == nullptr) GTEST_SKIP() << "xz is missing";
  ExpectGoldenEncodings(*tokenizer, /*cuts_long_runs=*/false);
}

TEST(SharedTokenizer, EncodingsOfTokenizerModel) {
  SKIP_WITHOUT_FIXTURES("/tokenizer/tokenizer.model");
  const TokenizerPtr tokenizer = LoadTokenizer(kTiktokenFile);
  ASSERT_NE(tokenizer, nullptr);
  ExpectGoldenEncodings(*tokenizer, /*cuts_long_runs=*/true);
}

// A GGUF file made of the vocabulary, types and merges of tokenizer.json.
TEST(SharedTokenizer, EncodingsOfGguf) {
  SKIP_WITHOUT_FIXTURES("/tokenizer/golden_encodings.json");
  const std::string text = Unpacked(kFixtures + "/tokenizer/tokenizer.json.xz");
  if (text.empty()) GTEST_SKIP() << "xz is missing";
  const auto json = ParseJson(text);
  ASSERT_TRUE(json.ok()) << json.status();
  const Json& model = At(*json, "model");
  const auto& added = At(*json, "added_tokens").items();
  const Json& vocab = At(model, "vocab");
  std::vector<std::string> tokens(vocab.items().size() + added.size()), merges;
  std::vector<int32_t> types(tokens.size(), 1);
  for (size_t i = 0; i < vocab.items().size(); ++i) {
    tokens.at(static_cast<size_t>(vocab.items()[i].as_int())) = vocab.names()[i];
  }
  for (const Json& token : added) {
    tokens.at(static_cast<size_t>(At(token, "id").as_int())) = At(token, "content").as_string();
    types.at(static_cast<size_t>(At(token, "id").as_int())) = 3;
  }
  for (const Json& merge : At(model, "merges").items()) {
    merges.push_back(merge.items()[0].as_string() + " " + merge.items()[1].as_string());
  }
  GgufBuilder builder;
  builder.Text("tokenizer.ggml.model", "gpt2").Text("tokenizer.ggml.pre", "llama4");
  builder.Strings("tokenizer.ggml.tokens", tokens).Strings("tokenizer.ggml.merges", merges);
  builder.Numbers("tokenizer.ggml.token_type", kGgufI32, types);
  builder.U32("tokenizer.ggml.bos_token_id", 200000);
  const auto gguf = ParseGguf(MemorySource(builder.Build()));
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  const auto tokenizer = Tokenizer::FromGguf(*gguf);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  ExpectGoldenEncodings(**tokenizer, /*cuts_long_runs=*/false);
  const auto from_json = Tokenizer::FromJson(*json, nullptr);
  ASSERT_TRUE(from_json.ok()) << from_json.status();
  EXPECT_EQ((*tokenizer)->digest(), (*from_json)->digest());
}

// The same tokens under the same ids, specials included.
TEST(SharedTokenizer, TokenizerModelEqualsTokenizerJson) {
  SKIP_WITHOUT_FIXTURES("/tokenizer/tokenizer.model");
  const TokenizerPtr json = Llama4Tokenizer();
  if (json == nullptr) GTEST_SKIP() << "xz is missing";
  const TokenizerPtr tiktoken = LoadTokenizer(kTiktokenFile);
  ASSERT_NE(tiktoken, nullptr);
  ASSERT_EQ(tiktoken->vocab_size(), json->vocab_size());
  for (int32_t id = 0; id < json->vocab_size(); ++id) {
    ASSERT_EQ(tiktoken->TokenBytes(id), json->TokenBytes(id)) << id;
    ASSERT_EQ(tiktoken->IsSpecial(id), json->IsSpecial(id)) << id;
    ASSERT_EQ(tiktoken->IsEnd(id), json->IsEnd(id)) << id;
  }
  EXPECT_NE(tiktoken->digest(), json->digest());  // the cut of long runs decides ids
}

// Every dialog without pictures, its tool calls as the reference encoder writes them.
TEST(SharedTokenizer, Dialogs) {
  SKIP_WITHOUT_FIXTURES("/tokenizer/golden_chat.json");
  const TokenizerPtr tokenizer = Llama4Tokenizer();
  if (tokenizer == nullptr) GTEST_SKIP() << "xz is missing";
  const Json goldens = ReadJsonFile(kFixtures + "/tokenizer/golden_chat.json");
  int compared = 0, with_pictures = 0;
  for (const Json& entry : At(goldens, "dialogs").items()) {
    const auto& dialog = At(entry, "dialog").items();
    if (std::any_of(dialog.begin(), dialog.end(),
                    [](const Json& m) { return At(m, "content").is_array(); })) {
      EXPECT_NE(entry.find("image_tiles"), nullptr);
      ++with_pictures;
      continue;
    }
    std::vector<ChatMessage> messages;
    for (const Json& m : dialog) {
      messages.push_back({At(m, "role").as_string(), At(m, "content").as_string()});
      if (const Json* stop = m.find("stop_reason"); stop != nullptr) {
        messages.back().end =
            stop->as_string() == "end_of_message" ? MessageEnd::kMessage : MessageEnd::kTurn;
      }
      if (const Json* calls = m.find("tool_calls"); calls != nullptr) {
        for (const Json& c : calls->items()) {
          messages.back().calls.push_back(
              {At(c, "tool_name").as_string(), At(c, "arguments_json").as_string()});
        }
      }
    }
    const auto chat = [&] {
      const auto ids = tokenizer->Chat(messages.data(), static_cast<int64_t>(messages.size()),
                                       {.style = ToolStyle::kReference});
      EXPECT_TRUE(ids.ok()) << ids.status();
      return ids.ok() ? *ids : Ids();
    };
    EXPECT_EQ(chat(), IntsAt(entry, "ids"));
    for (ChatMessage& m : messages) m.end = MessageEnd::kAuto;  // the same end by itself
    EXPECT_EQ(chat(), IntsAt(entry, "ids"));
    ++compared;
  }
  EXPECT_EQ(compared, 10);
  EXPECT_EQ(with_pictures, 2);
}

// The vocabulary in a GGUF file and the tokenizer.json beside it are the same tokenizer.
TEST(SharedTokenizer, GgufEqualsJson) {
  SKIP_WITHOUT_FIXTURES("/gguf");
  int compared = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kFixtures + "/gguf")) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() != ".gguf" || path.string().find("split") != std::string::npos) continue;
    const auto json = path.parent_path() / "tokenizer.json";
    if (!std::filesystem::exists(json)) continue;
    const auto from_gguf = Tokenizer::Load(path.string());
    if (from_gguf.status().code() == absl::StatusCode::kUnimplemented) continue;  // its tensors
    ASSERT_TRUE(from_gguf.ok()) << path << ": " << from_gguf.status();
    const TokenizerPtr from_json = LoadTokenizer(json.string());
    ASSERT_NE(from_json, nullptr);
    EXPECT_EQ((*from_gguf)->digest(), from_json->digest()) << path;
    EXPECT_EQ((*from_gguf)->bos(), from_json->bos());
    for (int32_t id = 0; id < from_json->vocab_size(); ++id) {
      EXPECT_EQ((*from_gguf)->TokenBytes(id), from_json->TokenBytes(id));
      EXPECT_EQ((*from_gguf)->IsSpecial(id), from_json->IsSpecial(id));
      EXPECT_EQ((*from_gguf)->IsEnd(id), from_json->IsEnd(id));
    }
    ++compared;
  }
  EXPECT_GE(compared, 1);
}

TEST(SharedTokenizer, Folders) {
  SKIP_WITHOUT_FIXTURES("");
  int loaded = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFixtures)) {
    if (!std::filesystem::exists(entry.path() / "tokenizer.json")) continue;
    const TokenizerPtr tokenizer = LoadTokenizer(entry.path().string());
    ASSERT_NE(tokenizer, nullptr);
    const std::string text = "The key is 4096, isn't it? \u4f60\u597d \xFF <|eot|>\n";
    for (const bool special : {false, true}) {
      EXPECT_EQ(Decode(*tokenizer, Encode(*tokenizer, text, special)), text) << entry.path();
    }
    EXPECT_FALSE(Chat(*tokenizer, {{"user", "Hello"}}).empty());
    ++loaded;
  }
  EXPECT_GE(loaded, 1);
}

// Ids that the `tokenizers` package gives.
TEST(SharedTokenizer, NeedleTrial) {
  SKIP_WITHOUT_FIXTURES("/needle-trial");
  const TokenizerPtr tokenizer = LoadTokenizer(kFixtures + "/needle-trial");
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->vocab_size(), 2048);
  EXPECT_EQ(tokenizer->bos(), 0);
  EXPECT_TRUE(tokenizer->IsEnd(4));
  EXPECT_EQ(Encode(*tokenizer, "The secret number of 1234 is\n  42, don't ask."),
            (Ids{322, 468, 1152, 89, 318, 307, 226,  22,  23,  24, 25, 283,
                 204, 226, 226,  25, 23,  17,  1071, 546, 360, 80, 19}));
}

}  // namespace
}  // namespace scout::test

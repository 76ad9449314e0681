// Vocabularies that are wrong in one place. SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "lib/format/byte_source.h"
#include "tests/tokenizer/token_test_util.h"
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

struct BadJson {
  const char* name;
  std::function<void(TokenizerJson*)> spoil;
  absl::StatusCode code;
  std::vector<std::string> says;
};

TEST(BadTokenizerJson, EachSaysWhatIsWrong) {
  const std::vector<BadJson> cases = {
      {"normalizer", [](auto* j) { j->normalizer = R"({"type":"NFC"})"; }, kUnsupported, {"NFC"}},
      {"no pre_tokenizer",
       [](auto* j) { j->pre_tokenizer = "null"; },
       kUnsupported,
       {"pre_tokenizer"}},
      {"other pre_tokenizer",
       [](auto* j) { j->pre_tokenizer = R"({"type":"Metaspace"})"; },
       kUnsupported,
       {"Metaspace"}},
      {"prefix space",
       [](auto* j) { j->pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":true})"; },
       kUnsupported,
       {"add_prefix_space"}},
      {"unknown expression",
       [](auto* j) {
         j->pre_tokenizer =
             R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"[a-z]+"},)"
             R"("behavior":"Isolated","invert":false},)"
             R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})";
       },
       kUnsupported,
       {"[a-z]+"}},
      {"empty sequence",
       [](auto* j) { j->pre_tokenizer = R"({"type":"Sequence","pretokenizers":[]})"; },
       kUnsupported,
       {"pre_tokenizer"}},
      {"model kind", [](auto* j) { j->type = "\"Unigram\""; }, kUnsupported, {"Unigram"}},
      {"model kind a number", [](auto* j) { j->type = "3"; }, kUnsupported, {"model"}},
      {"dropout", [](auto* j) { j->extra_model = "\"dropout\":0.1,"; }, kUnsupported, {"dropout"}},
      {"byte_fallback",
       [](auto* j) { j->extra_model = "\"byte_fallback\":true,"; },
       kUnsupported,
       {"byte_fallback"}},
      {"flag of another kind",
       [](auto* j) { j->extra_model = "\"ignore_merges\":1,"; },
       kCorrupt,
       {"ignore_merges"}},
      {"suffix",
       [](auto* j) { j->extra_model = "\"end_of_word_suffix\":\"</w>\","; },
       kUnsupported,
       {"end_of_word_suffix"}},
      {"missing byte", [](auto* j) { j->without_byte = 0x41; }, kCorrupt, {"byte 0x41"}},
      {"negative id", [](auto* j) { j->vocab = R"(,"ab":-1)"; }, kCorrupt, {"ab", "-1"}},
      {"huge id", [](auto* j) { j->vocab = R"(,"ab":16777216)"; }, kCorrupt, {"16777216"}},
      {"id beyond int64",
       [](auto* j) { j->vocab = R"(,"ab":99999999999999999999)"; },
       kCorrupt,
       {"ab"}},
      {"id far away", [](auto* j) { j->vocab = R"(,"ab":16777215)"; }, kCorrupt, {"16777215"}},
      {"id a string", [](auto* j) { j->vocab = R"(,"ab":"7")"; }, kCorrupt, {"ab"}},
      {"id twice", [](auto* j) { j->vocab = R"(,"ab":65)"; }, kCorrupt, {"id 65"}},
      {"empty token", [](auto* j) { j->vocab = R"(,"":256)"; }, kCorrupt, {"256", "empty"}},
      {"token outside the alphabet",
       [](auto* j) { j->vocab = ",\"\u4f60\":256"; },
       kCorrupt,
       {"byte-level alphabet"}},
      {"merge of unknown tokens",
       [](auto* j) { j->merges = R"(["ab c"])"; },
       kCorrupt,
       {"merge 0", "\"ab\""}},
      {"merge without result",
       [](auto* j) { j->merges = R"(["a b"])"; },
       kCorrupt,
       {"merge 0", "\"ab\""}},
      {"merge twice",
       [](auto* j) {
         j->vocab = R"(,"ab":256)";
         j->merges = R"(["a b","a b"])";
       },
       kCorrupt,
       {"merge 1", "twice"}},
      {"merge of one", [](auto* j) { j->merges = R"(["ab"])"; }, kCorrupt, {"merge 0"}},
      {"merge with an empty half",
       [](auto* j) { j->merges = R"([["a",""]])"; },
       kCorrupt,
       {"merge 0"}},
      {"merge of three", [](auto* j) { j->merges = R"([["a","b","c"]])"; }, kCorrupt, {"merge 0"}},
      {"merge a number", [](auto* j) { j->merges = "[1]"; }, kCorrupt, {"merge 0"}},
      {"merges an object", [](auto* j) { j->merges = "{}"; }, kCorrupt, {"merges"}},
      {"added_tokens an object",
       [](auto* j) { j->added_tokens = "{}"; },
       kCorrupt,
       {"added_tokens"}},
      {"added token a string",
       [](auto* j) { j->added_tokens = "[\"x\"]"; },
       kCorrupt,
       {"added_tokens"}},
      {"added token without id",
       [](auto* j) { j->added_tokens = R"([{"content":"<s>"}])"; },
       kCorrupt,
       {"added_tokens"}},
      {"added token with lstrip",
       [](auto* j) { j->added_tokens = R"([{"id":256,"content":"<s>","lstrip":true}])"; },
       kUnsupported,
       {"<s>", "lstrip"}},
      {"added token twice",
       [](auto* j) {
         j->added_tokens = R"([{"id":256,"content":"<s>"},{"id":257,"content":"<s>"}])";
       },
       kCorrupt,
       {"<s>"}},
      {"added token on another id",
       [](auto* j) { j->added_tokens = R"([{"id":65,"content":"<s>"}])"; },
       kCorrupt,
       {"id 65"}},
      {"added and ordinary differ",
       [](auto* j) { j->added_tokens = R"([{"id":300,"content":"A"}])"; },
       kCorrupt,
       {"\"A\"", "300"}},
      {"added token too long",
       [](auto* j) {
         j->added_tokens = "[{\"id\":256,\"content\":\"" + std::string(1025, 'x') + "\"}]";
       },
       kUnsupported,
       {"256", "too long"}},
      {"bos of the template unknown",
       [](auto* j) {
         j->post_processor =
             R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}}]})";
       },
       kCorrupt,
       {"<s>"}},
  };
  ASSERT_TRUE(From(TokenizerJson()).ok()) << From(TokenizerJson()).status();
  for (const BadJson& bad : cases) {
    SCOPED_TRACE(bad.name);
    TokenizerJson json;
    bad.spoil(&json);
    const absl::Status status = From(json).status();
    EXPECT_EQ(status.code(), bad.code) << status;
    for (const std::string& text : bad.says) ExpectStatus(status, bad.code, {text});
  }
}

TEST(BadTokenizerJson, NotTheShapeOfATokenizer) {
  for (const char* text : {"null", "[]", "{}", "3", R"({"model":[]})", R"({"pre_tokenizer":7})",
                           R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}})"}) {
    EXPECT_FALSE(FromText(text).ok()) << text;
  }
  ExpectStatus(From(TokenizerJson(), R"({"eos_token":"</s>"})").status(), kCorrupt, {"</s>"});
  ExpectStatus(From(TokenizerJson(), R"({"bos_token":{"content":"<s>"}})").status(), kCorrupt,
               {"<s>"});
}

// A hole is no token, and nothing around it moves.
TEST(TokenizerJsonHoles, AreNotValid) {
  TokenizerJson json;
  json.added_tokens = R"([{"id":300,"content":"<s>","special":true}])";
  const auto tokenizer = From(json, R"({"bos_token":"<s>","eos_token":{"content":"<s>"}})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 301);
  EXPECT_EQ((*tokenizer)->bos(), 300);
  EXPECT_TRUE((*tokenizer)->IsEnd(300));
  EXPECT_TRUE((*tokenizer)->IsValid(255));
  EXPECT_FALSE((*tokenizer)->IsValid(256));
  EXPECT_TRUE((*tokenizer)->TokenBytes(256).empty());
  EXPECT_FALSE((*tokenizer)->IsSpecial(256));
  const int32_t hole = 299;
  ExpectStatus((*tokenizer)->Decode(&hole, 1, false).status(), absl::StatusCode::kInvalidArgument,
               {"299"});
  Detokenizer detokenizer(*tokenizer, false);
  EXPECT_EQ(detokenizer.Push(hole).status().code(), absl::StatusCode::kInvalidArgument);
}

struct GgufVocab {
  std::string model = "gpt2", pre = "llama4";
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  int64_t bos = -1;
  GgufVocab() {
    for (int b = 0; b < 256; ++b) {
      const char byte = static_cast<char>(b);
      tokens.push_back(ByteLevel(std::string_view(&byte, 1)));
      types.push_back(1);
    }
    tokens.insert(tokens.end(), {"ab", "<|begin_of_text|>", "##", "<unused>"});
    types.insert(types.end(), {1, 3, 4, 5});
    merges = {"a b"};
  }
};

absl::StatusOr<TokenizerPtr> FromGgufVocab(const GgufVocab& v) {
  GgufBuilder builder;
  builder.Text("general.architecture", "llama4");
  if (!v.model.empty()) builder.Text("tokenizer.ggml.model", v.model);
  if (!v.pre.empty()) builder.Text("tokenizer.ggml.pre", v.pre);
  builder.Strings("tokenizer.ggml.tokens", v.tokens);
  builder.Numbers("tokenizer.ggml.token_type", kGgufI32, v.types);
  builder.Strings("tokenizer.ggml.merges", v.merges);
  if (v.bos >= 0) builder.U32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(v.bos));
  const auto gguf = ParseGguf(MemorySource(builder.Build()));
  if (!gguf.ok()) return gguf.status();
  return Tokenizer::FromGguf(*gguf);
}

TEST(GgufVocabulary, Right) {
  const auto tokenizer = FromGgufVocab(GgufVocab());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->bos(), 257);
  EXPECT_EQ(Encode(**tokenizer, "ab##ab"), (Ids{256, 258, 256}));
  EXPECT_EQ(Encode(**tokenizer, "<unused>").size(), 8u);  // has an id, is never made
  EXPECT_EQ(Decode(**tokenizer, {259}), "<unused>");
  EXPECT_TRUE((*tokenizer)->IsSpecial(257));
  EXPECT_FALSE((*tokenizer)->IsSpecial(258));
}

TEST(GgufVocabulary, EachFaultIsNamed) {
  GgufVocab v;
  v.model = "";
  ExpectStatus(FromGgufVocab(v).status(), absl::StatusCode::kNotFound, {"tokenizer.ggml.model"});
  v = GgufVocab();
  v.model = "llama";
  ExpectStatus(FromGgufVocab(v).status(), kUnsupported, {"llama"});
  v = GgufVocab();
  v.pre = "qwen2";
  ExpectStatus(FromGgufVocab(v).status(), kUnsupported, {"qwen2"});
  v.pre = "";
  ExpectStatus(FromGgufVocab(v).status(), kUnsupported,
               {"tokenizer.ggml.pre is missing", "--pre-tokenizer llama4"});
  v.pre = "default";
  ExpectStatus(FromGgufVocab(v).status(), kUnsupported, {"default", "--pre-tokenizer llama4"});
  v = GgufVocab();
  v.types.pop_back();
  ExpectStatus(FromGgufVocab(v).status(), kCorrupt, {"token_type", "259", "260"});
  v = GgufVocab();
  v.types[7] = 9;
  ExpectStatus(FromGgufVocab(v).status(), kUnsupported, {"token 7", "9"});
  v = GgufVocab();
  v.tokens[256] = "a";
  ExpectStatus(FromGgufVocab(v).status(), kCorrupt, {"97", "256"});
  v = GgufVocab();
  v.tokens[256] = "a b";
  ExpectStatus(FromGgufVocab(v).status(), kCorrupt, {"token 256", "alphabet"});
  v = GgufVocab();
  v.merges = {"ab"};
  ExpectStatus(FromGgufVocab(v).status(), kCorrupt, {"merge 0"});
  v = GgufVocab();
  v.merges = {"a c"};
  ExpectStatus(FromGgufVocab(v).status(), kCorrupt, {"merge 0", "ac"});
  v = GgufVocab();
  v.bos = 260;
  ExpectStatus(FromGgufVocab(v).status(), kCorrupt, {"260"});
  v.bos = 0xFFFFFFFF;  // how some files say that there is none
  EXPECT_TRUE(FromGgufVocab(v).ok());
}

TEST(LoadTokenizer, NamesTheFile) {
  ExpectStatus(Tokenizer::Load("/nonexistent/folder").status(), absl::StatusCode::kNotFound,
               {"/nonexistent/folder"});
  ExpectStatus(Tokenizer::Load(SCOUT_SOURCE_DIR "/tests").status(), absl::StatusCode::kNotFound,
               {"tokenizer.json"});
  const std::string not_json = SCOUT_SOURCE_DIR "/tests/golden/tokenizer/training_text.txt";
  const auto status = Tokenizer::Load(not_json).status();
  EXPECT_EQ(status.code(), kCorrupt);
  EXPECT_EQ(PlaceOf(status).file, not_json);
}

}  // namespace
}  // namespace scout::test

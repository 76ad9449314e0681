// Tokenizer files cut at every length, with every bit flipped and every byte changed: an error, or
// a tokenizer that gives every text back. SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "lib/format/gguf.h"
#include "tests/fuzz/tokenizer_oracle.h"
#include "tests/tokenizer/token_test_util.h"
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

using Read = std::function<absl::StatusOr<TokenizerPtr>(const std::string&)>;

struct Outcome {
  int same = 0, other = 0, refused = 0;
};

void Count(const absl::StatusOr<TokenizerPtr>& tokenizer, const std::string& digest,
           const std::string& what, Outcome* outcome) {
  if (tokenizer.ok()) {
    ASSERT_EQ(TokenizerFault(**tokenizer), "") << what;
    ++((*tokenizer)->digest() == digest ? outcome->same : outcome->other);
    return;
  }
  ++outcome->refused;
  const absl::StatusCode code = tokenizer.status().code();
  ASSERT_TRUE(code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnimplemented ||
              code == absl::StatusCode::kNotFound)
      << what << ": " << tokenizer.status();
  ASSERT_FALSE(tokenizer.status().message().empty()) << what;
}

// Every length; of every byte the 8 bits one at a time, all bits, and 0. `step` skips bytes.
Outcome Damage(const std::string& bytes, const Read& read, size_t step = 1) {
  Outcome outcome;
  const auto whole = read(bytes);
  EXPECT_TRUE(whole.ok()) << whole.status();
  if (!whole.ok()) return outcome;
  const std::string digest = (*whole)->digest();
  for (size_t length = 0; length < bytes.size(); ++length) {
    Count(read(bytes.substr(0, length)), digest, "cut at " + std::to_string(length), &outcome);
  }
  for (size_t at = 0; at < bytes.size(); at += step) {
    const int old = static_cast<uint8_t>(bytes[at]);
    for (const int value : {old ^ 1, old ^ 2, old ^ 4, old ^ 8, old ^ 16, old ^ 32, old ^ 64,
                            old ^ 128, old ^ 255, 0}) {
      if (value == old) continue;
      std::string changed = bytes;
      changed[at] = static_cast<char>(value);
      Count(read(changed), digest, "byte " + std::to_string(at) + " = " + std::to_string(value),
            &outcome);
      if (testing::Test::HasFatalFailure()) return outcome;
    }
  }
  return outcome;
}

TEST(Damage, TokenizerJson) {
  TokenizerJson json;
  json.vocab = R"(,"th":256,"the":257)";
  json.merges = R"(["t h",["th","e"]])";
  json.added_tokens =
      R"([{"id":258,"content":"<|begin_of_text|>","special":true},{"id":259,"content":"<|eot|>","special":true}])";
  const Outcome outcome =
      Damage(json.Text(), [](const std::string& bytes) { return FromText(bytes); });
  // A cut is always seen; what changes unnoticed is another vocabulary, with another digest.
  EXPECT_GE(outcome.refused, static_cast<int>(json.Text().size()));
  EXPECT_GT(outcome.other, 0);
}

TEST(Damage, TokenizerConfigJson) {
  TokenizerJson json;
  json.added_tokens = R"([{"id":256,"content":"<|begin_of_text|>","special":true}])";
  const std::string config =
      R"({"bos_token":"<|begin_of_text|>","eos_token":{"content":"<|begin_of_text|>"},)"
      R"("chat_template":"{{ messages }}"})";
  const Outcome outcome =
      Damage(config, [&](const std::string& bytes) { return From(json, bytes); });
  EXPECT_GT(outcome.same, 0);  // the template and unknown keys
  EXPECT_GT(outcome.refused, static_cast<int>(config.size()));
}

TEST(Damage, GgufVocabulary) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    tokens.push_back(ByteLevel(std::string_view(&byte, 1)));
  }
  tokens.insert(tokens.end(), {"th", "the", "<|begin_of_text|>", "##"});
  std::vector<int32_t> types(258, 1);
  types.insert(types.end(), {3, 4});
  GgufBuilder builder;
  builder.Text("tokenizer.ggml.model", "gpt2")
      .Text("tokenizer.ggml.pre", "llama4")
      .Strings("tokenizer.ggml.merges", {"t h", "th e"})
      .Numbers("tokenizer.ggml.token_type", kGgufI32, types)
      .U32("tokenizer.ggml.bos_token_id", 258)
      .U32("tokenizer.ggml.eos_token_id", 258)
      .Strings("tokenizer.ggml.tokens", tokens);
  const std::string bytes = builder.Build();
  const Outcome outcome =
      Damage(bytes, [](const std::string& changed) -> absl::StatusOr<TokenizerPtr> {
        const auto gguf = ParseGguf(MemorySource(changed));
        if (!gguf.ok()) return gguf.status();
        return Tokenizer::FromGguf(*gguf);
      });
  EXPECT_GE(outcome.refused, static_cast<int>(bytes.size()));
  EXPECT_GT(outcome.other, 0);
}

}  // namespace
}  // namespace scout::test

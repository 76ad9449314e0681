// Tokenizer files cut at every length, with every bit flipped and every byte changed: an error, or
// a tokenizer that gives every text back. SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "lib/format/gguf.h"
#include "tests/fuzz/tokenizer_oracle.h"
#include "tests/tokenizer/token_test_util.h"
#include "tests/util/gguf_builder.h"
#include "tests/util/temp_folder.h"

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

// Every length; of every byte the 8 bits one at a time (with `few` one, another from byte to byte),
// all bits, and 0.
Outcome Damage(const std::string& bytes, const Read& read, bool few = false) {
  Outcome outcome;
  const auto whole = read(bytes);
  EXPECT_TRUE(whole.ok()) << whole.status();
  if (!whole.ok()) return outcome;
  const std::string digest = (*whole)->digest();
  for (size_t length = 0; length < bytes.size(); ++length) {
    Count(read(bytes.substr(0, length)), digest, "cut at " + std::to_string(length), &outcome);
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    const int old = static_cast<uint8_t>(bytes[at]);
    std::vector<int> values = {old ^ 255, 0};
    for (int bit = 0; bit < 8; ++bit) {
      if (!few || static_cast<int>(at % 8) == bit) values.push_back(old ^ 1 << bit);
    }
    for (const int value : values) {
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

std::string Base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
    }
    for (size_t k = 0; k < 4; ++k) {
      out.push_back(i + k <= bytes.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=');
    }
  }
  return out;
}

// Through the path that a folder's tokenizer.model takes.
TEST(Damage, TiktokenModel) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.push_back(std::string(1, static_cast<char>(b)));
  tokens.insert(tokens.end(), {"th", "the", " the"});
  std::string bytes;
  for (size_t i = 0; i < tokens.size(); ++i) {
    bytes += Base64(tokens[i]) + " " + std::to_string(i) + "\n";
  }
  const TempFolder folder;
  const Outcome outcome = Damage(
      bytes,
      [&](const std::string& changed) {
        folder.Write("tokenizer.model", changed);
        return Tokenizer::Load(folder.path());
      },
      /*few=*/true);
  EXPECT_GT(outcome.refused, static_cast<int>(bytes.size()));
  EXPECT_GT(outcome.other, 0);  // another token behind the bytes
  EXPECT_EQ(outcome.same, 1);   // without the last line feed
}

}  // namespace
}  // namespace scout::test

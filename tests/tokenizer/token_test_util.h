// Shared by the tests of the tokenizer room. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tokenizer/tokenizer.h"

namespace scout::test {

using Ids = std::vector<int32_t>;
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

// Null, and a test failure, where it cannot be read.
TokenizerPtr LoadTokenizer(const std::string& path);
Json ReadJsonFile(const std::string& path);

Ids Encode(const Tokenizer& tokenizer, std::string_view text, bool special = false,
           bool bos = false);
std::string Decode(const Tokenizer& tokenizer, const Ids& ids, bool skip_special = false);
Ids Chat(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, bool prompt = true);
std::string FromHex(const std::string& hex);
// FNV-1a, 64 bits, of the ids as little-endian 32-bit numbers, in hex.
std::string Fnv1a64(const Ids& ids);
// Member of an object; a failure and null JSON where there is none.
const Json& At(const Json& json, std::string_view key);
Ids IntsAt(const Json& json, std::string_view key);

void ExpectStatus(const absl::Status& status, absl::StatusCode code,
                  std::initializer_list<std::string> texts);

// The byte-level spelling of bytes, as vocabulary files write it.
std::string ByteLevel(std::string_view bytes);
std::string JsonString(std::string_view text);

// A tokenizer.json with the 256 bytes as ids 0 to 255 and what a test adds. Every part is JSON text
// that a test may spoil.
struct TokenizerJson {
  std::string normalizer = "null";
  std::string pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  std::string post_processor = "null";
  std::string added_tokens = "[]";
  std::string type = "\"BPE\"";
  std::string extra_model;  // further members of model, each with a comma behind it
  std::string vocab;        // further entries, each with a comma before it
  std::string merges = "[]";
  int without_byte = -1;  // this one is left out
  std::string Text() const;
};
absl::StatusOr<TokenizerPtr> FromText(const std::string& json, const std::string& config = "");
absl::StatusOr<TokenizerPtr> From(const TokenizerJson& json, const std::string& config = "");

}  // namespace scout::test

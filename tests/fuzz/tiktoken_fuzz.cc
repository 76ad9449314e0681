// Any bytes as a tiktoken file: an error that names its line, or tokens that spell the same file;
// of these, with all single bytes, a tokenizer that gives every text back. SPDX-License-Identifier:
// Apache-2.0
//
// Sources: lib/tokenizer/from_tiktoken.cc lib/tokenizer/tiktoken.h lib/tokenizer/build.cc
// Sources: lib/tokenizer/vocab.* lib/tokenizer/bpe.* lib/tokenizer/long_runs.*
#include "lib/tokenizer/tiktoken.h"

#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"
#include "tests/fuzz/tokenizer_oracle.h"

namespace {

std::string Base64(const std::string& bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0);
    }
    for (size_t k = 0; k < 4; ++k) out += k <= n ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace

// The file is the 256 bytes as tokens, unless the first byte of the input is 0, and the rest of the
// input, whose ranks then count from 256.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using scout::test::Require;
  static const std::string* const kBytes = [] {
    auto* text = new std::string;
    for (int b = 0; b < 256; ++b) {
      *text += Base64(std::string(1, static_cast<char>(b))) + " " + std::to_string(b) + "\n";
    }
    return text;
  }();
  if (size == 0) return 0;
  std::string file = data[0] == 0 ? "" : *kBytes;
  file.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto tokens = scout::ParseTiktoken(file);
  if (!tokens.ok()) {
    scout::test::RequireFileError(tokens.status());
    Require(scout::PlaceOf(tokens.status()).offset <= static_cast<int64_t>(file.size()));
    return 0;
  }
  std::string again;
  for (size_t i = 0; i < tokens->size(); ++i) {
    again += Base64((*tokens)[i]) + " " + std::to_string(i) + "\n";
  }
  Require(again == file || again == file + "\n");
  if (tokens->size() < 256) return 0;
  const auto tokenizer = scout::Tokenizer::FromTiktoken(file);
  if (tokenizer.ok()) {
    Require(scout::test::TokenizerFault(**tokenizer).empty());
  } else {
    scout::test::RequireFileError(tokenizer.status());
  }
  return 0;
}

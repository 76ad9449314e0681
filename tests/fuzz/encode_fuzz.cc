// Any bytes as text: encoding and decoding gives them back, and streaming gives whole characters.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/tokenizer/bpe.* lib/tokenizer/build.cc lib/tokenizer/byte_level.*
// Sources: lib/tokenizer/impl.h lib/tokenizer/pretokenize.* lib/tokenizer/tokenizer.*
// Sources: lib/tokenizer/unicode_tables.* lib/tokenizer/vocab.* lib/tokenizer/detokenizer.cc
// Sources: lib/tokenizer/utf8.*
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tokenizer/tokenizer.h"
#include "lib/tokenizer/utf8.h"

namespace {

// The 256 bytes and some merges, with each splitting rule that a vocabulary file can name.
std::vector<std::shared_ptr<const scout::Tokenizer>> Tokenizers() {
  scout::Gguf gguf;
  std::vector<std::string> tokens;
  int next = 0x100;
  const auto utf8 = [](int c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c))
                    : std::string{static_cast<char>(0xC0 | c >> 6),
                                  static_cast<char>(0x80 | (c & 0x3F))};
  };
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
    tokens.push_back(utf8(printable ? b : next++));
  }
  const std::string space = utf8(0x120);
  for (const std::string& t : {std::string("th"), std::string("the"), space + "the", space + space,
                               std::string("aa"), std::string("aaaa"), std::string("<|eot|>")}) {
    tokens.push_back(t);
  }
  std::vector<int64_t> types(tokens.size(), 1);
  types.back() = 3;
  gguf.metadata["tokenizer.ggml.model"] = std::string("gpt2");
  gguf.metadata["tokenizer.ggml.tokens"] = tokens;
  gguf.metadata["tokenizer.ggml.token_type"] = types;
  gguf.metadata["tokenizer.ggml.merges"] =
      std::vector<std::string>{"t h", "th e", space + " the", space + " " + space, "a a", "aa aa"};
  std::vector<std::shared_ptr<const scout::Tokenizer>> out;
  for (const char* pre : {"llama4", "llama-bpe", "gpt-2"}) {
    gguf.metadata["tokenizer.ggml.pre"] = std::string(pre);
    auto tokenizer = scout::Tokenizer::FromGguf(gguf);
    if (!tokenizer.ok()) __builtin_trap();
    out.push_back(*std::move(tokenizer));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const tokenizers = new auto(Tokenizers());
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : *tokenizers) {
    for (const bool special : {false, true}) {
      const auto ids = tokenizer->Encode(text, {.bos = false, .allow_special = special});
      if (!ids.ok()) __builtin_trap();
      const auto back = tokenizer->Decode(ids->data(), static_cast<int64_t>(ids->size()), false);
      if (!back.ok() || *back != text) __builtin_trap();
      scout::Detokenizer stream(tokenizer, false);
      std::string streamed;
      for (const int32_t id : *ids) {
        const auto piece = stream.Push(id);
        if (!piece.ok() || scout::ValidUtf8Prefix(*piece) != piece->size()) __builtin_trap();
        streamed += *piece;
      }
      streamed += stream.Flush();
      if (scout::ValidUtf8Prefix(text) == text.size() && streamed != text) __builtin_trap();
    }
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/tokenizer/token_test_util.h"

#include <cstdio>
#include <optional>

#include "absl/strings/str_format.h"
#include "lib/format/file.h"

namespace scout::test {

TokenizerPtr LoadTokenizer(const std::string& path) {
  auto tokenizer = Tokenizer::Load(path);
  EXPECT_TRUE(tokenizer.ok()) << path << ": " << tokenizer.status();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

Json ReadJsonFile(const std::string& path) {
  auto text = ReadWholeFile(path, int64_t{1} << 28);
  EXPECT_TRUE(text.ok()) << text.status();
  auto json = ParseJson(text.ok() ? *text : "null");
  EXPECT_TRUE(json.ok()) << path << ": " << json.status();
  return json.ok() ? *std::move(json) : Json();
}

Ids Encode(const Tokenizer& tokenizer, std::string_view text, bool special, bool bos) {
  auto ids = tokenizer.Encode(text, {.bos = bos, .allow_special = special});
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? *std::move(ids) : Ids();
}

std::string Decode(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  auto text = tokenizer.Decode(ids.data(), static_cast<int64_t>(ids.size()), skip_special);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *std::move(text) : std::string();
}

Ids Chat(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, bool prompt) {
  auto ids = tokenizer.Chat(messages.data(), static_cast<int64_t>(messages.size()),
                            {.add_generation_prompt = prompt});
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? *std::move(ids) : Ids();
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string Fnv1a64(const Ids& ids) {
  uint64_t value = 0xCBF29CE484222325u;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3u;
    }
  }
  return absl::StrFormat("%016x", value);
}

const Json& At(const Json& json, std::string_view key) {
  static const Json kNull;
  const Json* member = json.find(key);
  EXPECT_NE(member, nullptr) << key;
  return member == nullptr ? kNull : *member;
}

Ids IntsAt(const Json& json, std::string_view key) {
  Ids ids;
  for (const Json& item : At(json, key).items()) ids.push_back(static_cast<int32_t>(item.as_int()));
  return ids;
}

void ExpectStatus(const absl::Status& status, absl::StatusCode code,
                  std::initializer_list<std::string> texts) {
  EXPECT_EQ(status.code(), code) << status;
  const std::string message(status.message());
  for (const std::string& text : texts) {
    EXPECT_NE(message.find(text), std::string::npos) << "\"" << text << "\" in " << status;
  }
}

std::string ByteLevel(std::string_view bytes) {
  int stand_in[256];
  int next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
    stand_in[b] = printable ? b : next++;
  }
  std::string out;
  for (const char c : bytes) {
    const int code_point = stand_in[static_cast<uint8_t>(c)];
    if (code_point < 0x80) {
      out.push_back(static_cast<char>(code_point));
    } else {
      out.push_back(static_cast<char>(0xC0 | code_point >> 6));
      out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
  }
  return out;
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string TokenizerJson::Text() const {
  std::string entries;
  for (int b = 0; b < 256; ++b) {
    if (b == without_byte) continue;
    const char byte = static_cast<char>(b);
    if (!entries.empty()) entries += ",";
    entries += JsonString(ByteLevel(std::string_view(&byte, 1))) + ":" + std::to_string(b);
  }
  return "{\"added_tokens\":" + added_tokens + ",\"normalizer\":" + normalizer +
         ",\"pre_tokenizer\":" + pre_tokenizer + ",\"post_processor\":" + post_processor +
         ",\"model\":{\"type\":" + type + "," + extra_model + "\"vocab\":{" + entries + vocab +
         "},\"merges\":" + merges + "}}";
}

absl::StatusOr<TokenizerPtr> FromText(const std::string& text, const std::string& config) {
  auto json = ParseJson(text);
  if (!json.ok()) return json.status();
  std::optional<Json> config_json;
  if (!config.empty()) {
    auto parsed = ParseJson(config);
    if (!parsed.ok()) return parsed.status();
    config_json = *std::move(parsed);
  }
  return Tokenizer::FromJson(*json, config_json.has_value() ? &*config_json : nullptr);
}

absl::StatusOr<TokenizerPtr> From(const TokenizerJson& json, const std::string& config) {
  return FromText(json.Text(), config);
}

}  // namespace scout::test

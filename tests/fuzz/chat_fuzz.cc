// Any bytes as a dialog with tools: an error that says what is wrong, or tokens of which only the
// format's own are special.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/tokenizer/chat.* lib/tokenizer/chat_words.h lib/tokenizer/literal*
// Sources: lib/tokenizer/bpe.* lib/tokenizer/pretokenize.* lib/tokenizer/tool_call.*
// Sources: lib/tokenizer/vocab.* lib/tokenizer/chat_template.cc
#include <map>
#include <vector>

#include "tests/fuzz/table_oracle.h"
#include "tests/fuzz/tokenizer_oracle.h"

namespace {

std::shared_ptr<const scout::Tokenizer> ChatTokenizer() {
  std::string vocab, added;
  int next = 0x100;
  for (int b = 0; b < 256; ++b) {  // tokenizer.json spells bytes as printable characters
    const bool printable = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
    const int c = printable ? b : next++;
    std::string text = c < 0x80 ? std::string(1, static_cast<char>(c))
                                : std::string{static_cast<char>(0xC0 | c >> 6),
                                              static_cast<char>(0x80 | (c & 63))};
    if (text == "\"" || text == "\\") text = "\\" + text;
    vocab += (b ? ",\"" : "\"") + text + "\":" + std::to_string(b);
  }
  int id = 256;
  for (const char* name : {"<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>",
                           "<|eom|>", "<|python_start|>", "<|python_end|>"}) {
    added += added.empty() ? "" : ",";
    added += "{\"id\":" + std::to_string(id) + ",\"content\":\"" + name + "\",\"special\":true}";
    ++id;
  }
  const auto json = scout::ParseJson(
      "{\"added_tokens\":[" + added +
      "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":"
      "\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
      "\"model\":{\"type\":\"BPE\",\"vocab\":{" +
      vocab + "},\"merges\":[]}}");
  if (!json.ok()) __builtin_trap();
  auto tokenizer = scout::Tokenizer::FromJson(*json, nullptr);
  if (!tokenizer.ok()) __builtin_trap();
  return *std::move(tokenizer);
}

const std::shared_ptr<const scout::Tokenizer>* Shared() {
  static const auto* const tokenizer = new auto(ChatTokenizer());
  return tokenizer;
}

}  // namespace

namespace {

using scout::test::Require;

// Without tools: a beginning, three special tokens a message, two of the answer's header; no
// content makes more, and every content is there.
void CheckPlain(const std::vector<int32_t>& ids, const std::vector<scout::ChatMessage>& messages) {
  size_t special = 0;
  std::string all;
  for (const int32_t id : ids) {
    if ((*Shared())->IsSpecial(id)) {
      ++special;
    } else {
      all += (*Shared())->TokenBytes(id);
    }
  }
  Require(special == 1 + 3 * messages.size() + 2);
  size_t at = 0;
  for (const scout::ChatMessage& message : messages) {
    at = all.find(message.content, at);
    Require(at != std::string::npos);
    at += message.content.size();
  }
}

}  // namespace

// The first byte chooses the style, whether the first part is a list of tools, and whether what an
// assistant says are the arguments of a call. Parts end with a byte 0; the first byte of a message
// chooses the role.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr const char* kRoles[] = {"system", "user",    "assistant",
                                           "tool",   "ipython", "root"};
  if (size == 0) return 0;
  const unsigned mode = data[0];
  const bool calls = (mode & 8) != 0;
  bool tools = (mode & 4) != 0, known = true;
  scout::ChatOptions options;
  options.style = static_cast<scout::ToolStyle>((mode & 3) % 3);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::vector<scout::ChatMessage> messages;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\0', at), bytes.size());
    const std::string_view part = bytes.substr(at, end - at);
    at = end + 1;
    if (part.empty()) continue;
    if (tools) {
      options.tools = part;
      tools = false;
      continue;
    }
    const size_t role = static_cast<uint8_t>(part[0]) % std::size(kRoles);
    known = known && role < 5;
    scout::ChatMessage message{kRoles[role], part.substr(1)};
    if (calls && role == 2) {
      message.calls.push_back({"get_weather", part.substr(1)});
      message.content = {};
    }
    messages.push_back(message);
  }
  const auto ids =
      (*Shared())->Chat(messages.data(), static_cast<int64_t>(messages.size()), options);
  if (!ids.ok()) {
    Require(ids.status().code() == absl::StatusCode::kInvalidArgument &&
            !ids.status().message().empty());
    Require(mode % 16 != 0 || !known);
    return 0;
  }
  Require(known);
  if (mode % 16 == 0) CheckPlain(*ids, messages);
  // Whatever text is given: at most a system message more, and two markers around calls.
  size_t special = 0;
  for (const int32_t id : *ids) special += (*Shared())->IsSpecial(id) ? 1 : 0;
  Require(special <= 1 + 5 * messages.size() + 3 + 2);
  return 0;
}

// Tokenizers of tiktoken files. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/shown.h"
#include "lib/tokenizer/tiktoken.h"

namespace scout {
namespace {

// Of a base64 text, a space and a rank: tokens of up to 256 bytes (Llama 4's longest has 128).
constexpr size_t kMaxLineBytes = 360;
constexpr size_t kMaxRanks = (size_t{1} << 24) - 4096;  // special tokens follow, ids are below 2^24
constexpr size_t kSpecialTokens = 2048;

constexpr std::array<int8_t, 256> MakeBase64Values() {
  std::array<int8_t, 256> values{};
  for (auto& v : values) v = -1;
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<uint8_t>(kDigits[i])] = static_cast<int8_t>(i);
  }
  return values;
}
constexpr std::array<int8_t, 256> kBase64Values = MakeBase64Values();

// Strict: whole groups of four, padding at the end alone, no bits left over. At least one byte.
bool DecodeBase64(std::string_view text, std::string* bytes) {
  if (text.empty() || text.size() % 4 != 0) return false;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes->clear();
  bytes->reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size() - padding; ++i) {
    const int8_t value = kBase64Values[static_cast<uint8_t>(text[i])];
    if (value < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (i % 4 != 0) bytes->push_back(static_cast<char>(bits >> (6 - i % 4 * 2) & 0xFF));
  }
  // One padding leaves 18 bits for two bytes, two leave 12 for one.
  return padding == 0 || (bits & ((1u << (2 * padding)) - 1)) == 0;
}

// What is wrong with a line whose rank should be `rank`; "" where nothing is.
std::string ReadLine(std::string_view line, size_t rank, std::string* bytes) {
  if (line.size() > kMaxLineBytes) {
    return absl::StrCat("is longer than ", kMaxLineBytes, " bytes");
  }
  if (line.empty()) {
    return rank == 0 ? "is empty (a SentencePiece model begins so; it is not supported)"
                     : "is empty";
  }
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) {
    return absl::StrCat("is not a base64 text, a space and a rank: \"", Shown(line), "\"");
  }
  if (!DecodeBase64(line.substr(0, space), bytes)) {
    return absl::StrCat("has no valid base64 text: \"", Shown(line.substr(0, space)), "\"");
  }
  const std::string_view digits = line.substr(space + 1);
  const std::string wanted = absl::StrCat(rank);
  if (digits != wanted) {
    return absl::StrCat("has the rank \"", Shown(digits), "\", expected ", wanted,
                        " (ranks count up from 0, one a line)");
  }
  return "";
}

// Names the first line whose token stood before, with its offset; OK where there is none.
absl::Status RepeatedTokenError(std::string_view file) {
  SCOUT_ASSIGN_OR_RETURN(const std::vector<std::string> tokens, ParseTiktoken(file));
  std::vector<size_t> order(tokens.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int by_bytes = tokens[a].compare(tokens[b]);
    return by_bytes != 0 ? by_bytes < 0 : a < b;
  });
  size_t earlier = 0, repeated = tokens.size();
  for (size_t i = 1; i < order.size(); ++i) {
    if (tokens[order[i - 1]] != tokens[order[i]] || order[i] >= repeated) continue;
    earlier = order[i - 1];
    repeated = order[i];
  }
  if (repeated == tokens.size()) return absl::OkStatus();
  size_t offset = 0;
  for (size_t line = 0; line < repeated; ++line) offset = file.find('\n', offset) + 1;
  return AtPlace(
      CorruptError(absl::StrCat("line ", repeated + 1, " has the token of line ", earlier + 1,
                                " again (\"", Shown(tokens[repeated]), "\")")),
      {.offset = static_cast<int64_t>(offset)});
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseTiktoken(std::string_view file) {
  std::vector<std::string> tokens;
  tokens.reserve(std::min(file.size() / 8, kMaxRanks));
  for (size_t at = 0; at < file.size();) {
    // Nothing past the longest line is looked at.
    const size_t feed = file.substr(at, kMaxLineBytes + 1).find('\n');
    const size_t size =
        feed != std::string_view::npos ? feed : std::min(file.size() - at, kMaxLineBytes + 1);
    std::string bytes;
    std::string wrong = ReadLine(file.substr(at, size), tokens.size(), &bytes);
    if (wrong.empty() && tokens.size() == kMaxRanks) {
      wrong = absl::StrCat("is one more than the ", kMaxRanks, " ranks that are supported");
    }
    if (!wrong.empty()) {
      return AtPlace(CorruptError(absl::StrCat("line ", tokens.size() + 1, " ", wrong)),
                     {.offset = static_cast<int64_t>(at)});
    }
    tokens.push_back(std::move(bytes));
    at += size + 1;
  }
  if (tokens.empty()) return CorruptError("the file is empty");
  return tokens;
}

std::vector<std::string> Llama4SpecialTokens() {
  std::vector<std::string> names = {"<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>",
                                    "<|fim_middle|>", "<|fim_suffix|>"};
  names.reserve(kSpecialTokens);
  const auto add = [&names](std::initializer_list<const char*> more) {
    names.insert(names.end(), more.begin(), more.end());
  };
  const auto reserve = [&names](const char* group, int first, int last) {
    for (int i = first; i <= last; ++i) {
      names.push_back(absl::StrCat("<|", group, "reserved_special_token_", i, "|>"));
    }
  };
  add({"<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"});
  reserve("text_post_train_", 0, 5);
  add({"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"});
  reserve("text_post_train_", 8, 68);
  add({"<|image_start|>", "<|image_end|>"});
  reserve("vision_", 0, 1);
  add({"<|tile_x_separator|>", "<|tile_y_separator|>"});
  reserve("vision_", 2, 5);
  add({"<|image|>"});
  reserve("vision_", 6, 6);
  add({"<|patch|>"});
  reserve("vision_", 7, 1047);
  reserve("reasoning_", 0, 7);
  add({"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"});
  reserve("", 0, static_cast<int>(kSpecialTokens - names.size()) - 1);
  return names;
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::FromTiktoken(std::string_view file) {
  SCOUT_ASSIGN_OR_RETURN(std::vector<std::string> ranks, ParseTiktoken(file));
  TokenizerSource source;
  source.rule = SplitRule::kLlama4;
  source.ignore_merges = true;
  source.merges_by_rank = true;
  source.cuts_long_runs = true;
  source.tokens.reserve(ranks.size() + kSpecialTokens);
  for (std::string& bytes : ranks) {
    const auto id = static_cast<int64_t>(source.tokens.size());
    source.tokens.push_back({id, TokenKind::kOrdinary, std::move(bytes)});
  }
  for (std::string& name : Llama4SpecialTokens()) {
    const auto id = static_cast<int64_t>(source.tokens.size());
    source.tokens.push_back({id, TokenKind::kSpecial, std::move(name)});
  }
  auto impl = Impl::Build(std::move(source));
  if (!impl.ok()) {
    SCOUT_RETURN_IF_ERROR(RepeatedTokenError(file));
    return impl.status();
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(*std::move(impl)));
}

}  // namespace scout

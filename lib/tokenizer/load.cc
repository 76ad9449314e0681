// Finds the tokenizer behind a path. SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "lib/format/file.h"
#include "lib/tokenizer/tiktoken.h"
#include "lib/tokenizer/tokenizer.h"

namespace scout {
namespace {

constexpr char kJsonName[] = "tokenizer.json";
constexpr char kTiktokenName[] = "tokenizer.model";
constexpr char kTemplateName[] = "chat_template.jinja";
constexpr int64_t kMaxTemplateBytes = int64_t{1} << 20;

absl::StatusOr<Json> ReadJson(const std::string& path) {
  SCOUT_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, JsonLimits().max_bytes));
  absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) return AtPlace(json.status(), {.file = path});
  return json;
}

// By name, or by the first bytes of the file.
bool IsGguf(const std::string& path) {
  if (absl::EndsWith(path, ".gguf")) return true;
  auto file = File::Open(path);
  char magic[4] = {};
  return file.ok() && (*file)->size() >= 4 && (*file)->ReadAt(0, magic, 4).ok() &&
         std::string_view(magic, 4) == "GGUF";
}

// JSON begins with a brace, after white space perhaps; a line of base64 with neither.
bool IsTiktoken(const std::string& path) {
  if (absl::EndsWith(path, ".json")) return false;
  if (absl::EndsWith(path, ".model") || absl::EndsWith(path, ".tiktoken")) return true;
  auto file = File::Open(path);
  char first = 0;
  return file.ok() && (*file)->size() > 0 && (*file)->ReadAt(0, &first, 1).ok() &&
         std::string_view("{[ \t\r\n\xEF").find(first) == std::string_view::npos;
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> FromTiktokenFile(const std::string& path) {
  SCOUT_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path, kMaxTiktokenBytes));
  auto tokenizer = Tokenizer::FromTiktoken(bytes);
  if (!tokenizer.ok()) return AtPlace(tokenizer.status(), {.file = path});
  return tokenizer;
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> FromJsonFile(const std::string& path) {
  SCOUT_ASSIGN_OR_RETURN(const Json json, ReadJson(path));
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const std::string config_path = absl::StrCat(folder, "tokenizer_config.json");
  std::optional<Json> config;
  std::error_code ignored;
  if (std::filesystem::exists(config_path, ignored)) {
    SCOUT_ASSIGN_OR_RETURN(config, ReadJson(config_path));
  }
  // A template in a file of its own goes before that of the configuration. It decides nothing, so
  // that one which cannot be read is no error.
  const char* template_kind = nullptr;
  const std::string template_path = absl::StrCat(folder, kTemplateName);
  if (std::filesystem::exists(template_path, ignored)) {
    const auto text = ReadWholeFile(template_path, kMaxTemplateBytes);
    template_kind = text.ok() ? ChatTemplateKind(*text) : kOtherTemplate;
  }
  auto tokenizer =
      Tokenizer::FromJson(json, config.has_value() ? &*config : nullptr, template_kind);
  if (!tokenizer.ok()) return AtPlace(tokenizer.status(), {.file = path});
  return tokenizer;
}

}  // namespace

bool Tokenizer::IsInFolder(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::exists(absl::StrCat(folder, "/", kJsonName), ignored) ||
         std::filesystem::exists(absl::StrCat(folder, "/", kTiktokenName), ignored);
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::Load(const std::string& path) {
  std::error_code ignored;  // what cannot be looked at is opened as a file: that names the error
  if (std::filesystem::is_directory(path, ignored)) {
    const std::string json_path = absl::StrCat(path, "/", kJsonName);
    if (std::filesystem::exists(json_path, ignored)) return FromJsonFile(json_path);
    const std::string tiktoken_path = absl::StrCat(path, "/", kTiktokenName);
    if (std::filesystem::exists(tiktoken_path, ignored)) return FromTiktokenFile(tiktoken_path);
    return AtPlace(absl::NotFoundError(absl::StrCat("neither ", kJsonName, " nor ", kTiktokenName,
                                                    " is in this folder")),
                   {.file = path});
  }
  if (IsGguf(path)) {
    SCOUT_ASSIGN_OR_RETURN(const Gguf gguf, ReadGguf(path));
    auto tokenizer = FromGguf(gguf);
    if (!tokenizer.ok()) return AtPlace(tokenizer.status(), {.file = path});
    return tokenizer;
  }
  return IsTiktoken(path) ? FromTiktokenFile(path) : FromJsonFile(path);
}

}  // namespace scout

// Finds the tokenizer behind a path. SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "lib/format/file.h"
#include "lib/tokenizer/tokenizer.h"

namespace scout {
namespace {

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

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::Load(const std::string& path) {
  std::error_code ignored;  // what cannot be looked at is opened as a file: that names the error
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (!folder && IsGguf(path)) {
    SCOUT_ASSIGN_OR_RETURN(const Gguf gguf, ReadGguf(path));
    auto tokenizer = FromGguf(gguf);
    if (!tokenizer.ok()) return AtPlace(tokenizer.status(), {.file = path});
    return tokenizer;
  }
  const std::string json_path = folder ? absl::StrCat(path, "/tokenizer.json") : path;
  SCOUT_ASSIGN_OR_RETURN(const Json json, ReadJson(json_path));

  const size_t slash = json_path.rfind('/');
  const std::string config_path = absl::StrCat(
      slash == std::string::npos ? "" : json_path.substr(0, slash + 1), "tokenizer_config.json");
  std::optional<Json> config;
  if (std::filesystem::exists(config_path, ignored)) {
    SCOUT_ASSIGN_OR_RETURN(config, ReadJson(config_path));
  }
  auto tokenizer = FromJson(json, config.has_value() ? &*config : nullptr);
  if (!tokenizer.ok()) return AtPlace(tokenizer.status(), {.file = json_path});
  return tokenizer;
}

}  // namespace scout

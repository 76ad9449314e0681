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

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::Load(const std::string& path) {
  if (absl::EndsWith(path, ".gguf")) {
    SCOUT_ASSIGN_OR_RETURN(const Gguf gguf, ReadGguf(path));
    auto tokenizer = FromGguf(gguf);
    if (!tokenizer.ok()) return AtPlace(tokenizer.status(), {.file = path});
    return tokenizer;
  }
  std::error_code ignored;  // what cannot be looked at is opened as a file: that names the error
  std::string json_path = path;
  if (std::filesystem::is_directory(path, ignored))
    json_path = absl::StrCat(path, "/tokenizer.json");
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

// Reading and asking ignore files. SPDX-License-Identifier: Apache-2.0
#include "tools/ignore.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "tools/pack_files.h"

namespace scout::tool {
namespace {

const char* const kNames[IgnoreLevel::kKinds] = {".scoutignore", ".ignore", ".gitignore",
                                                 ".git/info/exclude"};
constexpr int64_t kMostBytes = int64_t{16} << 20;

// docs/pack.md lists these.
constexpr std::string_view kVersionControl[] = {".git", ".hg",    ".svn",   ".bzr",   "CVS",
                                                ".jj",  "_darcs", ".pijul", ".fossil"};
constexpr std::string_view kDependencies[] = {"node_modules",  "bower_components",
                                              "jspm_packages", "vendor",
                                              "Pods",          ".venv",
                                              "venv",          "site-packages",
                                              "__pycache__",   ".eggs",
                                              ".tox",          ".nox",
                                              ".mypy_cache",   ".pytest_cache",
                                              ".ruff_cache",   "target",
                                              "build",         "_build",
                                              "dist",          "dist-newstyle",
                                              "CMakeFiles",    "DerivedData",
                                              ".gradle",       ".stack-work",
                                              "elm-stuff",     ".next",
                                              ".nuxt",         ".svelte-kit",
                                              ".parcel-cache", ".turbo",
                                              ".dart_tool",    ".terraform",
                                              ".bundle",       ".cache",
                                              ".ccache"};

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

}  // namespace

IgnoreChain ReadIgnoreFiles(const IgnoreChain& above, const std::string& path,
                            const std::string& shown, size_t base, IgnoreRemarks* remarks) {
  std::shared_ptr<IgnoreLevel> level;
  for (int kind = 0; kind < IgnoreLevel::kKinds; ++kind) {
    ReadBytes read = ReadFileBytes(path + "/" + kNames[kind], kMostBytes, Accept::kPlain);
    if (read.missing) continue;
    // As git does, which follows no link of that name.
    if (read.no_file) {
      remarks->notes.push_back(ShownPath(shown + kNames[kind]) +
                               ": not a regular file, so no ignore file");
      continue;
    }
    if (!read.error.empty()) {
      remarks->troubles.push_back(shown + kNames[kind] + ": " + read.error);
      continue;
    }
    std::string_view text = read.bytes;
    if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
    if (level == nullptr) {
      level = std::make_shared<IgnoreLevel>();
      level->above = above;
      level->base = base;
      level->shown = shown;
    }
    int64_t number = 0;
    while (!text.empty()) {
      size_t end = std::min(text.find('\n'), text.size());
      Glob glob;
      ++number;
      if (Glob::FromLine(text.substr(0, end), &glob)) {
        level->rules[kind].push_back({std::move(glob), number});
      }
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  return level != nullptr ? IgnoreChain(level) : above;
}

IgnoreChain ReadIgnoreFilesAbove(const std::string& folder, IgnoreRemarks* remarks) {
  std::vector<std::string> folders;  // from the nearest up
  bool found = Exists(folder + "/.git");
  for (std::string at = folder; !found;) {
    size_t slash = at.rfind('/');
    if (slash == std::string::npos || at == "/") return nullptr;
    at.resize(std::max<size_t>(slash, 1));
    folders.push_back(at);
    found = Exists(at + "/.git") || Exists(at + "/.hg") || Exists(at + "/.jj");
  }
  IgnoreChain chain;
  for (auto it = folders.rbegin(); it != folders.rend(); ++it) {
    std::string shown = *it == "/" ? "/" : *it + "/";
    chain = ReadIgnoreFiles(chain, *it, shown, shown.size(), remarks);
  }
  return chain;
}

Verdict Judge(const IgnoreChain& chain, std::string_view path, bool is_folder, std::string* why) {
  for (int kind = 0; kind < IgnoreLevel::kKinds; ++kind) {
    for (const IgnoreLevel* level = chain.get(); level != nullptr; level = level->above.get()) {
      const auto& rules = level->rules[kind];
      for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        if (!rule->glob.Matches(path.substr(level->base), is_folder)) continue;
        if (rule->glob.negated()) return Verdict::kKept;
        *why = level->shown + kNames[kind] + ":" + std::to_string(rule->line) + ": " +
               rule->glob.text();
        return Verdict::kIgnored;
      }
    }
  }
  return Verdict::kNothing;
}

bool IsVersionControl(std::string_view name) {
  return std::find(std::begin(kVersionControl), std::end(kVersionControl), name) !=
         std::end(kVersionControl);
}

bool IsDependencyFolder(std::string_view name) {
  if (name.substr(0, 12) == "cmake-build-" || name.substr(0, 6) == "bazel-") return true;
  if (name.size() > 9 && name.substr(name.size() - 9) == ".egg-info") return true;
  return std::find(std::begin(kDependencies), std::end(kDependencies), name) !=
         std::end(kDependencies);
}

}  // namespace scout::tool

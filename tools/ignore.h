// Ignore files of a tree, nearest first. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/failure.h"
#include "tools/glob.h"

namespace scout::tool {

// What the ignore files of one folder say. A level keeps those of the folders above it alive.
struct IgnoreLevel {
  static constexpr int kKinds = 4;  // .scoutignore, .ignore, .gitignore, .git/info/exclude
  struct Rule {
    Glob glob;
    int64_t line;
  };
  std::shared_ptr<const IgnoreLevel> above;
  size_t base = 0;    // bytes of a path up to what is relative to this folder
  std::string shown;  // of the folder, for reports
  std::vector<Rule> rules[kKinds];
};
using IgnoreChain = std::shared_ptr<const IgnoreLevel>;

// Lines for the report.
struct IgnoreRemarks {
  std::vector<std::string> troubles;  // what could not be read
  std::vector<std::string> notes;     // what has the name of an ignore file and is none
};
// Reads the ignore files of the folder at `path`; returns `above` itself where there are none.
IgnoreChain ReadIgnoreFiles(const IgnoreChain& above, const std::string& path,
                            const std::string& shown, size_t base, IgnoreRemarks* remarks);
// The levels of the folders above `folder`, an absolute path, up to the top of the version-control
// tree that holds it; none outside of one.
IgnoreChain ReadIgnoreFilesAbove(const std::string& folder, IgnoreRemarks* remarks);

enum class Verdict { kNothing, kIgnored, kKept };
// The last matching line of the nearest file of a kind decides; .scoutignore goes before .ignore,
// that before .gitignore. *why is "FILE:LINE: PATTERN". `path` is absolute, as `base` was counted.
Verdict Judge(const IgnoreChain& chain, std::string_view path, bool is_folder, std::string* why);

// Folders (and files named .git) of version control, and folders that hold what tools fetched or
// made.
bool IsVersionControl(std::string_view name);
bool IsDependencyFolder(std::string_view name);

}  // namespace scout::tool

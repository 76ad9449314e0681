// Ignore files as git reads them: random trees and patterns, git's answer against ours.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

namespace fs = std::filesystem;

class Trees {
 public:
  explicit Trees(uint32_t seed) : random_(seed) {}

  size_t Below(size_t n) { return random_() % n; }
  std::string Pick(const Words& words) { return words[Below(words.size())]; }

  std::string Name() {
    return Pick({"a",     "b",       "ab",  "ba",   "abc", "a.c",     "b.c", "a.o",
                 "x.log", "foo",     "bar", ".hid", "a b", "[a]",     "a*",  "#c",
                 "!n",    "back\\s", "A",   "a-b",  "t ",  "\xc3\xa9"});
  }

  std::string Pattern() {
    std::string text;
    if (Below(5) == 0) text += "!";
    if (Below(4) == 0) text += "/";
    size_t parts = 1 + Below(3);
    for (size_t i = 0; i < parts; ++i) {
      if (i > 0) text += Pick({"/", "/", "/**/", "**", "*/"});
      switch (Below(4)) {
        case 0:
          text += Name();
          break;
        case 1:
          text += Pick({"*", "**", "?", "a*", "*.c", "*.[co]", "?b*", "***", "*a*b*"});
          break;
        case 2:
          text += Pick({"[ab]", "[!a]", "[^ab]*", "[a-c]?", "[[:alpha:]]*", "[]a]", "[a", "[!]a]*",
                        "[[:upper:]]", "[a-]*", "[[:nope:]]", "[b-a]", "[\\]a]", "x[.]log"});
          break;
        default:
          text += Pick({"foo", "\\a", "a\\*", "\\[a\\]", "back\\\\s", "a\\ b", "t\\ ", "t ", "\\!n",
                        "\\#c", "a b  "});
      }
    }
    if (Below(4) == 0) text += "/";
    if (Below(8) == 0) text += "/**";
    if (Below(10) == 0) text += " ";
    return text + (Below(12) == 0 ? "\r" : "");
  }

 private:
  std::mt19937 random_;
};

bool HaveGit() { return std::system("git --version > /dev/null 2>&1") == 0; }

TEST(PackIgnore, AgreesWithGit) {
  if (!HaveGit()) GTEST_SKIP() << "git is not installed";
  int64_t ignored = 0, kept = 0;
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Trees trees(seed);
    Folder folder;
    const std::string top = folder.path("");
    Words folders = {""};
    std::set<std::string> files;
    for (int i = 0; i < 14; ++i) {
      std::string name = trees.Pick(folders) + trees.Name();
      std::error_code error;
      if (std::count(name.begin(), name.end(), '/') < 4 &&
          fs::create_directory(folder.path(name), error)) {
        folders.push_back(name + "/");
      }
    }
    for (int i = 0; i < 60; ++i) {
      std::string name = trees.Pick(folders) + trees.Name();
      if (fs::exists(folder.path(name))) continue;
      WriteFile(folder.path(name), "x");
      files.insert(name);
    }
    std::string all;
    for (int i = 0; i < 3; ++i) {
      std::string where = i == 0 ? "" : trees.Pick(folders), rules;
      for (size_t n = 1 + trees.Below(7); n > 0; --n) rules += trees.Pattern() + "\n";
      if (trees.Below(3) == 0) rules.pop_back();  // no newline at the end
      WriteFile(folder.path(where + ".gitignore"), rules);
      files.insert(where + ".gitignore");
      all += where + ".gitignore:\n" + rules + "\n";
    }
    std::string input;
    for (const std::string& name : files) input += name + '\0';
    Folder beside;
    WriteFile(beside.path("in"), input);
    const std::string git = "cd '" + top + "' && GIT_CONFIG_NOSYSTEM=1 git -c init.defaultBranch=m";
    ASSERT_EQ(std::system((git + " init -q .").c_str()), 0);
    int status = std::system((git +
                              " -c core.excludesFile=/dev/null -c core.ignoreCase=false "
                              "check-ignore --no-index --stdin -z < '" +
                              beside.path("in") + "' > '" + beside.path("out") + "'")
                                 .c_str());
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    std::set<std::string> wanted = files;
    std::istringstream out(ReadFile(beside.path("out")));
    for (std::string name; std::getline(out, name, '\0');) wanted.erase(name);
    ignored += static_cast<int64_t>(files.size() - wanted.size());
    kept += static_cast<int64_t>(wanted.size());

    Result result = Scout({"pack", top, "--list", "-q"});
    std::set<std::string> ours;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      size_t path = line.find(top);
      if (line.rfind("packed\t", 0) != 0 || path == std::string::npos) continue;
      path += top.size();
      ours.insert(line.substr(path, line.find('\t', path) - path));
    }
    std::string difference;
    for (const std::string& name : files) {
      if (ours.count(name) != wanted.count(name)) {
        difference += name + (ours.count(name) ? ": git ignores it\n" : ": git keeps it\n");
      }
    }
    ASSERT_EQ(difference, "") << all;
  }
  // Neither side is empty, so the comparison says something.
  EXPECT_GT(ignored, 200);
  EXPECT_GT(kept, 200);
}

}  // namespace
}  // namespace scout::tool_test

// Where `scout` keeps digests of weights. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

namespace fs = std::filesystem;

// `scout info --digest` with these variables ("A=b") and no others of the two that say where.
int InfoWith(const std::string& variables) {
  return std::system(("env -u XDG_CACHE_HOME " + variables +
                      " '" SCOUT_BUILD_DIR "/bin/scout' info --digest -m '" + TinyModel() +
                      "' >/dev/null")
                         .c_str());
}

int DigestsIn(const std::string& folder) {
  int n = 0;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) {
    n += entry.path().extension() == ".digest" ? 1 : 0;
  }
  return n;
}

unsigned ModeOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(Cache, FoldersAreMadeForTheUserAlone) {
  const Folder folder;
  fs::create_directory(folder.path("home"));
  ASSERT_EQ(InfoWith("HOME='" + folder.path("home") + "'"), 0);
  EXPECT_EQ(DigestsIn(folder.path("home/.cache/scout")), 1);
  EXPECT_EQ(ModeOf(folder.path("home/.cache")), 0700u);
  EXPECT_EQ(ModeOf(folder.path("home/.cache/scout")), 0700u);
  ASSERT_EQ(
      InfoWith("HOME='" + folder.path("home") + "' XDG_CACHE_HOME='" + folder.path("x/y/z") + "'"),
      0);
  EXPECT_EQ(DigestsIn(folder.path("x/y/z/scout")), 1);
  EXPECT_EQ(ModeOf(folder.path("x/y")), 0700u);
}

TEST(Cache, AHomeThatIsNotThereIsNotMade) {
  const Folder folder;
  ASSERT_EQ(InfoWith("HOME='" + folder.path("none") + "'"), 0);
  EXPECT_FALSE(fs::exists(folder.path("none")));
}

}  // namespace
}  // namespace scout::tool_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/util/temp_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace scout::test {

TempFolder::TempFolder() {
  path_ = testing::TempDir() + "scout_test_XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no folder " << path_;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::Write(const std::string& name, const std::string& bytes) const {
  const std::string path = path_ + "/" + name;
  // A new file each time: ext4 writes a file that is cut to nothing to the disk at once, which took
  // most of the time of tests with thousands of files.
  std::error_code none;
  std::filesystem::remove(path, none);
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  EXPECT_TRUE(out.good()) << path;
  return path;
}

}  // namespace scout::test

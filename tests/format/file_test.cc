// Files: kinds, sizes, reads past the end, and names in messages.
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "lib/format/byte_source.h"
#include "tests/format/format_test_util.h"

namespace scout::test {
namespace {

TEST(File, ReadsAt) {
  TempFolder folder;
  const std::string path = folder.Write("f", "0123456789");
  const auto file = File::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->size(), 10);
  EXPECT_EQ((*file)->path(), path);
  char bytes[4] = {};
  EXPECT_TRUE((*file)->ReadAt(3, bytes, 4).ok());
  EXPECT_EQ(std::string(bytes, 4), "3456");
  EXPECT_TRUE((*file)->ReadAt(10, bytes, 0).ok());
  for (const auto& [offset, n] : std::vector<std::pair<int64_t, int64_t>>{
           {7, 4}, {11, 0}, {-1, 1}, {0, -1}, {INT64_MAX, 1}, {1, INT64_MAX}}) {
    const absl::Status status = (*file)->ReadAt(offset, bytes, n);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(PlaceOf(status).file, path);
  }
}

TEST(File, NotARegularFile) {
  TempFolder folder;
  const auto code = [](const std::string& path) { return File::Open(path).status().code(); };
  EXPECT_EQ(code(folder.path()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code("/dev/zero"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(""), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(folder.path() + "/none"), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(folder.Write("f", "x") + "/below"), absl::StatusCode::kNotFound);
  const std::string fifo = folder.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(code(fifo), absl::StatusCode::kInvalidArgument);  // and does not wait for a writer
  const std::string loop = folder.path() + "/loop";
  ASSERT_EQ(symlink(loop.c_str(), loop.c_str()), 0);
  EXPECT_EQ(code(loop), absl::StatusCode::kUnavailable);
  const absl::Status status = File::Open(folder.path() + "/none").status();
  ExpectError(status, absl::StatusCode::kNotFound, {folder.path() + "/none", "No such file"});
  EXPECT_EQ(PlaceOf(status).file, folder.path() + "/none");
}

TEST(File, CutWhileOpen) {
  TempFolder folder;
  const std::string path = folder.Write("f", std::string(100, 'x'));
  const auto file = File::Open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path, 40);
  std::string bytes(100, '\0');
  const absl::Status status = (*file)->ReadAt(0, bytes.data(), 100);
  ExpectError(status, absl::StatusCode::kDataLoss, {"cut short while open", "60 bytes missing"});
  EXPECT_EQ(PlaceOf(status).offset, 40);
}

TEST(File, ClosesItsDescriptor) {
  TempFolder folder;
  const std::string path = folder.Write("f", "x");
  const auto count = [] {
    int n = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      ++n;
    }
    return n;
  };
  const int before = count();
  {
    const auto file = File::Open(path);
    EXPECT_EQ(count(), before + 1);
    EXPECT_FALSE(File::Open(folder.path()).ok());
  }
  EXPECT_EQ(count(), before);
}

TEST(File, Whole) {
  TempFolder folder;
  const std::string path = folder.Write("f", "hello");
  EXPECT_EQ(*ReadWholeFile(path, 5), "hello");
  ExpectError(ReadWholeFile(path, 4).status(), absl::StatusCode::kUnimplemented,
              {"5 bytes", "limit of 4"});
  EXPECT_EQ(*ReadWholeFile(folder.Write("empty", ""), 0), "");
}

TEST(ByteSource, MemoryKeepsItsBounds) {
  const MemorySource source("abc");
  char bytes[3];
  EXPECT_TRUE(source.ReadAt(0, bytes, 3).ok());
  EXPECT_TRUE(source.ReadAt(3, bytes, 0).ok());
  EXPECT_FALSE(source.ReadAt(1, bytes, 3).ok());
  EXPECT_FALSE(source.ReadAt(4, bytes, 0).ok());
  EXPECT_FALSE(source.ReadAt(-1, bytes, 1).ok());
}

TEST(Printable, EscapesAndCuts) {
  EXPECT_EQ(Printable("a.b \xC3\xA9"), "a.b \xC3\xA9");
  EXPECT_EQ(Printable(std::string("a\0\n\x7F\xFF", 5)), "a\\x00\\x0a\\x7f\\xff");
  const std::string cut = Printable(std::string(1000, 'x'));
  EXPECT_LT(cut.size(), 130u);
  EXPECT_EQ(cut.substr(cut.size() - 3), "...");
}

TEST(IsPlainName, Rules) {
  for (const char* good : {"a", "blk.0.w", "\xC4\xA0x", "\xF0\x9F\x98\x80", " "}) {
    EXPECT_TRUE(IsPlainName(good)) << good;
  }
  for (const char* bad : {"", "a\n", "\x7F", "\x80", "\xC0\xAF", "\xC3", "\xE0\x9F\xBF",
                          "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF8\x88"}) {
    EXPECT_FALSE(IsPlainName(bad)) << bad;
  }
}

}  // namespace
}  // namespace scout::test

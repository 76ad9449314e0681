// The digest of the weights: what it depends on, and the cache that keeps it.
// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/format/safetensors.h"
#include "lib/model/weight_reader.h"
#include "lib/util/digest.h"
#include "tests/model/small_model.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

namespace fs = std::filesystem;

// A tensor of several segments, its bytes those of a counter.
std::string Counted(int64_t n) {
  std::string bytes(static_cast<size_t>(n), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 16);
  return bytes;
}

// Written apart from the reader: segments of `step` rows of a (matrices, rows, row_bytes) tensor.
std::string DigestOf(const std::string& bytes, int64_t matrices, int64_t rows, int64_t step) {
  const int64_t row_bytes = static_cast<int64_t>(bytes.size()) / (matrices * rows);
  std::string digests;
  for (int64_t m = 0; m < matrices; ++m) {
    for (int64_t r = 0; r < rows; r += step) {
      const int64_t height = std::min(step, rows - r);
      const Digest128 d =
          Xxh3(bytes.data() + (m * rows + r) * row_bytes, static_cast<size_t>(height * row_bytes));
      digests.append(reinterpret_cast<const char*>(d.bytes), sizeof(d.bytes));
    }
  }
  return Xxh3Hex(digests);
}

TEST(Digest, IsTheDocumentedFunction) {
  TempFolder folder;
  const std::string a = Counted(3 * 300 * 20000), b = Counted(40);
  SafetensorsBuilder builder;
  builder.Tensor("stack", "BF16", {3, 300, 10000}, a).Tensor("norm", "F32", {10}, b);
  TensorTable table;
  ASSERT_TRUE(AppendSafetensors(folder.Write("a.safetensors", builder.Build()), &table).ok());
  const QuantConfig none;
  WeightPlan plan(table, none);
  std::vector<kernels::Matrix> matrices(3);
  const float* norm = nullptr;
  ASSERT_TRUE(plan.AddStack("stack", 300, 10000, {&matrices[0], &matrices[1], &matrices[2]}).ok());
  ASSERT_TRUE(plan.AddVector("norm", 10, &norm).ok());
  // 4 MiB are 209 rows of 20,000 bytes: 128 of them.
  const std::string want =
      Xxh3Hex("norm F32 (10) " + DigestOf(b, 1, 1, 1) + "\nstack BF16 (3, 300, 10000) " +
              DigestOf(a, 3, 300, 128) + "\n");
  for (const int64_t n_threads : {0, 1, 2, 5}) {
    const auto digest = DigestWeights(plan, {.n_threads = n_threads});
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(*digest, want);
  }
  const auto read = ReadWeights(plan, {.n_threads = 3});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->digest, want);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(std::memcmp(matrices[i].data, a.data() + i * 300 * 20000, 300 * 20000), 0) << i;
  }
}

TEST(Digest, EveryByteCounts) {
  const std::string bytes = SmallModel::HuggingFace().SafetensorsBytes();
  TempFolder folder;
  SmallModel::HuggingFace().WriteFolder(folder);
  LoadOptions options;
  options.metadata_only = options.digest = true;
  const auto digest = [&](const std::string& b) {
    folder.Write("model.safetensors", b);
    auto model = Model::Load(folder.path(), options);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? (*model)->weights_digest() : "";
  };
  const std::string base = digest(bytes);
  EXPECT_EQ(base.size(), 32u);
  int64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (size_t at = static_cast<size_t>(header) + 8; at < bytes.size(); at += 97) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_NE(digest(changed), base) << at;
  }
}

TEST(Digest, ThreadsAndLayoutDoNotCount) {
  const std::string big = GoldenPath("gguf/scout-small/F16.gguf");
  std::string want;
  for (const int64_t n_threads : {1, 2, 7}) {
    LoadOptions options;
    options.n_threads = n_threads;
    auto model = Model::Load(big, options);
    ASSERT_TRUE(model.ok()) << model.status();
    if (want.empty()) want = (*model)->weights_digest();
    EXPECT_EQ((*model)->weights_digest(), want);
    options.metadata_only = options.digest = true;
    auto without = Model::Load(big, options);
    ASSERT_TRUE(without.ok()) << without.status();
    EXPECT_EQ((*without)->weights_digest(), want);
    EXPECT_EQ((*without)->identity(), (*model)->identity());
    EXPECT_FALSE((*without)->has_weights());
  }
  // The same tensors in two files and another order.
  SmallModel small = SmallModel::HuggingFace();
  TempFolder whole, shards;
  small.WriteFolder(whole);
  SmallModel half[2];
  std::string map;
  int i = 0;
  for (const auto& [name, tensor] : small.tensors) {
    const int shard = i++ % 2;
    half[shard].tensors[name] = tensor;
    map += (map.empty() ? "\"" : ",\"") + name + "\":\"" + (shard == 0 ? "b" : "a") + "\"";
  }
  shards.Write("config.json", small.ConfigJson());
  shards.Write("b", half[0].SafetensorsBytes());
  shards.Write("a", half[1].SafetensorsBytes());
  shards.Write("model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  auto one = Model::Load(whole.path(), {}), two = Model::Load(shards.path(), {});
  ASSERT_TRUE(one.ok() && two.ok()) << two.status();
  EXPECT_EQ((*one)->weights_digest(), (*two)->weights_digest());
  EXPECT_EQ((*one)->identity(), (*two)->identity());
}

class DigestCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    small_.WriteFolder(folder_);
    Settle();
    options_.cache_dir = cache_.path() + "/digests";
  }
  // As if the files had been there for an hour.
  void Settle() {
    fs::last_write_time(folder_.path() + "/model.safetensors",
                        fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  std::string Load(bool metadata_only = false, bool fresh = false) {
    LoadOptions options = options_;
    options.metadata_only = metadata_only;
    options.fresh_digest = fresh;
    auto model = Model::Load(folder_.path(), options);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? (*model)->weights_digest() : "error";
  }
  std::vector<fs::path> Files() {
    std::vector<fs::path> files;
    if (!fs::exists(options_.cache_dir)) return files;
    for (const auto& entry : fs::directory_iterator(options_.cache_dir)) files.push_back(entry);
    return files;
  }

  // From now on.
  const std::vector<std::string>& Warnings() {
    options_.logger = Logger(
        [](void* user, int32_t, const char* line) {
          static_cast<std::vector<std::string>*>(user)->push_back(line);
        },
        &log_, 1);
    return log_;
  }

  SmallModel small_ = SmallModel::HuggingFace();
  TempFolder folder_, cache_;
  LoadOptions options_;
  std::vector<std::string> log_;
};

TEST_F(DigestCacheTest, KeepsWhatWasComputed) {
  EXPECT_EQ(Load(true), "");
  EXPECT_TRUE(Files().empty());
  const std::string digest = Load();
  ASSERT_EQ(Files().size(), 1u);
  struct stat info;
  ASSERT_EQ(::stat(Files()[0].c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(Load(true), digest);
  EXPECT_EQ(Load(), digest);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(DigestCacheTest, AnotherFileIsAMiss) {
  Load();
  small_.tensors["model.norm.weight"].values[0] += 1;
  small_.WriteFolder(folder_);  // the same size
  EXPECT_EQ(Load(true), "");
  fs::last_write_time(folder_.path() + "/model.safetensors",
                      fs::file_time_type::clock::now() - std::chrono::minutes(5));
  EXPECT_EQ(Load(true), "");
  const std::string changed = Load();
  EXPECT_EQ(Files().size(), 2u);
  EXPECT_EQ(Load(true), changed);
  // The same bytes at another place, or in another inode.
  fs::copy_file(folder_.path() + "/model.safetensors", folder_.path() + "/copy");
  fs::rename(folder_.path() + "/copy", folder_.path() + "/model.safetensors");
  EXPECT_EQ(Load(true), "");
  // Other tensors of the same file.
  EXPECT_EQ(Load(), changed);
  small_.config["num_hidden_layers"] = "1";
  small_.config["no_rope_layers"] = "[1]";
  small_.config["moe_layers"] = "[]";
  folder_.Write("config.json", small_.ConfigJson());
  EXPECT_NE(Load(), changed);
}

TEST_F(DigestCacheTest, AFileChangedJustNowIsNotKept) {
  small_.WriteFolder(folder_);
  const std::string digest = Load();
  EXPECT_EQ(digest.size(), 32u);
  EXPECT_TRUE(Files().empty());
}

TEST_F(DigestCacheTest, FreshOnRequest) {
  const std::string digest = Load();
  ASSERT_EQ(Files().size(), 1u);
  // A cache that lies, well-formed: believed until it is not asked.
  std::string text = ReadFile(Files()[0]);
  const size_t at = text.find("weights " + digest) + 8;
  text.replace(at, 32, std::string(32, 'a'));
  const size_t check = text.rfind("check ");
  text = text.substr(0, check) + "check " + Xxh3Hex(text.substr(0, check)) + "\n";
  std::ofstream(Files()[0], std::ios::binary) << text;
  EXPECT_EQ(Load(), std::string(32, 'a'));
  EXPECT_EQ(Load(true), std::string(32, 'a'));
  EXPECT_EQ(Load(false, true), digest);
  EXPECT_EQ(Load(true), digest);
}

TEST_F(DigestCacheTest, ADamagedFileIsAMiss) {
  const std::string digest = Load();
  ASSERT_EQ(Files().size(), 1u);
  const fs::path path = Files()[0];
  const std::string text = ReadFile(path);
  const auto expect_miss = [&](const std::string& bytes, const std::string& what) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    EXPECT_EQ(Load(true), "") << what;
  };
  for (size_t n = 0; n < text.size(); n += 7) expect_miss(text.substr(0, n), "cut");
  for (size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    expect_miss(changed, "byte " + std::to_string(at));
  }
  expect_miss(text + "x", "longer");
  expect_miss(std::string(1 << 20, 'x'), "large");
  EXPECT_EQ(Load(), digest);  // and is mended
  EXPECT_EQ(Load(true), digest);
  fs::remove(path);
  fs::create_directory(path);
  EXPECT_EQ(Load(), digest);
  EXPECT_EQ(Load(true), "");
}

TEST_F(DigestCacheTest, AFolderThatCannotBeMadeIsAWarning) {
  options_.cache_dir = cache_.Write("file", "x") + "/digests";
  const std::vector<std::string>& log = Warnings();
  EXPECT_EQ(Load().size(), 32u);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log[0].find("could not be kept"), std::string::npos) << log[0];
}

// Programs that copy files set the time of the data back; the time of the change stays.
TEST_F(DigestCacheTest, OtherBytesUnderTheOldTimeAreAMiss) {
  const std::string path = folder_.path() + "/model.safetensors";
  const std::string digest = Load();
  ASSERT_EQ(Load(true), digest);
  const auto time = fs::last_write_time(path);
  struct stat before, after;
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  do {  // until the system's clock, which goes by milliseconds, shows it
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end);
    ASSERT_TRUE(file.put('\x42').flush().good());
    file.close();
    fs::last_write_time(path, time);
    ASSERT_EQ(::stat(path.c_str(), &after), 0);
    ASSERT_EQ(after.st_ino, before.st_ino);
    ASSERT_EQ(after.st_size, before.st_size);
    ASSERT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  } while (after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
           after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
  EXPECT_EQ(Load(true), "");
  EXPECT_NE(Load(), digest);
}

TEST_F(DigestCacheTest, ALinkIsAMiss) {
  const std::string digest = Load();
  ASSERT_EQ(Files().size(), 1u);
  const fs::path path = Files()[0];
  const fs::path elsewhere = cache_.path() + "/elsewhere";
  fs::rename(path, elsewhere);
  fs::create_symlink(elsewhere, path);
  EXPECT_EQ(Load(true), "");
  EXPECT_EQ(Load(), digest);  // in the link's place
  EXPECT_FALSE(fs::is_symlink(path));
  EXPECT_EQ(Load(true), digest);
}

// Whoever may write to the folder could say what a model's identity is.
TEST_F(DigestCacheTest, AFolderOfOthersIsNotUsed) {
  const std::string digest = Load();
  const std::vector<std::string>& log = Warnings();
  const auto expect_unused = [&](const char* says) {
    const size_t before = log.size();
    EXPECT_EQ(Load(true), "");
    EXPECT_EQ(Load(), digest);
    EXPECT_EQ(Load(true), "");
    ASSERT_EQ(log.size(), before + 3);
    EXPECT_NE(log.back().find(says), std::string::npos) << log.back();
  };
  for (const mode_t mode : {0770u, 0707u, 0777u, 01777u}) {
    ASSERT_EQ(::chmod(options_.cache_dir.c_str(), mode), 0);
    expect_unused("other users");
  }
  ASSERT_EQ(::chmod(options_.cache_dir.c_str(), 0755), 0);
  EXPECT_EQ(Load(true), digest);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(options_.cache_dir.c_str(), 12345, 12345), 0);
    expect_unused("belongs to the user 12345");
  }
  options_.cache_dir = cache_.Write("plain", "x");
  expect_unused("no folder");
}

// Cancelled or failed loads on several threads leave no thread and no result.
TEST(ParallelLoad, CancelAtAnyCall) {
  const std::string path = GoldenPath("gguf/scout-small/F16.gguf");
  for (int stop = 1; stop < 40; stop += 3) {
    std::atomic<int> calls{0};
    LoadOptions options;
    options.n_threads = 4;
    const std::thread::id caller = std::this_thread::get_id();
    options.progress = [&](int64_t done, int64_t total) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      EXPECT_LE(done, total);
      return ++calls < stop;
    };
    auto model = Model::Load(path, options);
    if (calls >= stop) {
      EXPECT_EQ(model.status().code(), absl::StatusCode::kCancelled);
    } else {
      EXPECT_TRUE(model.ok()) << model.status();
    }
    EXPECT_LE(calls, stop);
  }
}

TEST(ParallelLoad, TheLastCallSaysAll) {
  for (const int64_t n_threads : {1, 4}) {
    int64_t last = -1, total = 0;
    LoadOptions options;
    options.n_threads = n_threads;
    options.progress = [&](int64_t done, int64_t of) {
      EXPECT_GE(done, last);
      last = done;
      total = of;
      return true;
    };
    ASSERT_TRUE(Model::Load(GoldenPath("gguf/scout-small/F16.gguf"), options).ok());
    EXPECT_EQ(last, total);
    EXPECT_GT(total, 900'000);
  }
}

}  // namespace
}  // namespace scout::test

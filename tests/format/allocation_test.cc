// The n-th allocation fails, for every n, in every reader: an exception or an error comes out, and
// nothing leaks or breaks. SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>

#include "lib/format/json.h"
#include "tests/format/format_test_util.h"
#include "tests/util/gguf_builder.h"
#include "tests/util/safetensors_builder.h"

namespace {

// Allocations until one fails; below 0 none does. Tests of this program run on one thread.
long g_until_failure = -1;
bool g_failed = false;
// Bytes that are held, and the most there were of them.
int64_t g_held = 0, g_most = 0;

void* Allocate(size_t size) {
  if (g_until_failure == 0) {
    g_failed = true;
    throw std::bad_alloc();
  }
  if (g_until_failure > 0) --g_until_failure;
  void* memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  g_held += static_cast<int64_t>(malloc_usable_size(memory));
  g_most = std::max(g_most, g_held);
  return memory;
}

void Free(void* memory) {
  g_held -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t) noexcept { Free(memory); }

namespace scout::test {
namespace {

// Runs `work` with the first, second, ... allocation failing, until one run needs no more. Returns
// how many allocations a whole run takes.
long FailEachAllocation(const std::function<void()>& work) {
  for (long n = 0;; ++n) {
    bool threw = false;
    g_failed = false;
    g_until_failure = n;
    try {
      work();
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    g_until_failure = -1;
    if (!g_failed) return n;
    EXPECT_TRUE(threw) << "allocation " << n << " failed and nobody said so";
    if (n > 100'000) {
      ADD_FAILURE() << "no end";
      return n;
    }
  }
}

TEST(Allocation, Gguf) {
  TempFolder folder;
  const std::string good = folder.Write("good.gguf", SampleGguf().Build());
  EXPECT_GT(FailEachAllocation([&] { (void)ReadGguf(good); }), 50);
  const std::string bytes = SampleGguf().Build();
  const std::string cut = folder.Write("cut.gguf", bytes.substr(0, bytes.size() - 1));
  EXPECT_GT(FailEachAllocation([&] { (void)ReadGguf(cut); }), 50);
  const std::string key = folder.Write("key.gguf", GgufBuilder().Key("k", 99, "12").Build());
  EXPECT_GT(FailEachAllocation([&] { (void)ReadGguf(key); }), 5);
  const std::string none = folder.path() + "/none.gguf";
  EXPECT_GT(FailEachAllocation([&] { (void)ReadGguf(none); }), 1);
}

TEST(Allocation, Safetensors) {
  TempFolder folder;
  folder.Write("a.safetensors", SampleSafetensors().Build());
  folder.Write("b.safetensors", SafetensorsBuilder().Tensor("y", "U8", {3}, "345").Build());
  const char kIndex[] = "model.safetensors.index.json";
  const std::string members =
      R"("model.norm.weight":"a.safetensors","half":"a.safetensors","bf":"a.safetensors",
         "scalar":"a.safetensors","packed":"a.safetensors")";
  const auto read = [&] { (void)ReadSafetensorsFolder(folder.path()); };
  folder.Write(kIndex, R"({"weight_map":{"y":"b.safetensors",)" + members + "}}");
  ASSERT_TRUE(ReadSafetensorsFolder(folder.path()).ok());
  EXPECT_GT(FailEachAllocation(read), 50);
  folder.Write(kIndex, R"({"weight_map":{)" + members + R"(,"z":"b.safetensors"}})");
  ASSERT_FALSE(ReadSafetensorsFolder(folder.path()).ok());
  EXPECT_GT(FailEachAllocation(read), 50);
  folder.Write(kIndex, R"({"weight_map":{"a":"none.safetensors"}})");
  EXPECT_GT(FailEachAllocation(read), 10);
}

// The most bytes that `work` holds at a time.
int64_t MostHeld(const std::function<void()>& work) {
  const int64_t before = g_held;
  g_most = before;
  work();
  return g_most - before;
}

// Headers that are made to take memory: what they take is bounded by their size.
TEST(Allocation, HugeHeadersTakeLittle) {
  const auto most = [](const std::string& bytes, absl::StatusCode code, const char* says) {
    return MostHeld([&] {
      const absl::Status status = ParseSafetensors(MemorySource(bytes), 0).status();
      EXPECT_EQ(status.code(), code) << status;
      EXPECT_NE(std::string(status.message()).find(says), std::string::npos) << status;
    });
  };
  constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;
  constexpr int64_t kMiB = int64_t{1} << 20;
  std::string ones = R"({"t":{"dtype":"F32","data_offsets":[0,4],"shape":[1)";
  while (ones.size() < 4 * kMiB) ones += ",1";
  const std::string shape = SafetensorsFile(ones + "]}}", "1234");
  EXPECT_LT(most(shape, kUnsupported, "array"), 6 * kMiB);  // the text itself, and little more
  // As many values in arrays that are short enough.
  std::string arrays = R"({"t":{"dtype":"F32","data_offsets":[0,4],"shape":[1])";
  for (int i = 0; static_cast<int64_t>(arrays.size()) < 4 * kMiB; ++i) {
    arrays += ",\"" + std::to_string(i) + "\":[1";
    for (int k = 0; k < 60; ++k) arrays += ",1";
    arrays += "]";
  }
  const std::string many = SafetensorsFile(arrays + "}}", "1234");
  EXPECT_LT(most(many, kUnsupported, "values"), 120 * kMiB);
  // Elements of one byte become eight each: all arrays together have a limit.
  GgufBuilder numbers;
  const std::string mebi(kMiB, '\1');
  for (int i = 0; i < 20; ++i) {
    numbers.Array("k" + std::to_string(i), kGgufU8, static_cast<uint64_t>(kMiB), mebi);
  }
  const std::string gguf = numbers.Build();
  EXPECT_LT(MostHeld([&] {
              const absl::Status status = ParseGguf(MemorySource(gguf)).status();
              EXPECT_EQ(status.code(), kUnsupported) << status;
              EXPECT_NE(std::string(status.message()).find("together"), std::string::npos);
            }),
            140 * kMiB);
}

TEST(Allocation, Json) {
  for (const char* text : {R"({"a":[1,2.5,"a text that is longer than a short string"],"b":{}})",
                           R"({"a":1,"a":2})", "[[[[[", "[1e999]", "{\"a\" 1}", "\"\xFF\""}) {
    EXPECT_GT(FailEachAllocation([&] { (void)ParseJson(text); }), 0) << text;
  }
}

}  // namespace
}  // namespace scout::test

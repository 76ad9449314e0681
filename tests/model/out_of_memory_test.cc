// Every allocation of a load fails once: std::bad_alloc comes out, nothing stays behind, nothing
// ends the process. This program's operator new counts for it. SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <new>

#include "tests/model/small_model.h"

namespace {

// Allocations until one fails (and all after it); below 0: none fails. Blocks alive.
int64_t allocations_left = -1;
int64_t blocks_alive = 0;

void* Take(size_t bytes, size_t align) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  void* memory = align <= alignof(std::max_align_t)
                     ? std::malloc(bytes + (bytes == 0))
                     : std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (memory == nullptr) throw std::bad_alloc();
  ++blocks_alive;
  return memory;
}

void Give(void* memory) {
  if (memory != nullptr) --blocks_alive;
  std::free(memory);
}

}  // namespace

// The library's nothrow forms call these.
void* operator new(size_t bytes) { return Take(bytes, 0); }
void* operator new[](size_t bytes) { return Take(bytes, 0); }
void* operator new(size_t bytes, std::align_val_t a) { return Take(bytes, static_cast<size_t>(a)); }
void* operator new[](size_t bytes, std::align_val_t a) {
  return Take(bytes, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { Give(p); }
void operator delete[](void* p) noexcept { Give(p); }
void operator delete(void* p, size_t) noexcept { Give(p); }
void operator delete[](void* p, size_t) noexcept { Give(p); }
void operator delete(void* p, std::align_val_t) noexcept { Give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { Give(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { Give(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { Give(p); }

namespace scout::test {
namespace {

// Loads and describes; the code of the load.
absl::StatusCode LoadOnce(const std::string& path) {
  auto model = Model::Load(path, {});
  if (!model.ok()) return model.status().code();
  return (*model)->DescribeJson().status().code();
}

void Sweep(const std::string& path, absl::StatusCode want) {
  ASSERT_EQ(LoadOnce(path), want);  // what is allocated once and kept is there now
  constexpr int64_t kNever = int64_t{1} << 40;
  allocations_left = kNever;
  LoadOnce(path);
  const int64_t total = kNever - allocations_left;
  allocations_left = -1;
  ASSERT_GT(total, 5);
  for (int64_t n = 0; n <= total; ++n) {
    const int64_t before = blocks_alive;
    bool thrown = false;
    absl::StatusCode code = absl::StatusCode::kOk;
    allocations_left = n;
    try {
      code = LoadOnce(path);
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    allocations_left = -1;
    EXPECT_EQ(thrown, n < total) << n;
    if (!thrown) {
      EXPECT_EQ(code, want) << n;
    }
    EXPECT_EQ(blocks_alive, before) << n;
  }
}

TEST(OutOfMemory, HuggingFaceFolder) {
  for (const bool fused : {true, false}) {
    Folder folder;
    SmallModel::HuggingFace("BF16", fused).WriteFolder(folder);
    Sweep(folder.path(), absl::StatusCode::kOk);
  }
}

TEST(OutOfMemory, Gguf) {
  Folder folder;
  const std::string bytes = SmallModel::Gguf().GgufBytes();
  Sweep(folder.Write("m.gguf", bytes), absl::StatusCode::kOk);
  Sweep(folder.Write("m.gguf", bytes.substr(0, bytes.size() - 5)), absl::StatusCode::kDataLoss);
}

TEST(OutOfMemory, Errors) {
  Folder folder;
  Sweep(folder.path(), absl::StatusCode::kNotFound);
  Sweep(folder.path() + "/none", absl::StatusCode::kNotFound);
  SmallModel small = SmallModel::HuggingFace();
  small.config["head_dim"] = "5";
  small.WriteFolder(folder);
  Sweep(folder.path(), absl::StatusCode::kUnimplemented);
  small.config["head_dim"] = "6";
  small.WriteFolder(folder);
  Sweep(folder.path(), absl::StatusCode::kDataLoss);
  small = SmallModel::HuggingFace();
  small.tensors["lm_head.weight"].type = "I32";
  small.WriteFolder(folder);
  Sweep(folder.path(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace scout::test

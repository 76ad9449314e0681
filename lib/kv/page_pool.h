// KV pages of one engine: a fixed budget, reference counts, reservations. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "lib/util/status.h"

namespace scout {

// One layer's keys and values for page_tokens positions (layout: kernels/ops.h). Contents are
// undefined until written. Shared pages (refs > 1) are read-only: a writer copies first.
struct KvPage {
  void* data = nullptr;  // 64-byte aligned, owned by the pool
  std::atomic<int32_t> refs{0};
};

// Thread-safe. Accounting: committed() = pages promised to somebody, and never exceeds capacity().
// Memory for every committed page is held before the promise is made (untouched, so that it becomes
// resident as it is used), hence Take cannot fail within a reservation.
class PagePool {
 public:
  PagePool(int64_t page_bytes, int64_t capacity);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Promises n pages more. CapacityError with the numbers where the budget lacks them; throws
  // std::bad_alloc where the system refuses the memory. Nothing changes then.
  absl::Status Commit(int64_t n);
  // Gives a promise back.
  void Uncommit(int64_t n);
  // A page with one reference, or null where none is free, which cannot be for a caller that has
  // committed it.
  KvPage* Take();
  // Drops one reference; true where it was the last and the page is free again. The promise stays
  // with the caller.
  bool Drop(KvPage* page);

  int64_t page_bytes() const { return page_bytes_; }
  int64_t capacity() const { return capacity_; }
  int64_t committed() const;
  int64_t in_use() const;  // pages taken and not yet free

 private:
  struct Slab;
  const int64_t page_bytes_;
  const int64_t capacity_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Slab>> slabs_;
  std::vector<KvPage*> free_;  // capacity is kept >= all pages, so Drop never allocates
  int64_t n_pages_ = 0;        // with memory
  int64_t committed_ = 0;
  int64_t in_use_ = 0;
};

}  // namespace scout

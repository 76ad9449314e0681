#include "lib/kv/page_pool.h"

#include <algorithm>
#include <new>

namespace scout {
namespace {
constexpr std::align_val_t kAlign{64};
constexpr int64_t kSlabBytes = int64_t{16} << 20;  // one allocation holds about this much
}  // namespace

struct PagePool::Slab {
  Slab(int64_t n, int64_t page_bytes)
      : count(n),
        pages(std::make_unique<KvPage[]>(static_cast<size_t>(n))),
        memory(static_cast<uint8_t*>(::operator new(static_cast<size_t>(n* page_bytes), kAlign))) {
    for (int64_t i = 0; i < n; ++i) pages[i].data = memory + i * page_bytes;
  }
  ~Slab() { ::operator delete(memory, kAlign); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  int64_t count;
  std::unique_ptr<KvPage[]> pages;
  uint8_t* memory;
};

PagePool::PagePool(int64_t page_bytes, int64_t capacity)
    : page_bytes_(page_bytes), capacity_(capacity) {}
PagePool::~PagePool() = default;

absl::Status PagePool::Commit(int64_t n) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (n > capacity_ - committed_) {
    return CapacityError(absl::StrCat("the KV budget has ", capacity_ - committed_, " of ",
                                      capacity_, " pages left, ", n, " are needed (", page_bytes_,
                                      " bytes each)"));
  }
  // New slabs join the pool together: where the system refuses one, none is kept.
  std::vector<std::unique_ptr<Slab>> slabs;
  int64_t n_pages = n_pages_;
  while (n_pages < committed_ + n) {
    const int64_t missing = committed_ + n - n_pages;
    const int64_t count = std::min(missing, std::max<int64_t>(1, kSlabBytes / page_bytes_));
    slabs.push_back(std::make_unique<Slab>(count, page_bytes_));
    n_pages += count;
  }
  if (!slabs.empty()) {
    if (free_.capacity() < static_cast<size_t>(n_pages)) {
      free_.reserve(std::max(static_cast<size_t>(n_pages), 2 * free_.capacity()));
    }
    slabs_.reserve(slabs_.size() + slabs.size());
    for (std::unique_ptr<Slab>& slab : slabs) {
      for (int64_t i = slab->count; i-- > 0;) free_.push_back(&slab->pages[i]);
      slabs_.push_back(std::move(slab));
    }
    n_pages_ = n_pages;
  }
  committed_ += n;
  return absl::OkStatus();
}

void PagePool::Uncommit(int64_t n) {
  std::lock_guard<std::mutex> lock(mutex_);
  committed_ -= n;
}

KvPage* PagePool::Take() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (free_.empty()) return nullptr;
  KvPage* page = free_.back();
  free_.pop_back();
  page->refs.store(1, std::memory_order_relaxed);
  ++in_use_;
  return page;
}

bool PagePool::Drop(KvPage* page) {
  if (page->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back(page);
  --in_use_;
  return true;
}

int64_t PagePool::committed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return committed_;
}

int64_t PagePool::in_use() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return in_use_;
}

}  // namespace scout

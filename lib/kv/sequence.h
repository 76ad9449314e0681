// The KV of one token sequence: page tables of all layers, append, truncate, fork.
// SPDX-License-Identifier: Apache-2.0
//
// Global layers keep every position. Chunked layers keep the current attention chunk alone, since a
// query never looks past its chunk's start; a cut before that chunk therefore loses the chunked
// layers' history and the sequence falls back to the start of the cut's chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "lib/kv/page_pool.h"
#include "lib/util/status.h"

namespace scout {

struct KvLayout {
  std::vector<bool> global;  // per layer
  int64_t n_kv_heads = 0, head_dim = 0, page_tokens = 0;
  kernels::KvFormat format = kernels::KvFormat::kF32;
  int64_t chunk = 0;  // tokens

  int64_t page_bytes() const {
    return kernels::kv_page_bytes(format, page_tokens, n_kv_heads, head_dim);
  }
  int64_t n_global() const;
  int64_t n_chunked() const { return static_cast<int64_t>(global.size()) - n_global(); }
  int64_t PagesFor(int64_t tokens) const { return (tokens + page_tokens - 1) / page_tokens; }
  // Pages a sequence of max_tokens can need in its global layers, and in its chunked ones.
  int64_t GlobalPages(int64_t max_tokens) const { return n_global() * PagesFor(max_tokens); }
  int64_t ChunkedPages(int64_t max_tokens) const {
    return n_chunked() * PagesFor(chunk < max_tokens ? chunk : max_tokens);
  }
  int64_t ChunkStart(int64_t position) const { return position / chunk * chunk; }
};

// The pages of an engine, in two budgets: what global layers may hold over all sequences, and one
// attention chunk of the chunked layers for each sequence. Neither can eat the other's.
struct KvPools {
  KvPools(int64_t page_bytes, int64_t global_pages, int64_t chunked_pages)
      : global(page_bytes, global_pages), chunked(page_bytes, chunked_pages) {}
  PagePool global, chunked;
};

// Not thread-safe: belongs to one session. Everything that can fail does so before it changes
// state.
class SequenceKv {
 public:
  // Commits pages for max_tokens. CapacityError with the numbers.
  static absl::StatusOr<std::unique_ptr<SequenceKv>> Create(std::shared_ptr<KvPools> pools,
                                                            std::shared_ptr<const KvLayout> layout,
                                                            int64_t max_tokens);
  ~SequenceKv();
  SequenceKv(const SequenceKv&) = delete;
  SequenceKv& operator=(const SequenceKv&) = delete;

  int64_t length() const { return length_; }  // positions [0, length) are stored
  int64_t max_tokens() const { return max_tokens_; }
  const KvLayout& layout() const { return *layout_; }

  // Makes the slots of positions [length, length + n) writable: takes pages, copies shared ones,
  // lets the last chunk's pages go. The range lies within one chunk and within max_tokens. Cannot
  // fail: everything was committed.
  void PrepareAppend(int64_t n);
  // Declares the prepared positions stored.
  void FinishAppend(int64_t n) { length_ += n; }
  // Gives back what was prepared and will not be stored. Harmless where nothing was.
  void DropPrepared();

  // Whether every layer holds what a query at `position` sees.
  bool Holds(int64_t position) const {
    return position < length_ && (position >= chunk_base_ || layout_->n_chunked() == 0);
  }

  // Where Truncate(position) would leave length().
  int64_t LengthAfterTruncate(int64_t position) const;
  // Forgets positions >= `position`. CapacityError where pages shared with a fork would have to be
  // replaced and the budget lacks them; nothing changes then.
  absl::Status Truncate(int64_t position);

  // A sequence with the same contents; whole pages are shared.
  absl::StatusOr<std::unique_ptr<SequenceKv>> Fork(int64_t max_tokens) const;

  // Pages of a layer in order of slots, and the slot of a position there.
  void* const* pages(int64_t layer) const { return tables_[layer].data.data(); }
  int64_t Slot(int64_t layer, int64_t position) const {
    return layout_->global[layer] ? position : position - layout_->ChunkStart(position);
  }

 private:
  struct Table {
    std::vector<KvPage*> pages;
    std::vector<void*> data;  // pages[i]->data
    void Push(KvPage* page) {
      pages.push_back(page);
      data.push_back(page->data);
    }
    void Pop() {
      pages.pop_back();
      data.pop_back();
    }
  };

  SequenceKv(std::shared_ptr<KvPools> pools, std::shared_ptr<const KvLayout> layout,
             int64_t max_tokens);
  PagePool& PoolOf(size_t layer) const {
    return layout_->global[layer] ? pools_->global : pools_->chunked;
  }
  // Commits both budgets or neither.
  absl::Status Commit(int64_t global_pages);
  void CopyOnWrite(size_t layer, int64_t index);

  std::shared_ptr<KvPools> pools_;
  std::shared_ptr<const KvLayout> layout_;
  std::vector<Table> tables_;  // per layer
  int64_t max_tokens_ = 0;
  int64_t length_ = 0;
  int64_t chunk_base_ = 0;  // start of the chunk whose pages the chunked layers hold
  // Committed and not yet taken. A global layer's page carries its own commitment, once, however
  // many sequences share it. Each sequence commits a whole chunk for its chunked layers, shared or
  // not, because all sharers may move on to a chunk of their own.
  int64_t global_reserve_ = 0;
  int64_t chunk_quota_ = 0;  // committed in the chunked budget for the sequence's whole life
};

}  // namespace scout

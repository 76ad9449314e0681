#include "lib/kv/sequence.h"

#include <algorithm>
#include <cstring>

namespace scout {

int64_t KvLayout::n_global() const {
  return std::count(global.begin(), global.end(), true);
}

int64_t KvLayout::PagesPerSequence(int64_t max_tokens) const {
  return n_global() * PagesFor(max_tokens) + n_chunked() * PagesFor(std::min(chunk, max_tokens));
}

SequenceKv::SequenceKv(std::shared_ptr<PagePool> pool, std::shared_ptr<const KvLayout> layout,
                       int64_t max_tokens)
    : pool_(std::move(pool)), layout_(std::move(layout)), tables_(layout_->global.size()),
      max_tokens_(max_tokens) {
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    const int64_t most = layout_->PagesFor(
        layout_->global[layer] ? max_tokens : std::min(layout_->chunk, max_tokens));
    tables_[layer].pages.reserve(static_cast<size_t>(most));  // Push never allocates
    tables_[layer].data.reserve(static_cast<size_t>(most));
  }
}

int64_t SequenceKv::ChunkQuota() const {
  return layout_->n_chunked() * layout_->PagesFor(std::min(layout_->chunk, max_tokens_));
}

absl::StatusOr<std::unique_ptr<SequenceKv>> SequenceKv::Create(
    std::shared_ptr<PagePool> pool, std::shared_ptr<const KvLayout> layout, int64_t max_tokens) {
  std::unique_ptr<SequenceKv> kv(new SequenceKv(std::move(pool), std::move(layout), max_tokens));
  const int64_t global = kv->layout_->n_global() * kv->layout_->PagesFor(max_tokens);
  if (absl::Status s = kv->pool_->Commit(global + kv->ChunkQuota()); !s.ok()) {
    kv->max_tokens_ = 0;  // nothing was committed: the destructor gives nothing back
    return CapacityError(absl::StrCat("a session of ", max_tokens, " tokens does not fit: ",
                                      s.message()));
  }
  kv->global_reserve_ = global;
  return kv;
}

SequenceKv::~SequenceKv() {
  int64_t give_back = global_reserve_ + (max_tokens_ > 0 ? ChunkQuota() : 0);
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    for (KvPage* page : tables_[layer].pages) {
      if (pool_->Drop(page) && layout_->global[layer]) ++give_back;
    }
  }
  pool_->Uncommit(give_back);
}

// Replaces a shared page by a private copy. For a global layer the caller's reserve pays for it.
void SequenceKv::CopyOnWrite(Table* table, int64_t index) {
  KvPage* old = table->pages[index];
  KvPage* copy = pool_->Take();
  std::memcpy(copy->data, old->data, static_cast<size_t>(layout_->page_bytes()));
  table->pages[index] = copy;
  table->data[index] = copy->data;
  pool_->Drop(old);
}

void SequenceKv::PrepareAppend(int64_t n) {
  const int64_t base = layout_->ChunkStart(length_);
  const bool new_chunk = base != chunk_base_;
  chunk_base_ = base;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    Table& table = tables_[layer];
    const bool global = layout_->global[layer];
    if (!global && new_chunk) {
      while (!table.pages.empty()) {
        pool_->Drop(table.pages.back());
        table.Pop();
      }
    }
    const int64_t first = global ? length_ : length_ - base;  // slot
    // Shared pages from the first slot on are replaced; the committed reserve holds their copies.
    for (int64_t i = first / layout_->page_tokens; i < static_cast<int64_t>(table.pages.size()); ++i) {
      if (table.pages[i]->refs.load(std::memory_order_acquire) == 1) continue;
      CopyOnWrite(&table, i);
      if (global) --global_reserve_;
    }
    const int64_t want = layout_->PagesFor(first + n);
    while (static_cast<int64_t>(table.pages.size()) < want) {
      table.Push(pool_->Take());
      if (global) --global_reserve_;
    }
  }
  // A page that Truncate expected to copy may have become private in the meantime.
  int64_t still_needed = 0;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    if (!layout_->global[layer]) continue;
    still_needed += layout_->PagesFor(max_tokens_) - static_cast<int64_t>(tables_[layer].pages.size());
  }
  if (global_reserve_ > still_needed) {
    pool_->Uncommit(global_reserve_ - still_needed);
    global_reserve_ = still_needed;
  }
}

int64_t SequenceKv::LengthAfterTruncate(int64_t position) const {
  if (position >= length_) return length_;
  return position >= chunk_base_ ? position : layout_->ChunkStart(position);
}

absl::Status SequenceKv::Truncate(int64_t position) {
  if (position >= length_) return absl::OkStatus();
  const int64_t length = LengthAfterTruncate(position);
  const int64_t keep = layout_->PagesFor(length);
  const bool partial = length % layout_->page_tokens != 0;

  // A dropped page's commitment comes back to us only where we were its last holder. What is then
  // missing for max_tokens, and for copying a shared open page at the next append, is committed anew.
  int64_t need = -global_reserve_;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    if (!layout_->global[layer]) continue;
    const auto& pages = tables_[layer].pages;
    need += layout_->PagesFor(max_tokens_) - keep;
    for (int64_t i = keep; i < static_cast<int64_t>(pages.size()); ++i) {
      if (pages[i]->refs.load(std::memory_order_acquire) == 1) --need;
    }
    if (partial && pages[keep - 1]->refs.load(std::memory_order_acquire) > 1) ++need;
  }
  if (need > 0) {
    if (absl::Status s = pool_->Commit(need); !s.ok()) {
      return CapacityError(absl::StrCat("cutting at position ", position,
                                        " drops pages that a fork shares: ", s.message()));
    }
    global_reserve_ += need;
  }

  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    Table& table = tables_[layer];
    const bool global = layout_->global[layer];
    const int64_t chunk_length = length >= chunk_base_ ? length - chunk_base_ : 0;
    const int64_t layer_keep = global ? keep : layout_->PagesFor(chunk_length);
    while (static_cast<int64_t>(table.pages.size()) > layer_keep) {
      const bool freed = pool_->Drop(table.pages.back());
      if (global && freed) ++global_reserve_;  // its commitment is ours again
      table.Pop();
    }
  }
  if (length < chunk_base_) chunk_base_ = length;
  length_ = length;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SequenceKv>> SequenceKv::Fork(int64_t max_tokens) const {
  std::unique_ptr<SequenceKv> kv(new SequenceKv(pool_, layout_, max_tokens));
  const int64_t whole = length_ / layout_->page_tokens;
  const bool partial = length_ % layout_->page_tokens != 0;
  const int64_t global = layout_->n_global() * (layout_->PagesFor(max_tokens) - whole);
  if (absl::Status s = pool_->Commit(global + kv->ChunkQuota()); !s.ok()) {
    kv->max_tokens_ = 0;
    return CapacityError(absl::StrCat("a fork for ", max_tokens, " tokens does not fit: ",
                                      s.message()));
  }
  kv->global_reserve_ = global;
  kv->length_ = length_;
  kv->chunk_base_ = chunk_base_;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    const Table& from = tables_[layer];
    Table& to = kv->tables_[layer];
    const int64_t share = layout_->global[layer] ? whole : static_cast<int64_t>(from.pages.size());
    for (int64_t i = 0; i < share; ++i) {
      from.pages[i]->refs.fetch_add(1, std::memory_order_relaxed);
      to.Push(from.pages[i]);
    }
    // The open page of a global layer is copied now, so that whole pages alone are ever shared there
    // and neither side needs a page more when it appends.
    if (layout_->global[layer] && partial) {
      KvPage* copy = pool_->Take();
      --kv->global_reserve_;
      std::memcpy(copy->data, from.pages[whole]->data, static_cast<size_t>(layout_->page_bytes()));
      to.Push(copy);
    }
  }
  return kv;
}

}  // namespace scout

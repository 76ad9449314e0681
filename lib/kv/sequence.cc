#include "lib/kv/sequence.h"

#include <algorithm>
#include <cstring>

namespace scout {

int64_t KvLayout::n_global() const { return std::count(global.begin(), global.end(), true); }

SequenceKv::SequenceKv(std::shared_ptr<KvPools> pools, std::shared_ptr<const KvLayout> layout,
                       int64_t max_tokens)
    : pools_(std::move(pools)),
      layout_(std::move(layout)),
      tables_(layout_->global.size()),
      max_tokens_(max_tokens) {}

absl::Status SequenceKv::Commit(int64_t global_pages) {
  const int64_t chunked_pages = layout_->ChunkedPages(max_tokens_);
  if (absl::Status s = pools_->global.Commit(global_pages); !s.ok()) {
    const int64_t left = pools_->global.capacity() - pools_->global.committed();
    return CapacityError(absl::StrCat(
        "a session of ", max_tokens_, " tokens does not fit in the ",
        left / layout_->n_global() * layout_->page_tokens,
        " tokens that are left of the engine's kv_tokens: give the engine more, or sessions a "
        "smaller max_tokens (in the global layers' pages: ",
        s.message(), ")"));
  }
  global_reserve_ = global_pages;  // given back by the destructor from here on
  if (absl::Status s = pools_->chunked.Commit(chunked_pages); !s.ok()) {
    return CapacityError(absl::StrCat(
        "a session of ", max_tokens_,
        " tokens does not fit beside the others: the engine's max_sessions is the number of whole "
        "attention chunks for which there is room (in the chunked layers' pages: ",
        s.message(), ")"));
  }
  chunk_quota_ = chunked_pages;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    const int64_t most = layout_->PagesFor(
        layout_->global[layer] ? max_tokens_ : std::min(layout_->chunk, max_tokens_));
    tables_[layer].pages.reserve(static_cast<size_t>(most));  // Push never allocates
    tables_[layer].data.reserve(static_cast<size_t>(most));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SequenceKv>> SequenceKv::Create(
    std::shared_ptr<KvPools> pools, std::shared_ptr<const KvLayout> layout, int64_t max_tokens) {
  std::unique_ptr<SequenceKv> kv(new SequenceKv(std::move(pools), std::move(layout), max_tokens));
  SCOUT_RETURN_IF_ERROR(kv->Commit(kv->layout_->GlobalPages(max_tokens)));
  return kv;
}

SequenceKv::~SequenceKv() {
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    for (KvPage* page : tables_[layer].pages) {
      if (PoolOf(layer).Drop(page) && layout_->global[layer]) ++global_reserve_;
    }
  }
  pools_->global.Uncommit(global_reserve_);
  pools_->chunked.Uncommit(chunk_quota_);
}

// Replaces a shared page by a private copy. For a global layer the caller's reserve pays for it.
void SequenceKv::CopyOnWrite(size_t layer, int64_t index) {
  Table& table = tables_[layer];
  KvPage* old = table.pages[index];
  KvPage* copy = PoolOf(layer).Take();
  // A pool can be out of pages here only where the other holder has let go since we looked, and
  // with it went the quota that held the copy: the page is ours alone then.
  if (copy == nullptr) return;
  std::memcpy(copy->data, old->data, static_cast<size_t>(layout_->page_bytes()));
  table.pages[index] = copy;
  table.data[index] = copy->data;
  const bool freed = PoolOf(layer).Drop(old);
  // The copy takes a commitment of ours; a page that nobody else holds any more brings its own.
  if (layout_->global[layer] && !freed) --global_reserve_;
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
        PoolOf(layer).Drop(table.pages.back());
        table.Pop();
      }
    }
    const int64_t first = global ? length_ : length_ - base;  // slot
    // Shared pages from the first slot on are replaced; the committed reserve holds their copies.
    for (int64_t i = first / layout_->page_tokens; i < static_cast<int64_t>(table.pages.size());
         ++i) {
      if (table.pages[i]->refs.load(std::memory_order_acquire) == 1) continue;
      CopyOnWrite(layer, i);
    }
    const int64_t want = layout_->PagesFor(first + n);
    while (static_cast<int64_t>(table.pages.size()) < want) {
      table.Push(PoolOf(layer).Take());
      if (global) --global_reserve_;
    }
  }
  // A page that Truncate expected to copy may have become private in the meantime.
  int64_t still_needed = 0;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    if (!layout_->global[layer]) continue;
    still_needed +=
        layout_->PagesFor(max_tokens_) - static_cast<int64_t>(tables_[layer].pages.size());
  }
  if (global_reserve_ > still_needed) {
    pools_->global.Uncommit(global_reserve_ - still_needed);
    global_reserve_ = still_needed;
  }
}

void SequenceKv::DropPrepared() {
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    const bool global = layout_->global[layer];
    const int64_t keep = layout_->PagesFor(global ? length_ : length_ - chunk_base_);
    Table& table = tables_[layer];
    while (static_cast<int64_t>(table.pages.size()) > keep) {
      const bool freed = PoolOf(layer).Drop(table.pages.back());
      if (global && freed) ++global_reserve_;
      table.Pop();
    }
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
  // missing for max_tokens, and for copying a shared open page at the next append, is committed
  // anew.
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
    if (absl::Status s = pools_->global.Commit(need); !s.ok()) {
      return CapacityError(absl::StrCat("cutting at position ", position,
                                        " drops pages that a fork shares, and the engine's "
                                        "kv_tokens leaves none to replace them: ",
                                        s.message()));
    }
    global_reserve_ += need;
  }

  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    Table& table = tables_[layer];
    const bool global = layout_->global[layer];
    const int64_t chunk_length = length >= chunk_base_ ? length - chunk_base_ : 0;
    const int64_t layer_keep = global ? keep : layout_->PagesFor(chunk_length);
    while (static_cast<int64_t>(table.pages.size()) > layer_keep) {
      const bool freed = PoolOf(layer).Drop(table.pages.back());
      if (global && freed) ++global_reserve_;  // its commitment is ours again
      table.Pop();
    }
  }
  if (length < chunk_base_) chunk_base_ = length;
  length_ = length;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SequenceKv>> SequenceKv::Fork(int64_t max_tokens) const {
  std::unique_ptr<SequenceKv> kv(new SequenceKv(pools_, layout_, max_tokens));
  const int64_t whole = length_ / layout_->page_tokens;
  const bool partial = length_ % layout_->page_tokens != 0;
  SCOUT_RETURN_IF_ERROR(kv->Commit(layout_->GlobalPages(max_tokens) - layout_->n_global() * whole));
  kv->length_ = length_;
  kv->chunk_base_ = chunk_base_;
  for (size_t layer = 0; layer < tables_.size(); ++layer) {
    const Table& from = tables_[layer];
    Table& to = kv->tables_[layer];
    const int64_t share = layout_->global[layer] ? whole : layout_->PagesFor(length_ - chunk_base_);
    for (int64_t i = 0; i < share; ++i) {
      from.pages[i]->refs.fetch_add(1, std::memory_order_relaxed);
      to.Push(from.pages[i]);
    }
    // The open page of a global layer is copied now, so that whole pages alone are ever shared
    // there and neither side needs a page more when it appends.
    if (layout_->global[layer] && partial) {
      KvPage* copy = PoolOf(layer).Take();
      --kv->global_reserve_;
      std::memcpy(copy->data, from.pages[whole]->data, static_cast<size_t>(layout_->page_bytes()));
      to.Push(copy);
    }
  }
  return kv;
}

}  // namespace scout

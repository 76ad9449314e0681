// Page accounting: append, truncate, fork, copy-on-write, and the promise that an opened sequence
// never runs out. A shadow model keeps the expected contents; pages carry position stamps.
#include "lib/kv/sequence.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

namespace scout {
namespace {

using kernels::KvFormat;

std::shared_ptr<KvLayout> Layout(std::vector<bool> global, int64_t chunk,
                                 int64_t page_tokens = 16) {
  auto layout = std::make_shared<KvLayout>();
  layout->global = std::move(global);
  layout->n_kv_heads = 1;
  layout->head_dim = 2;
  layout->page_tokens = page_tokens;
  layout->chunk = chunk;
  return layout;
}

int64_t Committed(const KvPools& pools) {
  return pools.global.committed() + pools.chunked.committed();
}
int64_t InUse(const KvPools& pools) { return pools.global.in_use() + pools.chunked.in_use(); }

// Writes a stamp for each appended position through the page table, as kv_store would (V part).
float* Slot(SequenceKv& kv, int64_t layer, int64_t position) {
  const KvLayout& l = kv.layout();
  const int64_t slot = kv.Slot(layer, position);
  auto* page = static_cast<float*>(kv.pages(layer)[slot / l.page_tokens]);
  return page + l.page_tokens * l.head_dim + (slot % l.page_tokens) * l.head_dim;
}

void Append(SequenceKv& kv, int64_t n, float stamp) {
  for (int64_t done = 0; done < n;) {
    const int64_t chunk_end = kv.layout().ChunkStart(kv.length()) + kv.layout().chunk;
    const int64_t step = std::min(n - done, chunk_end - kv.length());
    kv.PrepareAppend(step);
    for (size_t layer = 0; layer < kv.layout().global.size(); ++layer) {
      for (int64_t p = kv.length(); p < kv.length() + step; ++p) {
        Slot(kv, layer, p)[0] = stamp * 100000 + static_cast<float>(p);
      }
    }
    kv.FinishAppend(step);
    done += step;
  }
}

TEST(PagePool, CommitsWithinTheBudgetAndSaysTheNumbers) {
  PagePool pool(1024, 10);
  ASSERT_TRUE(pool.Commit(7).ok());
  const absl::Status s = pool.Commit(4);
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(s.message().find("3 of 10 pages left, 4 are needed"), std::string::npos) << s;
  EXPECT_EQ(pool.committed(), 7);
  KvPage* a = pool.Take();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a->data) % 64, 0u);
  EXPECT_EQ(pool.in_use(), 1);
  a->refs.fetch_add(1);
  EXPECT_FALSE(pool.Drop(a));
  EXPECT_TRUE(pool.Drop(a));
  pool.Uncommit(7);
  EXPECT_EQ(pool.in_use(), 0);
  EXPECT_EQ(pool.committed(), 0);
}

TEST(SequenceKv, KeepsGlobalLayersAndOneChunkOfTheOthers) {
  auto layout = Layout({false, true}, 32);
  auto pool = std::make_shared<KvPools>(layout->page_bytes(), 100, 100);
  auto kv = *SequenceKv::Create(pool, layout, 100);
  EXPECT_EQ(Committed(*pool), 7 + 2);  // 100 tokens of 16 a page; a chunk of 32
  Append(*kv, 70, 1);
  EXPECT_EQ(InUse(*pool), 5 + 1);  // positions 64..69 alone in the chunked layer
  for (int64_t p = 0; p < 70; ++p) EXPECT_EQ(Slot(*kv, 1, p)[0], 100000.0f + p);
  for (int64_t p = 64; p < 70; ++p) EXPECT_EQ(Slot(*kv, 0, p)[0], 100000.0f + p);
  kv.reset();
  EXPECT_EQ(Committed(*pool), 0);
  EXPECT_EQ(InUse(*pool), 0);
}

TEST(SequenceKv, TruncateFallsBackToTheChunkStartOnlyBeforeTheCurrentChunk) {
  auto layout = Layout({false, true}, 32);
  auto pool = std::make_shared<KvPools>(layout->page_bytes(), 100, 100);
  auto kv = *SequenceKv::Create(pool, layout, 100);
  Append(*kv, 70, 1);
  EXPECT_EQ(kv->LengthAfterTruncate(69), 69);
  EXPECT_EQ(kv->LengthAfterTruncate(64), 64);
  EXPECT_EQ(kv->LengthAfterTruncate(63), 32);
  EXPECT_EQ(kv->LengthAfterTruncate(32), 32);
  EXPECT_EQ(kv->LengthAfterTruncate(31), 0);
  ASSERT_TRUE(kv->Truncate(66).ok());
  EXPECT_EQ(kv->length(), 66);
  ASSERT_TRUE(kv->Truncate(40).ok());
  EXPECT_EQ(kv->length(), 32);
  Append(*kv, 68, 2);
  EXPECT_EQ(kv->length(), 100);
  EXPECT_EQ(Slot(*kv, 1, 31)[0], 100000.0f + 31);
  EXPECT_EQ(Slot(*kv, 1, 32)[0], 200000.0f + 32);
  EXPECT_EQ(Committed(*pool), 9);
}

TEST(SequenceKv, AFullChunkCanBeRewoundIntoUntilTheNextBegins) {
  auto layout = Layout({false, true}, 32);
  auto pool = std::make_shared<KvPools>(layout->page_bytes(), 100, 100);
  auto kv = *SequenceKv::Create(pool, layout, 100);
  Append(*kv, 64, 1);
  EXPECT_EQ(kv->LengthAfterTruncate(63), 63);  // chunk [32, 64) is still held
  Append(*kv, 1, 1);
  EXPECT_EQ(kv->LengthAfterTruncate(63), 32);
}

TEST(SequenceKv, ForkSharesWholePagesAndNeitherSideSeesTheOther) {
  auto layout = Layout({false, true}, 64);
  auto pool = std::make_shared<KvPools>(layout->page_bytes(), 100, 100);
  auto a = *SequenceKv::Create(pool, layout, 96);
  Append(*a, 40, 1);
  const int64_t before = InUse(*pool);
  auto b = *a->Fork(96);
  EXPECT_EQ(InUse(*pool), before + 1);  // the open global page alone is copied
  Append(*a, 30, 2);
  Append(*b, 30, 3);
  for (int64_t p = 0; p < 70; ++p) {
    const float base = p < 40 ? 1 : 0;
    EXPECT_EQ(Slot(*a, 1, p)[0], (base ? 1 : 2) * 100000.0f + p);
    EXPECT_EQ(Slot(*b, 1, p)[0], (base ? 1 : 3) * 100000.0f + p);
  }
  a.reset();
  for (int64_t p = 0; p < 40; ++p) EXPECT_EQ(Slot(*b, 1, p)[0], 100000.0f + p);
  b.reset();
  EXPECT_EQ(Committed(*pool), 0);
  EXPECT_EQ(InUse(*pool), 0);
}

TEST(SequenceKv, WhatWasPreparedAndNotStoredGoesBack) {
  const auto layout = Layout({false, true}, 64);
  auto pools = std::make_shared<KvPools>(layout->page_bytes(), 20, 20);
  auto kv = *SequenceKv::Create(pools, layout, 128);
  Append(*kv, 5, 1);
  const int64_t committed = Committed(*pools);
  for (const int64_t n : {59, 1}) {
    kv->PrepareAppend(n);
    kv->DropPrepared();
    EXPECT_EQ(InUse(*pools), 2);
    EXPECT_EQ(Committed(*pools), committed);
  }
  auto fork = kv->Fork(5);
  ASSERT_TRUE(fork.ok()) << fork.status();
  Append(*kv, 123, 1);  // two chunks: everything that was reserved is there
  EXPECT_EQ(Slot(**fork, 0, 4)[0], 100004);
  EXPECT_EQ(Slot(*kv, 1, 127)[0], 100127);
  kv->DropPrepared();
  EXPECT_EQ(kv->length(), 128);
  kv.reset();
  fork->reset();
  EXPECT_EQ(InUse(*pools), 0);
  EXPECT_EQ(Committed(*pools), 0);
}

TEST(SequenceKv, RewindIntoSharedPagesFailsCleanlyWithoutRoom) {
  auto layout = Layout({true}, 1024);
  auto pool = std::make_shared<KvPools>(layout->page_bytes(), 9, 0);
  auto a = *SequenceKv::Create(pool, layout, 96);  // 6 pages
  Append(*a, 64, 1);
  auto b = *a->Fork(96);  // shares 4, commits 2
  EXPECT_EQ(Committed(*pool), 8);
  const absl::Status s = b->Truncate(8);  // would need 4 pages more
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted) << s;
  EXPECT_EQ(b->length(), 64);
  EXPECT_EQ(Committed(*pool), 8);
  ASSERT_TRUE(b->Truncate(48).ok());  // one page more
  EXPECT_EQ(Committed(*pool), 9);
  Append(*b, 48, 2);
  EXPECT_EQ(Slot(*a, 0, 50)[0], 100000.0f + 50);
  EXPECT_EQ(Slot(*b, 0, 50)[0], 200000.0f + 50);
}

// The other holder of a shared page may let go at any moment of our copying it: no page and no
// commitment is lost or promised twice.
TEST(SequenceKv, CopyingASharedPageWhileItsOtherHolderEnds) {
  auto layout = Layout({false, true}, 64);
  auto pool = std::make_shared<KvPools>(layout->page_bytes(), 12, 8);
  for (int round = 0; round < 3000; ++round) {
    auto a = *SequenceKv::Create(pool, layout, 64);
    Append(*a, 40, 1);
    auto b = *a->Fork(64);
    ASSERT_TRUE(b->Truncate(20).ok());
    std::atomic<bool> go{false};
    std::thread other([&] {
      while (!go.load()) {
      }
      for (int i = 0; i < round % 200 && go.load(); ++i) {
      }
      a.reset();
    });
    go.store(true);
    b->PrepareAppend(10);
    b->FinishAppend(10);
    other.join();
    ASSERT_EQ(pool->global.committed(), layout->GlobalPages(64)) << round;
    ASSERT_EQ(pool->chunked.committed(), layout->ChunkedPages(64)) << round;
    b.reset();
    ASSERT_EQ(Committed(*pool), 0);
    ASSERT_EQ(InUse(*pool), 0);
  }
}

// Random operations on a family of forks against a plain shadow of what each should hold.
TEST(SequenceKv, RandomOperationsAgreeWithAShadow) {
  for (int seed = 0; seed < 40; ++seed) {
    std::mt19937 rng(seed);
    auto layout = Layout({false, true, false, false, true}, seed % 2 ? 48 : 32);
    auto pool = std::make_shared<KvPools>(layout->page_bytes(), 100, 40);
    struct Member {
      std::unique_ptr<SequenceKv> kv;
      std::vector<float> stamps;  // of the global layers
    };
    std::vector<Member> family;
    float stamp = 1;
    for (int op = 0; op < 300; ++op) {
      const auto pick = [&](int64_t n) { return static_cast<int64_t>(rng() % n); };
      if (family.empty() || (family.size() < 5 && pick(12) == 0)) {
        auto kv = SequenceKv::Create(pool, layout, 150 + pick(50));
        if (kv.ok()) family.push_back({*std::move(kv), {}});
        continue;
      }
      Member& m = family[pick(family.size())];
      switch (pick(5)) {
        case 0:
        case 1: {
          const int64_t n = std::min<int64_t>(1 + pick(40), m.kv->max_tokens() - m.kv->length());
          if (n == 0) break;
          const int64_t from = m.kv->length();
          Append(*m.kv, n, ++stamp);
          m.stamps.resize(from);
          for (int64_t p = from; p < from + n; ++p) m.stamps.push_back(stamp * 100000 + p);
          break;
        }
        case 2: {
          const int64_t to = pick(m.kv->length() + 1);
          const int64_t want = m.kv->LengthAfterTruncate(to);
          const int64_t before = m.kv->length();
          const absl::Status s = m.kv->Truncate(to);
          ASSERT_EQ(m.kv->length(), s.ok() ? want : before);
          m.stamps.resize(m.kv->length());
          break;
        }
        case 3: {
          auto fork = m.kv->Fork(std::max<int64_t>(m.kv->length(), 1) + pick(50));
          if (fork.ok() && family.size() < 6) {
            std::vector<float> stamps = m.stamps;
            family.push_back({*std::move(fork), std::move(stamps)});
          }
          break;
        }
        case 4:
          if (pick(4) == 0) family.erase(family.begin() + (&m - family.data()));
          break;
      }
      for (Member& check : family) {
        for (int64_t p = 0; p < check.kv->length(); ++p) {
          ASSERT_EQ(Slot(*check.kv, 1, p)[0], check.stamps[p]) << "seed " << seed << " op " << op;
          ASSERT_EQ(Slot(*check.kv, 4, p)[0], check.stamps[p]);
        }
      }
      for (const PagePool* part : {&pool->global, &pool->chunked}) {
        ASSERT_LE(part->committed(), part->capacity());
        ASSERT_LE(part->in_use(), part->committed());
      }
    }
    family.clear();
    ASSERT_EQ(Committed(*pool), 0);
    ASSERT_EQ(InUse(*pool), 0);
  }
}

}  // namespace
}  // namespace scout

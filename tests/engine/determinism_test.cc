// A row's logits are a function of the tokens before it: the same bits whatever the pieces,
// threads, rewinds, forks and syncs. Sequences span many attention segments (pages) and chunks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "tests/engine/harness.h"

namespace scout {
namespace {

std::vector<Variant> Variants() {
  using kernels::Isa;
  std::vector<Variant> all = {
      {.model = "scout-small", .exact = true, .chunk = 48},
      {.model = "scout-tiny-bf16", .exact = false},
      {.model = "gguf/scout-k/Q4_K_M.gguf", .exact = false, .chunk = 64},
      {.model = "gguf/scout-small/Q8_0.gguf", .exact = false, .chunk = 80},
      {.model = "gguf/scout-small/Q4_0.gguf", .exact = false, .chunk = 48},
      {.model = "scout-small", .exact = true, .reference = true, .chunk = 48},
  };
#if defined(__SANITIZE_THREAD__)
  all = {all[1], all[2]};  // the threads are the same in all
#elif !defined(__SANITIZE_ADDRESS__)
  all.push_back({.model = "scout-hd128", .exact = true, .page_tokens = 64});
  all.push_back({.model = "maverick-tiny", .exact = false});
  all.push_back(
      {.model = "gguf/scout-small/Q8_0.gguf", .exact = false, .reference = true, .chunk = 80});
  for (Isa isa : {Isa::kPortable, Isa::kAvx2}) {
    if (kernels::cpu_backend(isa) == nullptr) continue;
    all.push_back({.model = "scout-small", .exact = true, .isa = isa, .chunk = 48});
    all.push_back({.model = "gguf/scout-k/Q4_K_M.gguf", .exact = false, .isa = isa, .chunk = 64});
    all.push_back({.model = "gguf/scout-small/Q4_0.gguf", .exact = false, .isa = isa, .chunk = 48});
  }
#endif
  return all;
}

class Determinism : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    engine_ = MakeEngine(GetParam());
    ASSERT_NE(engine_, nullptr);
    vocab_ = engine_->model().config().vocab;
    chunk_ = engine_->model().config().attention_chunk;
    page_ = GetParam().page_tokens;
    tokens_ = RandomTokens(engine_->model(), kTokens, 1);
    auto session = NewSession(engine_);
    baseline_ = PrefillAll(*session, tokens_, {kTokens});
    ASSERT_EQ(baseline_.size(), static_cast<size_t>(kTokens * vocab_));
  }
  static std::unique_ptr<Session> NewSession(const std::shared_ptr<Engine>& engine) {
    auto session = Session::Create(engine, 700);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : nullptr;
  }
  // Whether the session's logits now are those of the baseline after n tokens.
  testing::AssertionResult IsBaselineAfter(Session& session, int64_t n) {
    auto logits = session.Logits();
    if (!logits.ok()) return testing::AssertionFailure() << logits.status();
    const float* want = baseline_.data() + (n - 1) * vocab_;
    if (std::memcmp(*logits, want, static_cast<size_t>(vocab_) * sizeof(float)) == 0) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "bits differ after " << n << " tokens";
  }
  // Positions where something begins: pages and chunks, one before and one behind.
  std::vector<int64_t> Borders() const {
    std::vector<int64_t> at = {1, 2, kTokens - 1};
    for (int64_t unit : {page_, chunk_}) {
      for (int64_t border : {unit, 2 * unit, kTokens / unit * unit}) {
        for (int64_t d = -1; d <= 1; ++d) {
          if (border + d > 0 && border + d < kTokens) at.push_back(border + d);
        }
      }
    }
    std::sort(at.begin(), at.end());
    at.erase(std::unique(at.begin(), at.end()), at.end());
    return at;
  }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr int64_t kTokens = 320;
#else
  static constexpr int64_t kTokens = 600;
#endif
  std::shared_ptr<Engine> engine_;
  int64_t vocab_ = 0, chunk_ = 0, page_ = 0;
  std::vector<int32_t> tokens_;
  Rows baseline_;
};

TEST_P(Determinism, PiecesAndThreads) {
  ASSERT_GT(kTokens / page_, 3);  // attention segments
  std::mt19937 rng(7);
  std::vector<int64_t> random;
  for (int i = 0; i < 200; ++i) random.push_back(1 + static_cast<int64_t>(rng() % 70));
  for (int64_t threads : {1, 2}) {
    for (int64_t step : {2048, 37}) {
      auto engine = MakeEngine(GetParam(), threads, step);
      ASSERT_NE(engine, nullptr);
      for (const std::vector<int64_t>& pieces :
           {std::vector<int64_t>{kTokens}, {513}, {64}, {7}, random}) {
        auto session = NewSession(engine);
        EXPECT_EQ(DifferingRows(baseline_, PrefillAll(*session, tokens_, pieces), vocab_), 0)
            << threads << " threads, steps of " << step << ", pieces of " << pieces[0];
      }
    }
    auto engine = MakeEngine(GetParam(), threads);
    auto session = NewSession(engine);
    EXPECT_EQ(DifferingRows(baseline_, PrefillAll(*session, tokens_, {1}), vocab_), 0)
        << threads << " threads, token by token";
  }
}

TEST_P(Determinism, RewindAnywhere) {
  auto session = NewSession(engine_);
  PrefillAll(*session, tokens_, {kTokens});
  std::mt19937 rng(11);
  std::vector<int64_t> cuts = Borders();
  for (int i = 0; i < 12; ++i) cuts.push_back(1 + static_cast<int64_t>(rng() % (kTokens - 1)));
  std::shuffle(cuts.begin(), cuts.end(), rng);
  for (int64_t cut : cuts) {
    ASSERT_TRUE(session->Rewind(cut).ok());
    ASSERT_EQ(session->position(), cut);
    EXPECT_TRUE(IsBaselineAfter(*session, cut)) << "rewound";
    const int64_t until = std::min(kTokens, cut + 1 + static_cast<int64_t>(rng() % 90));
    SyncResult result;
    ASSERT_TRUE(session->Prefill(tokens_.data() + cut, until - cut, {}, &result).ok());
    EXPECT_TRUE(IsBaselineAfter(*session, until)) << "regenerated from " << cut;
    ASSERT_TRUE(session->Sync(tokens_.data(), kTokens, {}, &result).ok());
    EXPECT_EQ(result.kept, until);
    EXPECT_TRUE(IsBaselineAfter(*session, kTokens)) << "continued from " << until;
  }
}

TEST_P(Determinism, SyncWithAChangedTail) {
  auto session = NewSession(engine_);
  PrefillAll(*session, tokens_, {kTokens});
  for (int64_t cut : Borders()) {
    std::vector<int32_t> changed(tokens_.begin(), tokens_.begin() + cut);
    for (int i = 0; i < 20 && static_cast<int64_t>(changed.size()) < kTokens; ++i) {
      changed.push_back(static_cast<int32_t>((tokens_[changed.size()] + 1) % vocab_));
    }
    SyncResult result;
    ASSERT_TRUE(
        session->Sync(changed.data(), static_cast<int64_t>(changed.size()), {}, &result).ok());
    const int64_t current_chunk = (kTokens - 1) / chunk_ * chunk_;
    EXPECT_EQ(result.kept, cut >= current_chunk ? cut : cut / chunk_ * chunk_);
    EXPECT_EQ(result.dropped, kTokens - cut);
    EXPECT_EQ(result.kept + result.computed, session->position());
    ASSERT_TRUE(session->Sync(tokens_.data(), kTokens, {}, &result).ok());
    EXPECT_TRUE(IsBaselineAfter(*session, kTokens)) << "tail changed at " << cut;
  }
}

TEST_P(Determinism, ForksAreIndependent) {
  auto session = NewSession(engine_);
  for (int64_t at : {page_ - 1, page_, page_ + 1, chunk_, 2 * chunk_ + 1, int64_t{333}}) {
    if (at < 1 || at > kTokens) continue;
    SyncResult result;
    ASSERT_TRUE(session->Sync(tokens_.data(), at, {}, &result).ok());
    auto fork = session->Fork(0);
    ASSERT_TRUE(fork.ok()) << fork.status();
    EXPECT_TRUE(IsBaselineAfter(**fork, at));
    // The original goes elsewhere, and back before the fork's point; the fork does not notice.
    std::vector<int32_t> other(tokens_.begin(), tokens_.begin() + at);
    other.resize(static_cast<size_t>(std::min<int64_t>(at + 60, 700)), 3);
    ASSERT_TRUE(session->Sync(other.data(), static_cast<int64_t>(other.size()), {}, &result).ok());
    ASSERT_TRUE(session->Sync(other.data(), std::max<int64_t>(1, at - 5), {}, &result).ok());
    ASSERT_TRUE((*fork)->Sync(tokens_.data(), kTokens, {}, &result).ok());
    EXPECT_TRUE(IsBaselineAfter(**fork, kTokens)) << "forked at " << at;
    ASSERT_TRUE((*fork)->Rewind(at / 2 + 1).ok());
    EXPECT_TRUE(IsBaselineAfter(**fork, at / 2 + 1));
    ASSERT_TRUE(session->Sync(tokens_.data(), kTokens, {}, &result).ok());
    EXPECT_TRUE(IsBaselineAfter(*session, kTokens));
  }
  EXPECT_EQ(engine_->pools()->global.committed(), engine_->layout()->GlobalPages(700));
  EXPECT_EQ(engine_->pools()->chunked.committed(), engine_->layout()->ChunkedPages(700));
}

TEST_P(Determinism, DecodeGivesThePrefillsLogits) {
  auto session = NewSession(engine_);
  SyncResult result;
  ASSERT_TRUE(session->Prefill(tokens_.data(), page_ * 3 - 4, {}, &result).ok());
  for (int i = 0; i < 40; ++i) {
    auto token = session->Decode({.temperature = 1.0f, .seed = 3});
    ASSERT_TRUE(token.ok()) << token.status();
  }
  const std::vector<int32_t> tokens = session->tokens();
  auto fresh = NewSession(engine_);
  PrefillAll(*fresh, tokens, {static_cast<int64_t>(tokens.size())});
  const float* a = *session->Logits();
  const float* b = *fresh->Logits();
  EXPECT_EQ(std::memcmp(a, b, static_cast<size_t>(vocab_) * sizeof(float)), 0);
  // The same again from any point: sampling is a function of seed and position.
  ASSERT_TRUE(session->Rewind(page_ * 3 + 6).ok());
  while (session->position() < static_cast<int64_t>(tokens.size())) {
    ASSERT_TRUE(session->Decode({.temperature = 1.0f, .seed = 3}).ok());
  }
  EXPECT_EQ(session->tokens(), tokens);
}

// The comparison above can fail: with partial results merged in the opposite order, bits change.
TEST_P(Determinism, FlippedMergeOrderIsNoticed) {
  auto engine = MakeEngine(GetParam(), 1, 2048, /*flip_merge=*/true);
  ASSERT_NE(engine, nullptr);
  auto session = NewSession(engine);
  EXPECT_GT(DifferingRows(baseline_, PrefillAll(*session, tokens_, {kTokens}), vocab_),
            kTokens / 4);
}

INSTANTIATE_TEST_SUITE_P(Models, Determinism, testing::ValuesIn(Variants()),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace scout

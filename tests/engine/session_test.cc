// What sessions do at their edges: capacity, cancel, wanted rows, errors and the state after them.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "tests/engine/harness.h"

namespace scout {
namespace {

const Variant kTiny{.model = "scout-tiny-bf16", .exact = true};

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    engine_ = MakeEngine(kTiny, 2, 32);
    ASSERT_NE(engine_, nullptr);
    tokens_ = RandomTokens(engine_->model(), 200, 5);
  }
  std::unique_ptr<Session> New(int64_t max_tokens) { return *Session::Create(engine_, max_tokens); }
  std::shared_ptr<Engine> engine_;
  std::vector<int32_t> tokens_;
  SyncResult result_;
};

TEST_F(SessionTest, CapacityIsRefusedBeforeAnythingChanges) {
  auto s = New(100);
  ASSERT_TRUE(s->Prefill(tokens_.data(), 90, {}, &result_).ok());
  EXPECT_EQ(s->Prefill(tokens_.data(), 11, {}, &result_).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(s->position(), 90);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(s->Decode({}).ok());
  EXPECT_EQ(s->Decode({}).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(s->position(), 100);
}

TEST_F(SessionTest, BudgetIsSharedAndGivenBack) {
  std::vector<std::unique_ptr<Session>> sessions;
  absl::Status full;
  while (true) {
    auto s = Session::Create(engine_, 2000);
    if (!s.ok()) {
      full = s.status();
      break;
    }
    sessions.push_back(*std::move(s));
    ASSERT_LT(sessions.size(), 100u);
  }
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(full.message().find("2000 tokens"), std::string::npos) << full;
  EXPECT_GE(sessions.size(), 4u);  // 8192 tokens of budget
  sessions.pop_back();
  EXPECT_TRUE(Session::Create(engine_, 2000).ok());
  sessions.clear();
  EXPECT_EQ(engine_->pools()->global.committed(), 0);
  EXPECT_EQ(engine_->pools()->chunked.committed(), 0);
}

TEST_F(SessionTest, TheBudgetIsKeptForTokensAndForSessions) {
  EXPECT_EQ(Session::Create(engine_, 9000).status().code(), absl::StatusCode::kResourceExhausted);
  std::vector<std::unique_ptr<Session>> sessions;
  sessions.push_back(New(8192 - 7 * 200));  // of 8192 tokens of budget
  for (int i = 1; i < 8; ++i) {             // and of 8 sessions
    auto s = Session::Create(engine_, 200);
    ASSERT_TRUE(s.ok()) << i << ": " << s.status();
    sessions.push_back(*std::move(s));
  }
  const absl::Status more = Session::Create(engine_, 200).status();
  EXPECT_EQ(more.code(), absl::StatusCode::kResourceExhausted) << more;
}

TEST_F(SessionTest, DefaultSessionsLeaveRoomForAForkAndForOthers) {
  auto first = New(0);
  EXPECT_GE(first->max_tokens(), 4096);
  ASSERT_TRUE(first->Prefill(tokens_.data(), 100, {}, &result_).ok());
  auto fork = first->Fork(0);
  EXPECT_TRUE(fork.ok()) << fork.status();
  fork = absl::UnknownError("freed");
  auto second = Session::Create(engine_, 0);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_GE((*second)->max_tokens(), 2048);
}

TEST_F(SessionTest, AnOpenedSessionNeverRunsOut) {
  // Every page of the budget is promised; each session and its forks still reach max_tokens.
  std::vector<std::unique_ptr<Session>> all;
  for (int i = 0; i < 3; ++i) all.push_back(New(200));
  ASSERT_TRUE(all[0]->Prefill(tokens_.data(), 77, {}, &result_).ok());
  all.push_back(*all[0]->Fork(200));
  const int64_t rest = engine_->DefaultSessionTokens();
  ASSERT_GT(rest, 0);
  all.push_back(New(rest));
  for (auto& s : all) {
    while (s->position() < std::min<int64_t>(s->max_tokens(), 200)) {
      const int64_t n =
          std::min<int64_t>(50, std::min<int64_t>(s->max_tokens(), 200) - s->position());
      ASSERT_TRUE(s->Prefill(tokens_.data(), n, {}, &result_).ok());
    }
  }
}

TEST_F(SessionTest, CancelKeepsTheFinishedSteps) {
  auto s = New(200);
  int calls = 0;
  PrefillRequest request;
  request.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 150);
    EXPECT_LE(done, total);
    return ++calls < 3;
  };
  EXPECT_EQ(s->Prefill(tokens_.data(), 150, request, &result_).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(s->position(), 96);  // three steps of 32
  ASSERT_TRUE(s->Sync(tokens_.data(), 150, {}, &result_).ok());
  EXPECT_EQ(result_.kept, 96);
  auto fresh = New(200);
  ASSERT_TRUE(fresh->Prefill(tokens_.data(), 150, {}, &result_).ok());
  const size_t bytes = static_cast<size_t>(engine_->model().config().vocab) * sizeof(float);
  EXPECT_EQ(std::memcmp(*s->Logits(), *fresh->Logits(), bytes), 0);
}

TEST_F(SessionTest, WantedRowsAreThoseOfTheWholePrefill) {
  const int64_t vocab = engine_->model().config().vocab;
  auto s = New(200);
  const Rows all = PrefillAll(*s, tokens_, {200});
  auto t = New(200);
  const std::vector<int64_t> wanted = {0, 5, 31, 32, 33, 64, 150, 199};
  Rows got(wanted.size() * static_cast<size_t>(vocab));
  PrefillRequest request;
  request.logit_rows = wanted.data();
  request.n_logit_rows = static_cast<int64_t>(wanted.size());
  request.logits = got.data();
  ASSERT_TRUE(t->Prefill(tokens_.data(), 200, request, &result_).ok());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(std::memcmp(got.data() + i * vocab, all.data() + wanted[i] * vocab,
                          static_cast<size_t>(vocab) * sizeof(float)),
              0)
        << wanted[i];
  }
}

TEST_F(SessionTest, RowsNotComputedByTheCallAreRefusedWithTheReason) {
  auto s = New(200);
  ASSERT_TRUE(s->Prefill(tokens_.data(), 64, {}, &result_).ok());
  std::vector<float> out(4 * static_cast<size_t>(engine_->model().config().vocab));
  for (std::vector<int64_t> rows : {std::vector<int64_t>{3}, {64, 64}, {70, 65}, {80}, {-1}}) {
    PrefillRequest request;
    request.logit_rows = rows.data();
    request.n_logit_rows = static_cast<int64_t>(rows.size());
    request.logits = out.data();
    const absl::Status status = s->Prefill(tokens_.data() + 64, 16, request, &result_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(s->position(), 64);
  }
}

TEST_F(SessionTest, AForkRewoundIntoSharedPagesDecodesWithoutAPageToSpare) {
  auto s = New(64);
  ASSERT_TRUE(s->Prefill(tokens_.data(), 64, {}, &result_).ok());
  auto fork = s->Fork(64);
  ASSERT_TRUE(fork.ok());
  ASSERT_TRUE((*fork)->Rewind(48).ok());
  // The rest of the global pages goes to others.
  PagePool& pool = engine_->pools()->global;
  const int64_t rest = pool.capacity() - pool.committed();
  ASSERT_TRUE(pool.Commit(rest).ok());
  for (int i = 0; i < 16; ++i) {
    const auto token = (*fork)->Decode({});
    EXPECT_TRUE(token.ok()) << token.status();
  }
  pool.Uncommit(rest);
}

TEST_F(SessionTest, BadTokensAndEmptySessions) {
  auto s = New(100);
  EXPECT_EQ(s->Logits().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(s->Decode({}).status().code(), absl::StatusCode::kFailedPrecondition);
  const int32_t bad[] = {1, 2, static_cast<int32_t>(engine_->model().config().vocab)};
  EXPECT_EQ(s->Prefill(bad, 3, {}, &result_).code(), absl::StatusCode::kInvalidArgument);
  const int32_t negative[] = {-1};
  EXPECT_EQ(s->Prefill(negative, 1, {}, &result_).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(s->position(), 0);
  EXPECT_TRUE(s->Prefill(bad, 0, {}, &result_).ok());
  EXPECT_EQ(s->Rewind(1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(s->Rewind(-1).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(s->Prefill(bad, 2, {}, &result_).ok());
  ASSERT_TRUE(s->Rewind(0).ok());
  EXPECT_EQ(s->Logits().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Session::Create(engine_, -5).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SessionTest, SessionsOfOneEngineRunFromDifferentThreads) {
  auto alone = New(200);
  const Rows want = PrefillAll(*alone, tokens_, {200});
  std::vector<std::thread> threads;
  std::vector<Rows> got(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      auto s = New(200);
      got[t] = PrefillAll(*s, tokens_, {1 + 10 * t, 13});
    });
  }
  for (auto& t : threads) t.join();
  for (const Rows& rows : got) {
    EXPECT_EQ(DifferingRows(want, rows, engine_->model().config().vocab), 0);
  }
}

TEST_F(SessionTest, ParentsLiveAsLongAsTheirChildren) {
  auto s = New(100);
  std::weak_ptr<Engine> engine = engine_;
  engine_.reset();
  ASSERT_TRUE(s->Prefill(tokens_.data(), 40, {}, &result_).ok());
  EXPECT_TRUE(s->Decode({}).ok());
  s.reset();
  EXPECT_TRUE(engine.expired());
}

TEST(EngineTest, RefusesBadOptionsByName) {
  auto model = GoldenModel(kTiny);
  ASSERT_NE(model, nullptr);
  auto error = [&](auto set) {
    EngineOptions o;
    set(o);
    return std::string(Engine::Create(model, o).status().message());
  };
  EXPECT_NE(error([](auto& o) { o.page_tokens = 48; }).find("page_tokens"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.page_tokens = 8; }).find("page_tokens"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.n_threads = -1; }).find("n_threads"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.max_step_tokens = -1; }).find("max_step_tokens"),
            std::string::npos);
  EXPECT_NE(error([](auto& o) { o.kv_tokens = -1; }).find("kv_tokens"), std::string::npos);
  EXPECT_NE(error([](auto& o) {
              o.exact = true;
              o.kv_format = 2;
            }).find("exact"),
            std::string::npos);
}

}  // namespace
}  // namespace scout

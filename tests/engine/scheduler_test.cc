// What a step does for jobs that are not in it, and shares where steps are full: seen from between
// the layers, on the driver's thread.
#include "lib/engine/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "tests/engine/harness.h"

namespace scout {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  void Make(int64_t step, int64_t chunk = -1, int64_t kv_tokens = 16384) {
    EngineOptions options;
    options.page_tokens = 16;
    options.n_threads = 2;
    options.max_step_tokens = step;
    options.kv_tokens = kv_tokens;
    options.max_sessions = 8;
    options.between_layers = [this] {
      const int64_t steps = engine_->JobStats().steps;
      layer_ = steps == step_ ? layer_ + 1 : 0;
      step_ = steps;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (between_) between_();
    };
    auto engine = Engine::Create(
        GoldenModel({.model = "scout-tiny-bf16", .exact = false, .chunk = chunk}), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void TearDown() override { engine_.reset(); }

  std::unique_ptr<Session> New(int64_t max = 1000) { return *Session::Create(engine_, max); }
  std::vector<int32_t> Tokens(int64_t n, uint64_t seed = 1) {
    return RandomTokens(engine_->model(), n, seed);
  }
  std::shared_ptr<Job> Submit(Session& session, int64_t n, JobOptions options, uint64_t seed = 1) {
    auto job = session.Submit(Tokens(n, seed).data(), n, std::move(options));
    EXPECT_TRUE(job.ok()) << job.status();
    return *std::move(job);
  }
  static JobOptions Drawing(int64_t n) {
    JobOptions o;
    o.max_new_tokens = n;
    o.ignore_end = true;
    return o;
  }
  static JobEvent End(Job& job) {
    JobEvent event;
    EXPECT_TRUE(job.Wait(-1, &event).ok());
    return event;
  }

  std::shared_ptr<Engine> engine_;
  // After it returns the one before does not run any more.
  void Between(std::function<void()> between) {
    const std::lock_guard<std::mutex> lock(mutex_);
    between_ = std::move(between);
  }

  std::mutex mutex_;
  std::function<void()> between_;
  int64_t step_ = -1, layer_ = 0;  // of the running step: its number, and the half layer that comes
};

TEST_F(SchedulerTest, JobsOutsideTheStepEndBetweenItsHalfLayers) {
  Make(256);
  ASSERT_GE(engine_->model().config().n_layers, 4);
  auto running = New(), cancelled = New(), late = New(), paused = New(), closing = New();
  JobOptions slow = Drawing(-1);
  slow.event_capacity = 1;
  auto paused_job = Submit(*paused, 5, slow);
  while (paused_job->phase() != JobPhase::kPaused) std::this_thread::yield();

  std::shared_ptr<Job> cancelled_job, late_job;
  SchedulerStats during;
  bool one_layer_later[3] = {};
  int64_t first_step = -1;
  Between([&] {
    if (first_step < 0) first_step = step_;
    if (step_ != first_step) return;
    if (layer_ == 0) {  // after the step was built
      cancelled_job = Submit(*cancelled, 5, Drawing(3));
      JobOptions o = Drawing(3);
      o.deadline_ms = 1;
      late_job = Submit(*late, 5, o);
      during = engine_->JobStats();
      cancelled_job->Cancel();
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    } else if (layer_ == 1) {
      one_layer_later[0] = cancelled_job->phase() == JobPhase::kOver;
      one_layer_later[1] = late_job->phase() == JobPhase::kOver;
      paused_job->Cancel();
    } else if (layer_ == 2) {
      one_layer_later[2] = paused_job->phase() == JobPhase::kOver;
    }
  });
  auto running_job = Submit(*running, 200, Drawing(0), 2);
  EXPECT_EQ(End(*running_job).reason, DoneReason::kMaxTokens);
  Between(nullptr);
  EXPECT_TRUE(one_layer_later[0]);
  EXPECT_TRUE(one_layer_later[1]);
  EXPECT_TRUE(one_layer_later[2]);
  EXPECT_EQ(End(*cancelled_job).reason, DoneReason::kCancelled);
  EXPECT_EQ(End(*late_job).reason, DoneReason::kDeadline);
  EXPECT_EQ(End(*paused_job).reason, DoneReason::kCancelled);
  EXPECT_EQ(during.jobs_running, 1);
  EXPECT_EQ(during.jobs_queued, 2);
  EXPECT_EQ(during.jobs_paused, 1);
  EXPECT_GT(engine_->JobStats().longest_look, 0.003);
  auto alone = New();
  SyncResult result;
  ASSERT_TRUE(alone->Prefill(Tokens(200, 2).data(), 200, {}, &result).ok());
  EXPECT_EQ(std::memcmp(*alone->Logits(), *running->Logits(),
                        static_cast<size_t>(engine_->model().config().vocab) * sizeof(float)),
            0);
}

TEST_F(SchedulerTest, ACancelledJobLeavesBeforeEachHalfLayerAndTheHead) {
  Make(256);
  const int64_t halves = 2 * engine_->model().config().n_layers;
  for (int64_t at = 0; at <= halves; ++at) {
    auto session = New(), other = New();  // of 30 tokens, less than a chunk
    std::shared_ptr<Job> job;
    int64_t submitted_at = -1, asked_at = -1, seen_at = -1;
    std::atomic<bool> submitted{false};
    // Both begin in the same step: the second is submitted from between the layers of another.
    auto warm = New();
    std::shared_ptr<Job> neighbour;
    Between([&] {
      if (job == nullptr) {
        neighbour = Submit(*other, 30, Drawing(1), 3);
        job = Submit(*session, 30, Drawing(1), 4);
        submitted_at = step_;
        submitted = true;
      }
      if (step_ == submitted_at) return;
      if (asked_at >= 0 && seen_at < 0 && job->phase() == JobPhase::kOver) seen_at = layer_;
      if (layer_ == at && asked_at < 0) {
        job->Cancel();
        asked_at = step_;
      }
    });
    auto first = Submit(*warm, 10, Drawing(0), 5);
    End(*first);
    while (!submitted) std::this_thread::yield();
    EXPECT_EQ(End(*job).reason, DoneReason::kCancelled) << at;
    EXPECT_EQ(End(*neighbour).reason, DoneReason::kMaxTokens) << at;
    EXPECT_EQ(session->position(), 0) << at;
    if (at < halves) {
      EXPECT_EQ(seen_at, at + 1);  // the neighbour's step went on
    }
    // Its pages are back: those of both others remain.
    const int64_t pages = engine_->layout()->n_global() * (2 + 1);
    EXPECT_EQ(engine_->pools()->global.in_use(), pages) << at;
    Between(nullptr);
  }
}

// A fork may be smaller than what a cancelled step had prepared.
TEST_F(SchedulerTest, ASmallForkAfterACancelledStepTakesNothingFromOthers) {
  Make(512, 512, 4096);
  auto a = New(600);
  SyncResult result;
  ASSERT_TRUE(a->Prefill(Tokens(5).data(), 5, {}, &result).ok());
  std::shared_ptr<Job> job;
  std::atomic<bool> ready{false};
  Between([&] {
    while (!ready) std::this_thread::yield();
    if (layer_ == 2) job->Cancel();
  });
  JobOptions append = Drawing(0);
  append.append = true;
  job = Submit(*a, 500, append, 2);
  ready = true;
  EXPECT_EQ(End(*job).reason, DoneReason::kCancelled);
  Between(nullptr);
  EXPECT_EQ(a->position(), 5);
  EXPECT_EQ(engine_->pools()->chunked.in_use(), engine_->layout()->n_chunked());
  EXPECT_EQ(engine_->pools()->global.in_use(), engine_->layout()->n_global());
  auto fork = a->Fork(6);
  ASSERT_TRUE(fork.ok()) << fork.status();
  // Others take all that is left of the chunked layers' pages, then everybody goes to its end.
  std::vector<std::unique_ptr<Session>> others;
  for (auto other = Session::Create(engine_, 512); other.ok();
       other = Session::Create(engine_, 512)) {
    others.push_back(*std::move(other));
  }
  ASSERT_GE(others.size(), 4u);
  for (const auto& other : others) {
    ASSERT_TRUE(other->Prefill(Tokens(512, 3).data(), 512, {}, &result).ok());
  }
  ASSERT_TRUE((*fork)->Prefill(Tokens(1, 4).data(), 1, {}, &result).ok());
  ASSERT_TRUE(a->Prefill(Tokens(500, 2).data(), 500, {}, &result).ok());
  const size_t bytes = static_cast<size_t>(engine_->model().config().vocab) * sizeof(float);
  const std::vector<float> last(*a->Logits(), *a->Logits() + bytes / sizeof(float));
  others.resize(1);
  ASSERT_TRUE(others[0]->Sync(a->tokens().data(), 505, {}, &result).ok());
  EXPECT_EQ(std::memcmp(*others[0]->Logits(), last.data(), bytes), 0);
}

// More decode than a step holds, and a prompt comes: everybody goes on.
TEST_F(SchedulerTest, FullStepsAreSharedByAllWhoDecodeAndByAPrompt) {
  for (const int64_t step : {1, 2, 3}) {
    SCOPED_TRACE(step);
    Make(step);
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<std::shared_ptr<Job>> jobs;
    std::vector<int64_t> at_first_end;
    for (int i = 0; i < 5; ++i) sessions.push_back(New());
    auto hold = New();  // until all are there
    jobs.reserve(5);
    std::atomic<bool> begin{false};
    Between([&] {
      while (!begin) std::this_thread::yield();
      if (!at_first_end.empty() || jobs[0]->phase() != JobPhase::kOver) return;
      for (const auto& session : sessions) at_first_end.push_back(session->position());
    });
    auto held = Submit(*hold, 1, Drawing(0));
    for (int i = 0; i < 4; ++i) jobs.push_back(Submit(*sessions[i], 2, Drawing(100), 10 + i));
    jobs.push_back(Submit(*sessions[4], 10, Drawing(100), 20));
    begin = true;
    for (const auto& job : jobs) EXPECT_EQ(End(*job).counts.generated, 100);
    ASSERT_EQ(at_first_end.size(), 5u);
    for (int i = 0; i < 5; ++i) EXPECT_GT(at_first_end[i], 50) << i;
    End(*held);
    Between(nullptr);
    jobs.clear();
    sessions.clear();
    hold.reset();
  }
}

// Who was paused comes back without a claim for the time it was away.
TEST_F(SchedulerTest, AReaderWhoComesBackTakesNoMoreThanItsShare) {
  Make(32);
  auto paused = New(), steady = New();
  JobOptions rows = Drawing(0);
  rows.logit_rows = {0, 1, 2, 3};
  rows.event_capacity = 2;
  std::shared_ptr<Job> a, b;
  int64_t b_when_back = -1, b_in_the_middle = -1;
  std::atomic<bool> begin{false};
  Between([&] {
    while (!begin) std::this_thread::yield();
    if (b_when_back < 0 && steady->position() >= 400) b_when_back = steady->position();
    if (b_when_back < 0) return;
    JobEvent event;
    while (a->phase() != JobPhase::kOver && a->Poll(0, &event).ok() &&
           event.kind != JobEvent::Kind::kNone) {
    }
    if (b_in_the_middle < 0 && paused->position() >= 300) b_in_the_middle = steady->position();
  });
  a = Submit(*paused, 400, rows, 1);
  b = Submit(*steady, 900, Drawing(0), 2);
  begin = true;
  End(*b);
  End(*a);
  Between(nullptr);
  ASSERT_GE(b_in_the_middle, 0);
  EXPECT_GE(b_in_the_middle - b_when_back, 200);
}

TEST_F(SchedulerTest, PenaltiesAfterACancelledPrefillSeeTheAnswer) {
  Make(32);
  auto session = New();
  int steps = 0;
  PrefillRequest request;
  request.progress = [&](int64_t, int64_t) { return ++steps < 2; };
  SyncResult result;
  EXPECT_EQ(session->Prefill(Tokens(200).data(), 200, request, &result).code(),
            absl::StatusCode::kCancelled);
  ASSERT_GT(session->position(), 0);
  SamplingOptions sampling;
  sampling.presence_penalty = 1000;
  std::set<int32_t> drawn;
  for (int i = 0; i < 40; ++i) drawn.insert(*session->Decode(sampling));
  EXPECT_EQ(drawn.size(), 40u);
}

TEST_F(SchedulerTest, KeptAndComputedAreThePositionAtAChunkBorderToo) {
  Make(512, 48);
  auto session = New();
  const auto tokens = Tokens(100);
  SyncResult result;
  ASSERT_TRUE(session->Prefill(tokens.data(), 100, {}, &result).ok());
  for (const int64_t n : {96, 48}) {
    auto job = session->Submit(tokens.data(), n, Drawing(2));
    ASSERT_TRUE(job.ok()) << job.status();
    const JobEvent end = End(**job);
    EXPECT_EQ(end.counts.kept + end.counts.computed, n);
    EXPECT_EQ(end.position, n + 2);
    auto alone = New();
    ASSERT_TRUE(alone->Prefill(tokens.data(), n, {}, &result).ok());
    for (int64_t i = n; i < n + 2; ++i) {
      EXPECT_EQ(*alone->Decode({}), session->tokens()[static_cast<size_t>(i)]);
    }
  }
}

TEST_F(SchedulerTest, TokensThatACallDrawsAreNoPrompt) {
  Make(32);
  auto session = New();
  SyncResult result;
  ASSERT_TRUE(session->Prefill(Tokens(10).data(), 10, {}, &result).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(session->Decode({}).ok());
  EXPECT_EQ(engine_->JobStats().tokens_prefilled, 10);
  EXPECT_EQ(engine_->JobStats().tokens_decoded, 20);
}

}  // namespace
}  // namespace scout

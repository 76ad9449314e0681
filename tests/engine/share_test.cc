// Who has how many rows of the steps: those who decode, prompts, priorities, deadlines, readers
// that stop. Seen from between the layers.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/engine/between.h"

namespace scout {
namespace {

using ShareTest = SchedulerTest;

// More decode than a step holds, and a prompt comes: everybody goes on.
TEST_F(ShareTest, FullStepsAreSharedByAllWhoDecodeAndByAPrompt) {
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
TEST_F(ShareTest, AReaderWhoComesBackTakesNoMoreThanItsShare) {
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

// A job whose prompt cannot go on, for its reader or its caller's callback, has no claim to rows.
TEST_F(ShareTest, AStoppedReaderTakesNoRowsFromThoseWhoDecode) {
  for (const int64_t step : {1, 2, 3, 8}) {
    for (int64_t prompt = 1; prompt <= 4; ++prompt) {
      SCOPED_TRACE(testing::Message() << step << " rows a step, prompt of " << prompt);
      Make(step);
      auto stopped = New(), a = New(), b = New();
      auto stopped_job = StoppedInItsPrompt(*stopped);
      auto first = Submit(*a, prompt, Drawing(20), 2);
      EXPECT_EQ(EndOrGiveUp(*first).counts.generated, 20);
      // Two at once have all rows of each step between them.
      std::shared_ptr<Job> jobs[2];
      std::atomic<bool> begin{false};
      Between([&] {
        while (!begin) std::this_thread::yield();
      });
      auto hold = New();
      auto held = Submit(*hold, 1, Drawing(0));
      while (held->phase() != JobPhase::kPrefill) std::this_thread::yield();
      const int64_t before = engine_->JobStats().steps;
      jobs[0] = Submit(*a, 1, Drawing(20), 3);
      jobs[1] = Submit(*b, 1, Drawing(20), 4);
      begin = true;
      for (const auto& job : jobs) EXPECT_EQ(EndOrGiveUp(*job).counts.generated, 20);
      Between(nullptr);
      EXPECT_LE(engine_->JobStats().steps - before, step == 1 ? 42 : 22);
      EXPECT_EQ(stopped_job->phase(), JobPhase::kPaused);
    }
  }
}

TEST_F(ShareTest, ACallbackWaitsForAJobOfAnotherSession) {
  for (const int64_t step : {1, 2, 8}) {
    SCOPED_TRACE(step);
    Make(step);
    auto session = New(), other = New();
    int calls = 0;
    PrefillRequest request;
    request.progress = [&](int64_t, int64_t) {
      if (calls++ < 3) {
        auto job = Submit(*other, 1 + calls, Drawing(5), 30 + calls);
        EXPECT_EQ(EndOrGiveUp(*job).counts.generated, 5);
      }
      return true;
    };
    SyncResult result;
    ASSERT_TRUE(session->Prefill(Tokens(30).data(), 30, request, &result).ok());
    EXPECT_GE(calls, 3);
  }
}

// Each job that can run has the weight of its priority; one that cannot leaves it to all.
TEST_F(ShareTest, SharesAreThoseOfTheJobsThatCanRun) {
  for (const int n_low : {1, 2}) {
    for (const int n_stopped : {0, 4}) {
      SCOPED_TRACE(testing::Message() << n_low << " of priority 0, " << n_stopped << " stopped");
      Make(32);
      std::vector<std::unique_ptr<Session>> sessions;
      std::vector<std::shared_ptr<Job>> stopped, low;
      for (int i = 0; i < n_stopped; ++i) {
        sessions.push_back(New(100));
        stopped.push_back(StoppedInItsPrompt(*sessions.back(), 40 + i));
      }
      auto high = New(), hold = New(100);
      std::vector<std::unique_ptr<Session>> lows;
      for (int i = 0; i < n_low; ++i) lows.push_back(New());
      std::shared_ptr<Job> high_job;
      std::atomic<bool> begin{false};
      std::vector<int64_t> had;
      Between([&] {
        while (!begin) std::this_thread::yield();
        if (!had.empty() || high_job->phase() != JobPhase::kOver) return;
        for (const auto& session : lows) had.push_back(session->position());
      });
      // Pieces end at chunk borders: the prompts begin in a step of their own.
      auto held = Submit(*hold, 1, Drawing(0));
      while (held->phase() != JobPhase::kPrefill) std::this_thread::yield();
      for (int i = 0; i < n_low; ++i) low.push_back(Submit(*lows[i], 960, Drawing(0), 50 + i));
      JobOptions o = Drawing(0);
      o.priority = 3;
      high_job = Submit(*high, 960, o, 60);
      begin = true;
      End(*high_job);
      for (const auto& job : low) End(*job);
      Between(nullptr);
      ASSERT_EQ(had.size(), static_cast<size_t>(n_low));
      for (const int64_t rows : had) EXPECT_NEAR(rows, 960 / 8, 48);
    }
  }
}

// Short prompts come all the time, each over in a step or two. The long one has its turn among
// them.
TEST_F(ShareTest, ALongPromptGoesOnBesideAStreamOfShortOnes) {
  for (const int64_t tokens : {5, 32}) {
    SCOPED_TRACE(tokens);
    Make(32);
    constexpr int kShort = 6, kMost = 2000;
    auto session = New();
    std::vector<std::unique_ptr<Session>> sessions;
    for (int i = 0; i < kShort; ++i) sessions.push_back(New(100));
    std::vector<std::shared_ptr<Job>> jobs(kShort);
    std::shared_ptr<Job> job;
    std::atomic<bool> begin{false};
    int n = 0;
    int64_t longest_wait = 0;  // steps, from submission to the end
    std::vector<int64_t> since(kShort);
    Between([&] {
      while (!begin) std::this_thread::yield();
      if (layer_ != 0 || job->phase() == JobPhase::kOver) return;
      for (int i = 0; i < kShort; ++i) {
        if (jobs[i] != nullptr && jobs[i]->phase() != JobPhase::kOver) continue;
        if (jobs[i] != nullptr) longest_wait = std::max(longest_wait, step_ - since[i]);
        if (n == kMost) return;
        since[i] = step_;
        jobs[i] = Submit(*sessions[i], tokens, Drawing(0), 100 + n++);
      }
    });
    job = Submit(*session, 960, Drawing(0));
    begin = true;
    End(*job);
    Between(nullptr);
    for (const auto& other : jobs) End(*other);
    // Where all seven always wait each has a seventh of the rows.
    EXPECT_LE(n * tokens, 960 * kShort + 2000) << n;
    EXPECT_LE(longest_wait, 2 * (kShort + 2));
  }
}

// Jobs with a deadline go first, the nearest before all; what they had is nobody's debt.
TEST_F(ShareTest, DeadlinesGoInTheirOrderAndLeaveNoClaim) {
  Make(32);
  auto patient = New(), newcomer = New(), hold = New(100);
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::shared_ptr<Job>> jobs;
  for (int i = 0; i < 3; ++i) sessions.push_back(New());
  std::shared_ptr<Job> patient_job, newcomer_job;
  std::vector<int> order;
  int64_t at_last = -1, at_newcomer = -1;
  std::atomic<bool> begin{false};
  Between([&] {
    while (!begin) std::this_thread::yield();
    for (int i = 0; i < 3; ++i) {
      if (jobs[i]->phase() != JobPhase::kOver) continue;
      if (std::find(order.begin(), order.end(), i) == order.end()) order.push_back(i);
    }
    if (order.size() == 3 && newcomer_job == nullptr) {
      at_last = patient->position();
      newcomer_job = Submit(*newcomer, 96, Drawing(0), 9);
    }
    if (newcomer_job != nullptr && at_newcomer < 0 && newcomer_job->phase() == JobPhase::kOver) {
      at_newcomer = patient->position();
    }
  });
  auto held = Submit(*hold, 1, Drawing(0));
  patient_job = Submit(*patient, 960, Drawing(0), 2);
  for (int i = 0; i < 3; ++i) {
    JobOptions o = Drawing(0);
    o.deadline_ms = 1000000 * (1 + (i + 1) % 3);
    jobs.push_back(Submit(*sessions[i], 300, o, 3 + i));
  }
  begin = true;
  End(*patient_job);
  Between(nullptr);
  EXPECT_EQ(order, (std::vector<int>{2, 0, 1}));
  EXPECT_LE(at_last, 32);
  ASSERT_GE(at_newcomer, 0);
  EXPECT_LE(at_newcomer - at_last, 96 + 3 * 32);
  End(*newcomer_job);
}

}  // namespace
}  // namespace scout

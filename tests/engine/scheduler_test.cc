// What a step does for jobs that are not in it, seen from between the layers, on the driver's
// thread.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "tests/engine/between.h"

namespace scout {
namespace {

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

// One that comes with a deadline is taken during the step.
TEST_F(SchedulerTest, AJobTakenDuringAStepIsCounted) {
  Make(256);
  auto running = New(), coming = New();
  std::shared_ptr<Job> job;
  int64_t submitted_at = -1;
  SchedulerStats during[2];
  Between([&] {
    if (job == nullptr) {
      JobOptions o = Drawing(1);
      o.deadline_ms = 1000000;
      job = Submit(*coming, 5, o);
      submitted_at = step_;
      during[0] = engine_->JobStats();
    } else if (step_ == submitted_at && layer_ == 1) {
      during[1] = engine_->JobStats();
    }
  });
  auto first = Submit(*running, 200, Drawing(0), 2);
  End(*first);
  Between(nullptr);
  EXPECT_EQ(End(*job).reason, DoneReason::kMaxTokens);
  for (const SchedulerStats& s : during) {
    EXPECT_EQ(s.submitted, 2);
    EXPECT_EQ(s.jobs_running, 1);
    EXPECT_EQ(s.jobs_queued, 1);
  }
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

// However a job ends before it has added anything: the answer before it is still the answer.
TEST_F(SchedulerTest, AJobThatAddedNothingLeavesTheAnswerAlone) {
  SamplingOptions sampling;
  sampling.presence_penalty = 1000;
  enum How { kCancel, kDeadline, kClose };
  for (const How how : {kCancel, kDeadline, kClose}) {
    for (const bool append : {true, false}) {
      SCOPED_TRACE(testing::Message() << how << (append ? ", appended" : ", whole"));
      Make(32);
      auto session = New(), other = New();
      SyncResult result;
      ASSERT_TRUE(session->Prefill(Tokens(8).data(), 8, {}, &result).ok());
      std::set<int32_t> drawn;
      for (int i = 0; i < 10; ++i) drawn.insert(*session->Decode(sampling));
      std::vector<int32_t> tokens = Tokens(5, 7);
      if (!append)
        tokens.insert(tokens.begin(), session->tokens().begin(), session->tokens().end());
      // All of it happens within one step of another job.
      std::shared_ptr<Job> job;
      Between([&] {
        if (job != nullptr) return;
        JobOptions o = Drawing(3);
        o.append = append;
        o.deadline_ms = how == kDeadline ? 1 : 0;
        job = *session->Submit(tokens.data(), static_cast<int64_t>(tokens.size()), o);
        if (how == kCancel) job->Cancel();
        if (how == kClose) engine_->scheduler().Close();
        std::this_thread::sleep_for(std::chrono::milliseconds(how == kDeadline ? 3 : 0));
      });
      auto held = Submit(*other, 5, Drawing(0));
      End(*held);
      Between(nullptr);
      const JobEvent end = End(*job);
      EXPECT_EQ(end.reason, how == kDeadline ? DoneReason::kDeadline : DoneReason::kCancelled);
      EXPECT_EQ(end.counts.computed, 0);
      EXPECT_EQ(session->position(), 18);
      for (int i = 0; i < 20; ++i) drawn.insert(*session->Decode(sampling));
      EXPECT_EQ(drawn.size(), 30u);
      job.reset();
      held.reset();
    }
  }
}

TEST_F(SchedulerTest, ASyncToWhatIsHeldBeginsANewAnswer) {
  Make(32);
  auto session = New();
  SyncResult result;
  ASSERT_TRUE(session->Prefill(Tokens(8).data(), 8, {}, &result).ok());
  SamplingOptions sampling;
  sampling.presence_penalty = 1000;
  sampling.logit_bias = {{77, 500.0f}};
  EXPECT_EQ(*session->Decode(sampling), 77);
  EXPECT_NE(*session->Decode(sampling), 77);
  const std::vector<int32_t> held = session->tokens();
  ASSERT_TRUE(session->Sync(held.data(), 10, {}, &result).ok());
  EXPECT_EQ(*session->Decode(sampling), 77);
}

// What a submission cuts off is gone, however the job ends.
TEST_F(SchedulerTest, TheCutIsMadeAtSubmission) {
  Make(32);
  auto session = New(), other = New();
  SyncResult result;
  ASSERT_TRUE(session->Prefill(Tokens(90).data(), 90, {}, &result).ok());
  std::vector<int32_t> wanted = Tokens(20);
  wanted[7] ^= 1;
  std::shared_ptr<Job> job;
  int64_t position = -1;
  Between([&] {
    if (job != nullptr) return;
    job = *session->Submit(wanted.data(), 20, Drawing(3));
    position = session->position();
    job->Cancel();
  });
  auto held = Submit(*other, 5, Drawing(0));
  End(*held);
  Between(nullptr);
  const JobEvent end = End(*job);
  EXPECT_EQ(end.reason, DoneReason::kCancelled);
  EXPECT_EQ(end.counts.dropped, 83);
  EXPECT_EQ(position, 7);
  EXPECT_EQ(session->position(), 7);
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

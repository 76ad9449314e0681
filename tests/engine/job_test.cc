// Jobs side by side: the same bits as alone, fair shares, back-pressure, cancel, deadlines, limits.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "lib/engine/scheduler.h"
#include "tests/engine/harness.h"

namespace scout {
namespace {

const Variant kTiny{.model = "scout-tiny-bf16", .exact = false};

class JobTest : public testing::Test {
 protected:
  std::shared_ptr<Engine> Make(int64_t step, int64_t mixed = 0, int64_t max_jobs = 0,
                               const Logger& logger = Logger()) {
    EngineOptions options;
    options.logger = logger;
    options.page_tokens = 16;
    options.n_threads = 2;
    options.max_step_tokens = step;
    options.max_mixed_tokens = mixed;
    options.max_jobs = max_jobs;
    options.kv_tokens = 16384;
    options.max_sessions = 12;
    auto engine = Engine::Create(GoldenModel(kTiny), options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *std::move(engine);
  }
  static std::unique_ptr<Session> New(const std::shared_ptr<Engine>& engine, int64_t max = 1000) {
    return *Session::Create(engine, max);
  }
  static JobEvent End(Job& job) {
    JobEvent event;
    EXPECT_TRUE(job.Wait(-1, &event).ok());
    EXPECT_TRUE(event.final());
    return event;
  }
};

// What a job gave: its tokens, and the logits of the rows asked for.
struct Given {
  std::vector<int32_t> tokens;
  Rows rows;
  JobEvent end;
};

Given ReadAll(Job& job, int64_t vocab) {
  Given given;
  for (;;) {
    JobEvent event;
    const absl::Status status = job.Poll(-1, &event);
    EXPECT_TRUE(status.ok()) << status;
    if (event.kind == JobEvent::Kind::kToken) given.tokens.push_back(event.token);
    if (event.kind == JobEvent::Kind::kRow) {
      given.rows.insert(given.rows.end(), event.logits, event.logits + vocab);
    }
    if (event.final() || !status.ok()) {
      EXPECT_EQ(job.Poll(0, &given.end).code(), absl::StatusCode::kFailedPrecondition);
      given.end = std::move(event);
      return given;
    }
  }
}

TEST_F(JobTest, TogetherTheyGiveTheBitsOfEachAlone) {
  constexpr int kJobs = 8;
  auto engine = Make(48, 20);
  const Model& model = engine->model();
  const int64_t vocab = model.config().vocab;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<JobOptions> options;
  for (int i = 0; i < kJobs; ++i) {
    prompts.push_back(RandomTokens(model, 20 + 37 * i, 100 + i));
    JobOptions o;
    o.max_new_tokens = 60 - 5 * i;
    o.ignore_end = true;
    o.sampling.temperature = i % 2 == 0 ? 0.0f : 0.9f;
    o.sampling.repetition_penalty = i == 3 ? 1.3f : 1.0f;
    o.sampling.seed = 9 + i;
    for (int64_t row = 0; row < 20 + 37 * i; row += 1 + i) o.logit_rows.push_back(row);
    o.event_capacity = i == 5 ? 3 : 0;
    o.priority = i % 3;
    options.push_back(o);
  }
  std::vector<Given> together(kJobs);
  {
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<std::shared_ptr<Job>> jobs;
    for (int i = 0; i < kJobs; ++i) {
      sessions.push_back(New(engine));
      auto job = sessions[i]->Submit(prompts[i].data(), static_cast<int64_t>(prompts[i].size()),
                                     options[i]);
      ASSERT_TRUE(job.ok()) << job.status();
      jobs.push_back(*job);
    }
    std::vector<std::thread> readers;
    for (int i = 0; i < kJobs; ++i) {
      readers.emplace_back([&, i] { together[i] = ReadAll(*jobs[i], vocab); });
    }
    for (std::thread& t : readers) t.join();
  }
  EXPECT_GT(engine->JobStats().steps_by_rows[3] + engine->JobStats().steps_by_rows[5], 0);
  auto lonely = Make(512);
  for (int i = 0; i < kJobs; ++i) {
    auto session = New(lonely);
    const Rows all = PrefillAll(*session, prompts[i], {512});
    Rows want;
    for (int64_t row : options[i].logit_rows) {
      want.insert(want.end(), all.begin() + row * vocab, all.begin() + (row + 1) * vocab);
    }
    EXPECT_EQ(DifferingRows(want, together[i].rows, vocab), 0) << i;
    std::vector<int32_t> tokens;
    for (int64_t t = 0; t < options[i].max_new_tokens; ++t) {
      tokens.push_back(*session->Decode(options[i].sampling));
    }
    EXPECT_EQ(tokens, together[i].tokens) << i;
    EXPECT_EQ(together[i].end.reason, DoneReason::kMaxTokens);
    EXPECT_EQ(together[i].end.counts.generated, options[i].max_new_tokens);
    EXPECT_EQ(together[i].end.counts.computed, static_cast<int64_t>(prompts[i].size()));
  }
}

TEST_F(JobTest, AReaderThatStopsHoldsUpNobodyAndLosesNothing) {
  auto engine = Make(32);
  auto slow = New(engine), quick = New(engine);
  const auto tokens = RandomTokens(engine->model(), 40, 3);
  JobOptions o;
  o.max_new_tokens = 50;
  o.ignore_end = true;
  o.event_capacity = 3;
  auto paused = *slow->Submit(tokens.data(), 40, o);
  o.event_capacity = 0;
  auto other = *quick->Submit(tokens.data(), 40, o);
  const Given want = ReadAll(*other, engine->model().config().vocab);
  EXPECT_EQ(want.tokens.size(), 50u);
  while (paused->phase() != JobPhase::kPaused) std::this_thread::yield();
  EXPECT_EQ(slow->position(), 43);
  EXPECT_EQ(engine->JobStats().jobs_paused, 1);
  EXPECT_EQ(slow->Rewind(0).code(), absl::StatusCode::kAborted);
  const Given got = ReadAll(*paused, engine->model().config().vocab);
  EXPECT_EQ(got.tokens, want.tokens);
  EXPECT_TRUE(slow->Rewind(0).ok());
}

TEST_F(JobTest, RowsArriveInBlocksOfTheRoomThereIs) {
  auto engine = Make(512);
  const int64_t vocab = engine->model().config().vocab;
  auto session = New(engine);
  const auto tokens = RandomTokens(engine->model(), 300, 4);
  JobOptions o;
  o.max_new_tokens = 0;
  o.event_capacity = 4;
  for (int64_t i = 0; i < 300; ++i) o.logit_rows.push_back(i);
  auto job = *session->Submit(tokens.data(), 300, o);
  const Given got = ReadAll(*job, vocab);
  auto alone = New(engine);
  EXPECT_EQ(DifferingRows(PrefillAll(*alone, tokens, {300}), got.rows, vocab), 0);
}

TEST_F(JobTest, CancelEndsJobsThatRunWaitOrArePaused) {
  auto engine = Make(16);
  const auto tokens = RandomTokens(engine->model(), 900, 6);
  for (const bool paused : {false, true}) {
    auto session = New(engine);
    JobOptions o;
    o.event_capacity = paused ? 1 : 0;
    o.ignore_end = true;
    const int64_t n = paused ? 10 : 900;
    auto job = *session->Submit(tokens.data(), n, o);
    if (paused) {
      while (job->phase() != JobPhase::kPaused) std::this_thread::yield();
    }
    job->Cancel();
    job->Cancel();
    const JobEvent end = End(*job);
    EXPECT_EQ(end.reason, DoneReason::kCancelled);
    EXPECT_EQ(end.position, session->position());
    // What was done stays and is right.
    SyncResult result;
    ASSERT_TRUE(session->Sync(tokens.data(), n, {}, &result).ok());
    EXPECT_LE(result.kept, end.position);
    auto alone = New(engine);
    ASSERT_TRUE(alone->Sync(tokens.data(), n, {}, &result).ok());
    EXPECT_EQ(std::memcmp(*session->Logits(), *alone->Logits(),
                          static_cast<size_t>(engine->model().config().vocab) * sizeof(float)),
              0);
  }
}

TEST_F(JobTest, OneThatLeavesAStepLeavesTheOthersBitsAlone) {
  auto engine = Make(256);
  const int64_t vocab = engine->model().config().vocab;
  const auto a = RandomTokens(engine->model(), 128, 7), b = RandomTokens(engine->model(), 128, 8);
  auto alone = New(engine);
  const Rows want = PrefillAll(*alone, b, {128});
  JobOptions rows;
  rows.max_new_tokens = 0;
  for (int64_t i = 0; i < 128; ++i) rows.logit_rows.push_back(i);
  JobOptions plain;
  plain.max_new_tokens = 0;
  int64_t left = 0;
  for (int round = 0; round < 60; ++round) {
    auto s = New(engine), t = New(engine);
    auto first = *s->Submit(a.data(), 128, plain);
    auto second = *t->Submit(b.data(), 128, rows);
    std::this_thread::sleep_for(std::chrono::microseconds(rand() % 3000));
    first->Cancel();
    const JobEvent end = End(*first);
    left += end.reason == DoneReason::kCancelled;
    s.reset();  // its pages go to others while the step may still run
    auto u = New(engine);
    SyncResult result;
    ASSERT_TRUE(u->Sync(a.data(), 60, {}, &result).ok());
    EXPECT_EQ(DifferingRows(want, ReadAll(*second, vocab).rows, vocab), 0) << round;
  }
  EXPECT_GT(left, 0);
}

TEST_F(JobTest, DeadlinesEndJobsThatRunAndThatArePaused) {
  auto engine = Make(16);
  const auto tokens = RandomTokens(engine->model(), 900, 6);
  auto session = New(engine);
  JobOptions o;
  o.deadline_ms = 1;
  auto job = *session->Submit(tokens.data(), 900, o);
  EXPECT_EQ(End(*job).reason, DoneReason::kDeadline);
  o.event_capacity = 1;
  o.deadline_ms = 50;
  o.ignore_end = true;
  job = *session->Submit(tokens.data(), 5, o);
  while (job->phase() != JobPhase::kOver) std::this_thread::yield();
  EXPECT_EQ(End(*job).reason, DoneReason::kDeadline);
}

TEST_F(JobTest, AFullQueueRefusesAndChangesNothing) {
  auto engine = Make(32, 0, 2);
  const auto tokens = RandomTokens(engine->model(), 40, 3);
  auto a = New(engine), b = New(engine), c = New(engine);
  JobOptions o;
  o.event_capacity = 1;
  o.ignore_end = true;
  auto first = *a->Submit(tokens.data(), 40, o);
  auto second = *b->Submit(tokens.data(), 40, o);
  SyncResult result;
  ASSERT_TRUE(c->Sync(tokens.data(), 10, {}, &result).ok());  // synchronous calls need no place
  const absl::Status full = c->Submit(tokens.data(), 40, o).status();
  EXPECT_TRUE(IsQueueFullError(full)) << full;
  EXPECT_NE(full.message().find("2 jobs"), std::string::npos);
  EXPECT_EQ(c->position(), 10);
  // A submission that fails gives its place back.
  first->Cancel();
  End(*first);
  const int32_t bad = -1;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(c->Submit(&bad, 1, o).ok());
  auto third = c->Submit(tokens.data(), 40, o);
  ASSERT_TRUE(third.ok()) << third.status();
  second->Cancel();
  (*third)->Cancel();
  EXPECT_EQ(End(*second).reason, DoneReason::kCancelled);
  EXPECT_EQ(End(**third).reason, DoneReason::kCancelled);
  EXPECT_EQ(engine->JobStats().refused, 1);
}

// Whoever is told that a job is over can read its end and use its session.
TEST_F(JobTest, OverIsWhenTheFinalEventCanBeRead) {
  struct Shared {
    std::atomic<Job*> job{nullptr};
    std::atomic<int> phase{-1};
    std::atomic<bool> look{false};
  } shared;
  auto engine = Make(32, 0, 0,
                     Logger(
                         [](void* user, int32_t, const char* message) {
                           if (std::strncmp(message, "job over", 8) != 0) return;
                           auto* s = static_cast<Shared*>(user);
                           while (!s->look) std::this_thread::yield();
                           s->phase = static_cast<int>(s->job.load()->phase());
                         },
                         &shared, 3));
  auto session = New(engine);
  const auto tokens = RandomTokens(engine->model(), 40, 3);
  JobOptions o;
  o.max_new_tokens = 0;
  auto job = *session->Submit(tokens.data(), 40, o);
  shared.job = job.get();
  shared.look = true;
  while (job->phase() != JobPhase::kOver) std::this_thread::yield();
  EXPECT_TRUE(session->Rewind(0).ok());
  JobEvent event;
  do {
    ASSERT_TRUE(job->Poll(0, &event).ok());
    ASSERT_NE(event.kind, JobEvent::Kind::kNone);
  } while (!event.final());
  EXPECT_EQ(shared.phase, static_cast<int>(JobPhase::kPrefill));
  EXPECT_EQ(job->phase(), JobPhase::kOver);
}

// The end of a first job holds the scheduler until two others are there; then the end of each tells
// how far the other has come.
struct Gate {
  std::atomic<bool> open{false};
  std::atomic<const Session*> other{nullptr};
  std::atomic<int> ends{0};
  std::atomic<int64_t> position{-1};  // of `other` when the second job ended
  static void Log(void* user, int32_t, const char* message) {
    auto* gate = static_cast<Gate*>(user);
    if (std::strncmp(message, "job over", 8) != 0) return;
    const int end = ++gate->ends;
    while (!gate->open) std::this_thread::yield();
    if (end == 2) gate->position = gate->other.load()->position();
  }
};

TEST_F(JobTest, PrefillIsSharedByPriorityAndDeadline) {
  const auto tokens = RandomTokens(*GoldenModel(kTiny), 960, 6);
  auto left_behind = [&](int priority, int64_t deadline_ms) {
    Gate gate;
    auto engine = Make(16, 0, 0, Logger(Gate::Log, &gate, 3));
    auto a = New(engine), b = New(engine), c = New(engine);
    gate.other = b.get();
    JobOptions o;
    o.max_new_tokens = 0;
    auto third = *c->Submit(tokens.data(), 1, o);
    while (gate.ends == 0) std::this_thread::yield();
    auto second = *b->Submit(tokens.data(), 960, o);
    o.priority = priority;
    o.deadline_ms = deadline_ms;
    auto first = *a->Submit(tokens.data(), 960, o);
    gate.open = true;
    End(*third);
    End(*first);
    End(*second);
    return gate.position.load();
  };
  EXPECT_GE(left_behind(0, 0), 928);  // equal: a step or two behind
  EXPECT_NEAR(left_behind(3, 0), 960 / 8, 32);
  EXPECT_LE(left_behind(0, 1000000), 16);  // the nearest deadline first
}

TEST_F(JobTest, AShortPromptDoesNotWaitForALongOne) {
  auto engine = Make(32);
  auto a = New(engine), b = New(engine);
  const auto tokens = RandomTokens(engine->model(), 960, 6);
  JobOptions o;
  o.max_new_tokens = 0;
  auto first = *a->Submit(tokens.data(), 960, o);
  while (a->position() == 0) std::this_thread::yield();
  auto second = *b->Submit(tokens.data(), 30, o);
  const JobEvent quick = End(*second), slow = End(*first);
  EXPECT_LT(quick.times.queued + quick.times.prefill, 0.5 * slow.times.prefill);
}

TEST_F(JobTest, APrefillDoesNotStarveThoseWhoDecode) {
  auto engine = Make(512, 16);
  auto a = New(engine), b = New(engine);
  const auto tokens = RandomTokens(engine->model(), 960, 6);
  JobOptions o;
  o.ignore_end = true;
  o.max_new_tokens = 40;
  auto decode = *b->Submit(tokens.data(), 4, o);
  JobEvent event;
  do {
    ASSERT_TRUE(decode->Poll(-1, &event).ok());
  } while (event.kind != JobEvent::Kind::kToken);
  const SchedulerStats before = engine->JobStats();
  o.max_new_tokens = 0;
  auto prefill = *a->Submit(tokens.data(), 960, o);
  EXPECT_EQ(End(*decode).counts.generated, 40);
  const SchedulerStats after = engine->JobStats();
  EXPECT_LE(after.tokens_prefilled - before.tokens_prefilled, 41 * 16);
  EXPECT_EQ(End(*prefill).counts.computed, 960);
}

TEST_F(JobTest, ASynchronousCallAndAJobOfOtherSessionsShareSteps) {
  auto engine = Make(32);
  auto a = New(engine), b = New(engine);
  const auto tokens = RandomTokens(engine->model(), 900, 6);
  JobOptions o;
  o.max_new_tokens = 100;
  o.ignore_end = true;
  auto job = *a->Submit(tokens.data(), 50, o);
  SyncResult result;
  int64_t calls = 0;
  PrefillRequest request;
  request.progress = [&](int64_t, int64_t) { return ++calls, true; };
  ASSERT_TRUE(b->Sync(tokens.data(), 900, request, &result).ok());
  EXPECT_GE(calls, 900 / 32);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(b->Decode({}).ok());
  EXPECT_EQ(End(*job).counts.generated, 100);
}

TEST_F(JobTest, AJobOutlivesItsSessionAndItsEngine) {
  auto engine = Make(32);
  std::weak_ptr<Engine> weak = engine;
  const auto tokens = RandomTokens(engine->model(), 300, 6);
  JobOptions o;
  o.max_new_tokens = 20;
  o.ignore_end = true;
  auto session = New(engine);
  auto job = *session->Submit(tokens.data(), 300, o);
  session.reset();
  engine.reset();
  EXPECT_EQ(End(*job).counts.generated, 20);
  EXPECT_TRUE(weak.expired());
}

TEST_F(JobTest, ClosingTheEngineEndsItsJobs) {
  auto engine = Make(16);
  const auto tokens = RandomTokens(engine->model(), 900, 6);
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::shared_ptr<Job>> jobs;
  for (int i = 0; i < 5; ++i) {
    sessions.push_back(New(engine));
    JobOptions o;
    o.event_capacity = i == 0 ? 1 : 0;
    o.ignore_end = true;
    jobs.push_back(*sessions[i]->Submit(tokens.data(), i == 0 ? 3 : 900, o));
  }
  engine->scheduler().Close();
  for (auto& job : jobs) EXPECT_EQ(End(*job).reason, DoneReason::kCancelled);
  EXPECT_EQ(sessions[0]->Submit(tokens.data(), 3, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  SyncResult result;
  EXPECT_TRUE(sessions[0]->Sync(tokens.data(), 10, {}, &result).ok());
}

TEST_F(JobTest, BadOptionsAreNamed) {
  auto engine = Make(16);
  auto session = New(engine);
  const int32_t token = 1;
  auto error = [&](auto set) {
    JobOptions o;
    set(o);
    return std::string(session->Submit(&token, 1, o).status().message());
  };
  EXPECT_NE(error([](auto& o) { o.priority = 9; }).find("priority"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.max_new_tokens = -2; }).find("max_new"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.deadline_ms = -1; }).find("deadline"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.event_capacity = -1; }).find("event_cap"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.top_logprobs = 2000; }).find("top_logprobs"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.stop_tokens = {-1}; }).find("stop_tokens"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.stop_strings = {""}; }).find("stop"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.logit_rows = {7}; }).find("position 7"), std::string::npos);
  EXPECT_NE(error([](auto& o) { o.sampling.top_p = 0; }).find("top_p"), std::string::npos);
  EXPECT_EQ(session->position(), 0);
  EXPECT_EQ(session->Submit(nullptr, 0, {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace scout

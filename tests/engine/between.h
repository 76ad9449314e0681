// The fixture of tests that look and act between the half layers of a step, on the driver's thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "lib/engine/scheduler.h"
#include "tests/engine/harness.h"

namespace scout {

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
  // The same for a job that might never end: then it is cancelled.
  static JobEvent EndOrGiveUp(Job& job) {
    JobEvent event;
    EXPECT_TRUE(job.Wait(300000, &event).ok());
    EXPECT_TRUE(event.final()) << "nothing in five minutes";
    if (event.final()) return event;
    job.Cancel();
    return End(job);
  }
  // A job whose next row has no room, since its reader does not read.
  std::shared_ptr<Job> StoppedInItsPrompt(Session& session, uint64_t seed = 1) {
    JobOptions rows = Drawing(0);
    for (int64_t i = 0; i < 30; ++i) rows.logit_rows.push_back(i);
    rows.event_capacity = 1;
    auto job = Submit(session, 40, rows, seed);
    while (job->phase() != JobPhase::kPaused) std::this_thread::yield();
    return job;
  }

  // After it returns the one before does not run any more.
  void Between(std::function<void()> between) {
    const std::lock_guard<std::mutex> lock(mutex_);
    between_ = std::move(between);
  }

  std::shared_ptr<Engine> engine_;
  std::mutex mutex_;
  std::function<void()> between_;
  int64_t step_ = -1, layer_ = 0;  // of the running step: its number, and the half layer that comes
};

}  // namespace scout

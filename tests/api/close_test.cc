// An engine that is closed while jobs of many threads run.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "include/scout.h"

namespace {

scout_event Event() {
  scout_event e{};
  e.struct_size = sizeof e;
  return e;
}

// Threads submit, read, cancel and free until the engine is closed under them.
void CloseWhileJobsRun(scout_model* model, uint32_t seed) {
  scout_engine_options eo;
  scout_engine_options_init(&eo);
  eo.n_threads = 2;
  eo.page_tokens = 16;
  eo.max_step_tokens = 24;
  eo.kv_tokens = 2048;
  scout_engine* engine = nullptr;
  ASSERT_EQ(scout_engine_create(model, &eo, &engine, nullptr), SCOUT_OK);
  std::atomic<int64_t> submitted{0}, read{0}, cancelled{0};
  std::atomic<int> at_work{0};
  auto work = [&](uint32_t id) {
    std::mt19937 rng(seed * 100 + id);
    scout_session_options so;
    scout_session_options_init(&so);
    so.max_tokens = 120;
    scout_session* session = nullptr;
    ASSERT_EQ(scout_session_create(engine, &so, &session, nullptr), SCOUT_OK);
    std::vector<int32_t> tokens(80);
    ++at_work;
    for (;;) {
      for (int32_t& t : tokens) t = static_cast<int32_t>(rng() % 900);
      scout_job_options o;
      scout_job_options_init(&o);
      o.flags = SCOUT_JOB_IGNORE_END;
      o.event_capacity = rng() % 3;
      o.max_new_tokens = rng() % 20;
      scout_job* job = nullptr;
      const scout_status s =
          scout_job_submit(session, tokens.data(), 1 + rng() % 80, &o, &job, nullptr);
      if (s == SCOUT_BUSY) {  // with a job that was freed
        std::this_thread::yield();
        continue;
      }
      if (s != SCOUT_OK) {
        EXPECT_EQ(s, SCOUT_INVALID_STATE);
        break;
      }
      ++submitted;
      if (rng() % 8 == 0) {
        scout_job_free(job);
        continue;
      }
      scout_event e = Event();
      while (e.kind != SCOUT_EVENT_DONE) {
        ASSERT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
        ASSERT_NE(e.kind, SCOUT_EVENT_ERROR);
      }
      EXPECT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_INVALID_STATE);
      EXPECT_TRUE(e.reason == SCOUT_DONE_MAX_TOKENS || e.reason == SCOUT_DONE_CANCELLED);
      cancelled += e.reason == SCOUT_DONE_CANCELLED;
      ++read;
      scout_job_free(job);
    }
    // Synchronous calls go on, once the session's last job is over.
    scout_status s = SCOUT_BUSY;
    while (s == SCOUT_BUSY) {
      std::this_thread::yield();
      s = scout_session_sync(session, tokens.data(), 60, nullptr, nullptr, nullptr);
    }
    EXPECT_EQ(s, SCOUT_OK);
    int32_t token = -1;
    EXPECT_EQ(scout_session_decode(session, nullptr, &token, nullptr), SCOUT_OK);
    scout_session_free(session);
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 6; ++i) threads.emplace_back(work, i);
  while ((at_work < 6 || read < 8) && !testing::Test::HasFailure()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::microseconds(seed * 137 % 5000));
  EXPECT_EQ(scout_engine_close(engine, nullptr), SCOUT_OK);
  EXPECT_EQ(scout_engine_close(engine, nullptr), SCOUT_OK);
  for (std::thread& t : threads) t.join();
  scout_engine_stats s{};
  s.struct_size = sizeof s;
  ASSERT_EQ(scout_engine_get_stats(engine, &s, nullptr), SCOUT_OK);
  int64_t ended = 0;
  for (const int64_t n : s.jobs_done) ended += n;
  EXPECT_EQ(s.jobs_submitted, submitted.load());
  EXPECT_EQ(ended, submitted.load());
  EXPECT_GE(s.jobs_done[SCOUT_DONE_CANCELLED], cancelled.load());
  EXPECT_EQ(s.jobs_failed, 0);
  EXPECT_EQ(s.kv_pages_used, 0);
  scout_engine_free(engine);
}

TEST(Close, TheEngineIsClosedWhileJobsRun) {
  scout_model* model = nullptr;
  ASSERT_EQ(
      scout_model_load(SCOUT_SOURCE_DIR "/tests/golden/scout-tiny-bf16", nullptr, &model, nullptr),
      SCOUT_OK);
  for (uint32_t seed = 1; seed <= 6 && !testing::Test::HasFailure(); ++seed) {
    CloseWhileJobsRun(model, seed);
  }
  scout_model_free(model);
}

}  // namespace

// Many sessions, many threads, every call at any time. Each job ends with exactly one final event;
// tokens and logits are those of the same job run alone, bit by bit.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "include/scout.h"

namespace {

constexpr int kSessions = 9, kThreads = 7, kPlans = 20;
constexpr int64_t kVocab = 1024;

// A job as it is described, and what it gives when it runs alone.
struct Plan {
  std::vector<int32_t> prompt;
  scout_sampling_options sampling;
  int64_t max_new = 0, capacity = 0, row = 0;
  std::vector<int32_t> tokens;
  std::vector<float> row_logits, last_logits;
};

// A job that runs; freed when the last thread has let go.
struct Running {
  const Plan* plan = nullptr;
  scout_job* job = nullptr;
  bool rows = false;
  std::mutex reading;
  std::vector<int32_t> tokens;
  bool over = false;
  ~Running() { scout_job_free(job); }
};

struct Slot {
  std::mutex mutex;  // of the handles, not of the calls
  std::shared_ptr<scout_session> session;
  std::shared_ptr<Running> running;
};

class Stress {
 public:
  void Run(double seconds) {
    ASSERT_EQ(scout_model_load(SCOUT_SOURCE_DIR "/tests/golden/scout-tiny-bf16", nullptr, &model_,
                               nullptr),
              SCOUT_OK);
    MakeEngine(64);
    MakePlans();
    scout_engine_free(engine_);
    MakeEngine(24);
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(static_cast<int64_t>(seconds * 1e3));
    latest_ = end + std::chrono::minutes(5);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([this, i, end] {
        std::mt19937 rng(static_cast<uint32_t>(i + 1));
        while (std::chrono::steady_clock::now() < end || !Enough()) Act(&rng);
      });
    }
    for (std::thread& t : threads) t.join();
    for (Slot& slot : slots_) {
      if (slot.running != nullptr) Read(slot.running.get(), -1, 1 << 30);
      slot.running.reset();
      slot.session.reset();
    }
    // Jobs that were freed early end a moment later.
    scout_engine_stats s{};
    int64_t ended = 0;
    for (int i = 0; i < 10000; ++i) {
      s.struct_size = sizeof s;
      ASSERT_EQ(scout_engine_get_stats(engine_, &s, nullptr), SCOUT_OK);
      ended = s.jobs_failed;
      for (int64_t n : s.jobs_done) ended += n;
      if (ended == s.jobs_submitted && s.kv_pages_used == 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(s.jobs_submitted, submitted_.load());
    EXPECT_EQ(ended, s.jobs_submitted);
    EXPECT_EQ(s.jobs_failed, 0);
    EXPECT_EQ(s.kv_pages_used, 0);
    EXPECT_EQ(s.kv_pages_reserved, 0);
    EXPECT_GT(whole_.load(), 10);
    EXPECT_GT(s.jobs_done[SCOUT_DONE_CANCELLED], 10);
    EXPECT_GT(rows_.load(), 0);
    EXPECT_GT(last_.load(), 0);
    std::printf(
        "%lld jobs: %lld whole and equal, %lld cancelled, %lld rows and %lld last logits "
        "equal, %lld forks\n",
        static_cast<long long>(s.jobs_submitted), static_cast<long long>(whole_.load()),
        static_cast<long long>(s.jobs_done[SCOUT_DONE_CANCELLED]),
        static_cast<long long>(rows_.load()), static_cast<long long>(last_.load()),
        static_cast<long long>(forks_.load()));
    scout_engine_free(engine_);
    scout_model_free(model_);
  }

 private:
  // Of everything some, however slow the machine is; a run that never gets there ends by the clock.
  bool Enough() const {
    return (whole_ > 10 && cancelled_ > 10 && rows_ > 0 && last_ > 0) ||
           std::chrono::steady_clock::now() > latest_;
  }

  void MakeEngine(int32_t step) {
    scout_engine_options o;
    scout_engine_options_init(&o);
    o.n_threads = 2;
    o.page_tokens = 16;
    o.max_step_tokens = step;
    o.max_mixed_tokens = 10;
    o.kv_tokens = 8192;
    o.max_sessions = 2 * kSessions;
    ASSERT_EQ(scout_engine_create(model_, &o, &engine_, nullptr), SCOUT_OK);
  }

  std::shared_ptr<scout_session> NewSession() {
    scout_session_options o;
    scout_session_options_init(&o);
    o.max_tokens = 200;
    scout_session* session = nullptr;
    const scout_status s = scout_session_create(engine_, &o, &session, nullptr);
    EXPECT_TRUE(s == SCOUT_OK || s == SCOUT_CAPACITY) << s;  // forks of the moment fill the budget
    return session == nullptr ? nullptr : Own(session);
  }
  static std::shared_ptr<scout_session> Own(scout_session* session) {
    return std::shared_ptr<scout_session>(session, scout_session_free);
  }

  // Some begin alike, so that sessions keep what they hold.
  void MakePlans() {
    std::mt19937 rng(3);
    plans_.resize(kPlans);
    for (int i = 0; i < kPlans; ++i) {
      Plan& p = plans_[i];
      const int n = 3 + static_cast<int>(rng() % 110);
      for (int t = 0; t < n; ++t) {
        p.prompt.push_back(t < 40 ? (t * 31 + i / 4) % 900 : static_cast<int32_t>(rng() % 900));
      }
      scout_sampling_options_init(&p.sampling);
      p.sampling.temperature = i % 3 == 0 ? 0.0f : 1.0f;
      p.sampling.seed = static_cast<uint64_t>(i);
      p.sampling.presence_penalty = i % 5 == 0 ? 0.5f : 0.0f;
      p.max_new = i % 7 == 0 ? 0 : static_cast<int64_t>(rng() % 25);
      p.capacity = i % 4 == 0 ? 2 : 0;
      p.row = n - 1;
      auto session = NewSession();
      ASSERT_NE(session, nullptr);
      ASSERT_EQ(scout_session_prefill(session.get(), p.prompt.data(), n, nullptr, nullptr, nullptr),
                SCOUT_OK);
      p.row_logits.resize(kVocab);
      p.last_logits.resize(kVocab);
      ASSERT_EQ(scout_session_logits(session.get(), p.row_logits.data(), kVocab, nullptr),
                SCOUT_OK);
      for (int64_t t = 0; t < p.max_new; ++t) {
        int32_t token = -1;
        ASSERT_EQ(scout_session_decode(session.get(), &p.sampling, &token, nullptr), SCOUT_OK);
        p.tokens.push_back(token);
      }
      ASSERT_EQ(scout_session_logits(session.get(), p.last_logits.data(), kVocab, nullptr),
                SCOUT_OK);
    }
  }

  void Act(std::mt19937* rng) {
    Slot& slot = slots_[(*rng)() % kSessions];
    std::shared_ptr<scout_session> session;
    std::shared_ptr<Running> running;
    {
      std::lock_guard<std::mutex> lock(slot.mutex);
      if (slot.session == nullptr) slot.session = NewSession();
      session = slot.session;
      running = slot.running;
    }
    if (session == nullptr) return;
    const uint32_t what = (*rng)() % 100;
    if (running == nullptr) {
      if (what < 80) {
        Submit(&slot, session.get(), plans_[(*rng)() % kPlans], (*rng)() % 2 == 0);
      } else if (what < 88) {
        CheckBusyOr(scout_session_rewind(session.get(), (*rng)() % 3, nullptr));
      } else {
        Fork(session.get(), plans_[(*rng)() % kPlans]);
      }
      return;
    }
    if (what < 70) {
      Read(running.get(), static_cast<int64_t>((*rng)() % 3), 1 + (*rng)() % 12);
    } else if (what < 76) {
      EXPECT_EQ(scout_job_cancel(running->job, nullptr), SCOUT_OK);
    } else if (what < 80) {  // freed, by whoever holds it last
      std::lock_guard<std::mutex> lock(slot.mutex);
      if (slot.running == running) slot.running.reset();
    } else if (what < 83) {  // the session goes, its job goes on
      std::lock_guard<std::mutex> lock(slot.mutex);
      if (slot.session == session) slot.session.reset();
    } else if (what < 86) {
      CheckBusyOr(scout_session_rewind(session.get(), 0, nullptr));
    } else {
      Fork(session.get(), *running->plan);
    }
    std::unique_lock<std::mutex> reading(running->reading, std::try_to_lock);
    if (!reading || !running->over) return;
    std::lock_guard<std::mutex> lock(slot.mutex);
    if (slot.running == running) slot.running.reset();
  }

  // Two threads may be at one session: the second is told so.
  static void CheckBusyOr(scout_status s) {
    EXPECT_TRUE(s == SCOUT_OK || s == SCOUT_BUSY || s == SCOUT_INVALID_ARGUMENT ||
                s == SCOUT_CAPACITY)
        << s;
  }

  void Submit(Slot* slot, scout_session* session, const Plan& plan, bool rows) {
    scout_job_options o;
    scout_job_options_init(&o);
    o.flags = SCOUT_JOB_IGNORE_END;
    o.max_new_tokens = plan.max_new;
    o.sampling = &plan.sampling;
    o.event_capacity = plan.capacity;
    o.priority = static_cast<int32_t>(plan.prompt.size() % 3);
    if (rows) {
      o.logit_rows = &plan.row;
      o.n_logit_rows = 1;
    }
    auto running = std::make_shared<Running>();
    running->plan = &plan;
    running->rows = rows;
    const scout_status s =
        scout_job_submit(session, plan.prompt.data(), static_cast<int64_t>(plan.prompt.size()), &o,
                         &running->job, nullptr);
    if (s != SCOUT_OK) {  // a row that is held already cannot be had
      EXPECT_TRUE(s == SCOUT_BUSY || s == SCOUT_CAPACITY || (rows && s == SCOUT_INVALID_ARGUMENT))
          << s;
      return;
    }
    submitted_.fetch_add(1);
    std::lock_guard<std::mutex> lock(slot->mutex);
    slot->running = std::move(running);
  }

  void Read(Running* r, int64_t timeout_ms, uint32_t most) {
    std::unique_lock<std::mutex> reading(r->reading, std::try_to_lock);
    if (!reading || r->over) return;
    for (uint32_t i = 0; i < most; ++i) {
      scout_event e{};
      e.struct_size = sizeof e;
      ASSERT_EQ(scout_job_poll(r->job, timeout_ms, &e, nullptr), SCOUT_OK);
      if (e.kind == SCOUT_EVENT_NONE) return;
      if (e.kind == SCOUT_EVENT_TOKEN) r->tokens.push_back(e.token);
      if (e.kind == SCOUT_EVENT_ROW) {
        EXPECT_EQ(std::memcmp(e.logits, r->plan->row_logits.data(), kVocab * sizeof(float)), 0);
        rows_.fetch_add(1);
      }
      ASSERT_NE(e.kind, SCOUT_EVENT_ERROR) << scout_error_message(e.error);
      if (e.kind != SCOUT_EVENT_DONE) continue;
      r->over = true;
      EXPECT_EQ(scout_job_poll(r->job, timeout_ms, &e, nullptr), SCOUT_INVALID_STATE);
      ASSERT_LE(r->tokens.size(), r->plan->tokens.size());
      EXPECT_TRUE(std::equal(r->tokens.begin(), r->tokens.end(), r->plan->tokens.begin()));
      if (e.reason == SCOUT_DONE_MAX_TOKENS) {
        EXPECT_EQ(r->tokens.size(), r->plan->tokens.size());
        whole_.fetch_add(1);
      } else {
        EXPECT_EQ(e.reason, SCOUT_DONE_CANCELLED);
        cancelled_.fetch_add(1);
      }
      return;
    }
  }

  // Runs the plan on a copy with the synchronous calls.
  void Fork(scout_session* session, const Plan& plan) {
    scout_session* made = nullptr;
    const scout_status s = scout_session_fork(session, 0, &made, nullptr);
    CheckBusyOr(s);
    if (s != SCOUT_OK) return;
    const auto copy = Own(made);
    forks_.fetch_add(1);
    if (scout_session_sync(made, plan.prompt.data(), static_cast<int64_t>(plan.prompt.size()),
                           nullptr, nullptr, nullptr) != SCOUT_OK) {
      return;  // the budget: a cut into pages that are shared
    }
    for (int32_t want : plan.tokens) {
      int32_t token = -1;
      ASSERT_EQ(scout_session_decode(made, &plan.sampling, &token, nullptr), SCOUT_OK);
      ASSERT_EQ(token, want);
    }
    std::vector<float> logits(kVocab);
    ASSERT_EQ(scout_session_logits(made, logits.data(), kVocab, nullptr), SCOUT_OK);
    EXPECT_EQ(std::memcmp(logits.data(), plan.last_logits.data(), kVocab * sizeof(float)), 0);
    last_.fetch_add(1);
  }

  scout_model* model_ = nullptr;
  scout_engine* engine_ = nullptr;
  std::vector<Plan> plans_;
  Slot slots_[kSessions];
  std::chrono::steady_clock::time_point latest_;
  std::atomic<int64_t> submitted_{0}, whole_{0}, cancelled_{0}, rows_{0}, last_{0}, forks_{0};
};

TEST(Stress, SessionsJobsAndThreadsForSeconds) { Stress().Run(4); }
TEST(FullStress, SessionsJobsAndThreadsForMinutes) { Stress().Run(75); }

}  // namespace

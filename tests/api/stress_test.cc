// Many sessions, many threads, every call at any time, also from log callbacks, and the engine
// closed while jobs run. Each job ends with exactly one final event; tokens and logits are those of
// the same job run alone, bit by bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
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
  std::vector<int32_t> all;  // prompt and tokens
  std::vector<float> row_logits, last_logits;
};

scout_event NewEvent() {
  scout_event e{};
  e.struct_size = sizeof e;
  return e;
}

scout_engine_stats StatsOf(const scout_engine* engine) {
  scout_engine_stats s{};
  s.struct_size = sizeof s;
  EXPECT_EQ(scout_engine_get_stats(engine, &s, nullptr), SCOUT_OK);
  return s;
}

int64_t Ended(const scout_engine_stats& s) {
  int64_t ended = s.jobs_failed;
  for (const int64_t n : s.jobs_done) ended += n;
  return ended;
}

// A job that runs; freed when the last thread has let go.
struct Running {
  const Plan* plan = nullptr;  // null: tokens that nobody knows before
  scout_job* job = nullptr;
  bool deadline = false;
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
    logs_ = true;
    MakeEngine(24);
    probe_ = NewSession();
    ASSERT_NE(probe_, nullptr);
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
    {
      const std::lock_guard<std::mutex> lock(probe_mutex_);
      scout_job_free(probe_job_);
      probe_job_ = nullptr;
      probe_.reset();
    }
    // Jobs that were freed early end a moment later.
    scout_engine_stats s = StatsOf(engine_);
    for (int i = 0; i < 10000 && (Ended(s) != s.jobs_submitted || s.kv_pages_used > 0); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      s = StatsOf(engine_);
    }
    EXPECT_EQ(s.jobs_submitted, submitted_.load());
    EXPECT_EQ(Ended(s), s.jobs_submitted);
    EXPECT_EQ(lines_.load(), s.jobs_submitted);
    EXPECT_EQ(s.jobs_failed, 0);
    EXPECT_EQ(s.kv_pages_used, 0);
    EXPECT_EQ(s.kv_pages_reserved, 0);
    EXPECT_GT(whole_.load(), 10);
    EXPECT_GT(s.jobs_done[SCOUT_DONE_CANCELLED], 10);
    EXPECT_GT(rows_.load(), 0);
    EXPECT_GT(last_.load(), 0);
    EXPECT_GT(fork_jobs_.load(), 0);
    EXPECT_GT(s.jobs_done[SCOUT_DONE_DEADLINE], 0);
    EXPECT_GT(appended_.load(), 0);
    EXPECT_GT(rewinds_.load(), 0);
    EXPECT_GT(probes_.load(), 0);
    const std::pair<const char*, int64_t> numbers[] = {
        {"jobs", s.jobs_submitted},
        {"whole and equal", whole_},
        {"cancelled", s.jobs_done[SCOUT_DONE_CANCELLED]},
        {"past their deadline", s.jobs_done[SCOUT_DONE_DEADLINE]},
        {"appended", appended_},
        {"of log callbacks", probes_},
        {"on forks", fork_jobs_},
        {"forks", forks_},
        {"rewinds", rewinds_},
        {"rows equal", rows_},
        {"last logits equal", last_}};
    for (const auto& [name, number] : numbers) {
      std::printf("%lld %s\n", static_cast<long long>(number), name);
    }
    scout_engine_free(engine_);
    scout_model_free(model_);
  }

 private:
  // Of everything some, however slow the machine is; a run that never gets there ends by the clock.
  bool Enough() const {
    return (whole_ > 10 && cancelled_ > 10 && deadlines_ > 0 && appended_ > 0 && rewinds_ > 0 &&
            rows_ > 0 && last_ > 0 && fork_jobs_ > 0 && probes_ > 0) ||
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
    if (logs_) {
      o.log = Log;
      o.log_user = this;
      o.log_level = SCOUT_LOG_DEBUG;
    }
    ASSERT_EQ(scout_engine_create(model_, &o, &engine_, nullptr), SCOUT_OK);
  }

  // On the thread that makes the steps: it must not wait, and may do all else.
  static void Log(void* user, int32_t level, const char* message) {
    auto* self = static_cast<Stress*>(user);
    if (level != SCOUT_LOG_DEBUG || std::strncmp(message, "job over", 8) != 0) return;
    if (self->lines_.fetch_add(1) % 8 != 0) return;
    const std::lock_guard<std::mutex> lock(self->probe_mutex_);
    if (self->probe_ == nullptr) return;
    const scout_engine_stats s = StatsOf(self->engine_);
    // The synchronous calls' jobs are among those that are not over.
    EXPECT_GE(s.jobs_queued + s.jobs_running + s.jobs_paused + Ended(s), s.jobs_submitted);
    scout_session* const probe = self->probe_.get();
    int32_t token = 5;
    const bool busy =
        self->probe_job_ != nullptr && scout_job_state(self->probe_job_) != SCOUT_JOB_OVER;
    EXPECT_EQ(scout_session_prefill(probe, &token, 1, nullptr, nullptr, nullptr),
              busy ? SCOUT_BUSY : SCOUT_REENTRANT);
    if (busy) {
      scout_event e = NewEvent();
      EXPECT_EQ(scout_job_poll(self->probe_job_, 0, &e, nullptr), SCOUT_OK);
      EXPECT_EQ(scout_job_poll(self->probe_job_, 1, &e, nullptr), SCOUT_REENTRANT);
      if (e.kind == SCOUT_EVENT_TOKEN) scout_job_cancel(self->probe_job_, nullptr);
      return;
    }
    scout_job_free(self->probe_job_);
    scout_job_options o;
    scout_job_options_init(&o);
    o.max_new_tokens = 5;
    token = static_cast<int32_t>(self->probes_.load() % 900);
    EXPECT_EQ(scout_job_submit(probe, &token, 1, &o, &self->probe_job_, nullptr), SCOUT_OK);
    self->submitted_.fetch_add(1);
    self->probes_.fetch_add(1);
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
      p.all = p.prompt;
      p.all.insert(p.all.end(), p.tokens.begin(), p.tokens.end());
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
      if (what < 60) {
        Submit(&slot, session.get(), plans_[(*rng)() % kPlans], (*rng)() % 2 == 0, rng);
      } else if (what < 72) {
        Append(&slot, session.get(), rng);
      } else if (what < 86) {
        RewindAnywhere(session.get(), rng);
      } else {
        Fork(session.get(), plans_[(*rng)() % kPlans], rng);
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
      RewindAnywhere(session.get(), rng);
    } else {
      Fork(session.get(), plans_[(*rng)() % kPlans], rng);
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

  // Inside pages and chunks, too. Others may be quicker.
  void RewindAnywhere(scout_session* session, std::mt19937* rng) {
    const int64_t to = (*rng)() % static_cast<uint64_t>(scout_session_position(session) + 1);
    const scout_status s = scout_session_rewind(session, to, nullptr);
    CheckBusyOr(s);
    if (s == SCOUT_OK) rewinds_.fetch_add(1);
  }

  // Tokens behind whatever the session holds, or none.
  void Append(Slot* slot, scout_session* session, std::mt19937* rng) {
    scout_job_options o;
    scout_job_options_init(&o);
    o.flags = SCOUT_JOB_APPEND | SCOUT_JOB_IGNORE_END;
    o.max_new_tokens = (*rng)() % 6;
    o.event_capacity = (*rng)() % 3;
    const char* stops[] = {"never in any text"};
    o.stop_strings = stops;
    o.n_stop_strings = 1;
    auto running = std::make_shared<Running>();
    running->deadline = SomeDeadline(&o, rng);
    std::vector<int32_t> tokens((*rng)() % 20);
    for (int32_t& t : tokens) t = static_cast<int32_t>((*rng)() % 900);
    const scout_status s = scout_job_submit(
        session, tokens.data(), static_cast<int64_t>(tokens.size()), &o, &running->job, nullptr);
    EXPECT_TRUE(s == SCOUT_OK || s == SCOUT_BUSY || s == SCOUT_CAPACITY || s == SCOUT_INVALID_STATE)
        << s;
    if (s != SCOUT_OK) return;
    submitted_.fetch_add(1);
    appended_.fetch_add(1);
    std::lock_guard<std::mutex> lock(slot->mutex);
    slot->running = std::move(running);
  }

  static bool SomeDeadline(scout_job_options* o, std::mt19937* rng) {
    o->deadline_ms = (*rng)() % 6 == 0 ? 1 + (*rng)() % 4 : 0;
    return o->deadline_ms > 0;
  }

  void Submit(Slot* slot, scout_session* session, const Plan& plan, bool rows, std::mt19937* rng) {
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
    running->deadline = SomeDeadline(&o, rng);
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
      scout_event e = NewEvent();
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
      if (e.reason == SCOUT_DONE_CANCELLED) cancelled_.fetch_add(1);
      if (e.reason == SCOUT_DONE_DEADLINE) deadlines_.fetch_add(1);
      EXPECT_TRUE(e.reason == SCOUT_DONE_MAX_TOKENS || e.reason == SCOUT_DONE_CANCELLED ||
                  (r->deadline && e.reason == SCOUT_DONE_DEADLINE) ||
                  (r->plan == nullptr && e.reason == SCOUT_DONE_CAPACITY))
          << e.reason;
      if (r->plan == nullptr) return;
      ASSERT_LE(r->tokens.size(), r->plan->tokens.size());
      EXPECT_TRUE(std::equal(r->tokens.begin(), r->tokens.end(), r->plan->tokens.begin()));
      if (e.reason == SCOUT_DONE_MAX_TOKENS) {
        EXPECT_EQ(r->tokens.size(), r->plan->tokens.size());
        whole_.fetch_add(1);
      }
      return;
    }
  }

  // Runs the plan on a copy, which is this thread's alone: with the synchronous calls or with jobs.
  void Fork(scout_session* session, const Plan& plan, std::mt19937* rng) {
    scout_session* made = nullptr;
    const scout_status s = scout_session_fork(session, 0, &made, nullptr);
    CheckBusyOr(s);
    if (s != SCOUT_OK) return;
    const auto copy = Own(made);
    forks_.fetch_add(1);
    bool all = false;
    if ((*rng)() % 3 == 0) {
      BySynchronousCalls(made, plan, &all);
    } else {
      ByJobs(made, plan, rng, &all);
    }
    if (!all || testing::Test::HasFatalFailure()) return;
    std::vector<float> logits(kVocab);
    ASSERT_EQ(scout_session_logits(made, logits.data(), kVocab, nullptr), SCOUT_OK);
    EXPECT_EQ(std::memcmp(logits.data(), plan.last_logits.data(), kVocab * sizeof(float)), 0);
    last_.fetch_add(1);
  }

  // *all: the session holds the plan's tokens; false where the budget is short: a cut into pages
  // that are shared.
  static void BySynchronousCalls(scout_session* session, const Plan& plan, bool* all) {
    if (scout_session_sync(session, plan.prompt.data(), static_cast<int64_t>(plan.prompt.size()),
                           nullptr, nullptr, nullptr) != SCOUT_OK) {
      return;
    }
    for (int32_t want : plan.tokens) {
      int32_t token = -1;
      ASSERT_EQ(scout_session_decode(session, &plan.sampling, &token, nullptr), SCOUT_OK);
      ASSERT_EQ(token, want);
    }
    *all = true;
  }

  // Piece by piece: some of the prompt, the rest appended, the answer in several jobs. Some are cut
  // short, and between them the session is rewound to any position.
  void ByJobs(scout_session* session, const Plan& plan, std::mt19937* rng, bool* all) {
    const auto prompt = static_cast<int64_t>(plan.prompt.size());
    const auto whole = static_cast<int64_t>(plan.all.size());
    auto up_to = [rng](int64_t n) {
      return static_cast<int64_t>((*rng)() % static_cast<uint64_t>(n + 1));
    };
    for (int round = 0;; ++round) {
      const bool calm = round > 10;  // nothing is cut short any more
      int64_t held = scout_session_position(session);
      if (round > 0) {
        std::vector<int32_t> tokens(static_cast<size_t>(whole));
        ASSERT_EQ(scout_session_tokens(session, tokens.data(), whole, &held, nullptr), SCOUT_OK);
        ASSERT_TRUE(std::equal(tokens.begin(), tokens.begin() + held, plan.all.begin()));
        if (held == whole) {
          *all = true;
          return;
        }
        if (!calm && up_to(2) == 0) {
          const int64_t to = up_to(held);
          const scout_status s = scout_session_rewind(session, to, nullptr);
          ASSERT_TRUE(s == SCOUT_OK || s == SCOUT_CAPACITY) << s;
          if (s == SCOUT_OK) held = to;
          rewinds_.fetch_add(s == SCOUT_OK);
        }
      }
      scout_job_options o;
      scout_job_options_init(&o);
      o.flags = SCOUT_JOB_IGNORE_END | (round > 0 ? SCOUT_JOB_APPEND : 0);
      o.sampling = &plan.sampling;
      o.event_capacity = up_to(3);
      o.priority = static_cast<int32_t>(up_to(2)) - 1;
      if (!calm) SomeDeadline(&o, rng);
      const int64_t begin = round == 0 ? 0 : std::min(held, prompt);
      int64_t end = begin;
      if (round == 0 || held < prompt) end += 1 + up_to(prompt - begin - 1);
      if (calm) end = prompt;
      // The first job's tokens are all that is held: what the session had before does not count.
      const int64_t left = whole - (round == 0 ? end : std::max(held, end));
      o.max_new_tokens = end < prompt ? 0 : calm ? left : up_to(left);
      scout_job* job = nullptr;
      const scout_status s =
          scout_job_submit(session, plan.prompt.data() + begin, end - begin, &o, &job, nullptr);
      ASSERT_TRUE(s == SCOUT_OK || s == SCOUT_CAPACITY) << s;
      if (s != SCOUT_OK) return;
      submitted_.fetch_add(1);
      fork_jobs_.fetch_add(1);
      const int64_t cancel_at = !calm && up_to(3) == 0 ? up_to(4) : -1;
      scout_event e = NewEvent();
      for (int64_t n = 0; e.kind != SCOUT_EVENT_DONE; ++n) {
        if (n == cancel_at) scout_job_cancel(job, nullptr);
        ASSERT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
        ASSERT_NE(e.kind, SCOUT_EVENT_ERROR) << scout_error_message(e.error);
        if (e.kind == SCOUT_EVENT_TOKEN) {
          ASSERT_LT(e.position, whole);
          ASSERT_EQ(e.token, plan.all[static_cast<size_t>(e.position)]);
        }
      }
      EXPECT_EQ(e.position, scout_session_position(session));
      EXPECT_TRUE(!calm || e.reason == SCOUT_DONE_MAX_TOKENS) << e.reason;
      scout_job_free(job);
    }
  }

  scout_model* model_ = nullptr;
  scout_engine* engine_ = nullptr;
  std::vector<Plan> plans_;
  Slot slots_[kSessions];
  bool logs_ = false;
  std::mutex probe_mutex_;
  std::shared_ptr<scout_session> probe_;  // of the log callback; null: it does nothing more
  scout_job* probe_job_ = nullptr;
  std::chrono::steady_clock::time_point latest_;
  std::atomic<int64_t> submitted_{0}, whole_{0}, cancelled_{0}, deadlines_{0}, rows_{0}, last_{0};
  std::atomic<int64_t> forks_{0}, fork_jobs_{0}, appended_{0}, rewinds_{0}, probes_{0}, lines_{0};
};

TEST(Stress, SessionsJobsAndThreadsForSeconds) { Stress().Run(4); }
TEST(FullStress, SessionsJobsAndThreadsForMinutes) { Stress().Run(75); }

}  // namespace

// Jobs through the C edge: events and their text, limits, lifetimes, busy, reentrant, fork, close.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/api/jobs.h"

namespace {

TEST_F(Jobs, AStreamIsWhatTheSynchronousCallsGive) {
  scout_sampling_options sampling;
  scout_sampling_options_init(&sampling);
  sampling.temperature = 1.0f;
  sampling.seed = 5;
  scout_job_options o = Options();
  o.sampling = &sampling;
  scout_job* job = Submit(o);
  const Seen seen = ReadAll(job);
  EXPECT_EQ(seen.end.kind, SCOUT_EVENT_DONE);
  EXPECT_EQ(seen.end.reason, SCOUT_DONE_MAX_TOKENS);
  EXPECT_EQ(seen.end.computed, 40);
  EXPECT_EQ(seen.end.generated, 24);
  EXPECT_EQ(seen.end.position, 64);
  EXPECT_GE(seen.progress, 1);
  EXPECT_GE(seen.end.seconds_prefill, 0);
  EXPECT_GT(seen.end.seconds_decode, 0);
  EXPECT_EQ(seen.text, TextOf(seen.tokens));
  EXPECT_EQ(scout_session_position(session_), 64);
  scout_job_free(job);
  scout_session* other = NewSession();
  ASSERT_EQ(scout_session_prefill(other, Tokens(40).data(), 40, nullptr, nullptr, nullptr),
            SCOUT_OK);
  for (int32_t want : seen.tokens) {
    int32_t token = -1;
    ASSERT_EQ(scout_session_decode(other, &sampling, &token, nullptr), SCOUT_OK);
    EXPECT_EQ(token, want);
  }
  scout_session_free(other);
  // Again, with what is held: nothing to compute but the logits.
  job = Submit(o);
  const Seen again = ReadAll(job);
  EXPECT_EQ(again.tokens, seen.tokens);
  EXPECT_GE(again.end.kept, 32);
  EXPECT_EQ(again.end.dropped, 24);
  scout_job_free(job);
  // And on.
  o.flags |= SCOUT_JOB_APPEND;
  job = Submit(o, 0);
  EXPECT_EQ(ReadAll(job).end.position, 88);
  scout_job_free(job);
}

TEST_F(Jobs, StopsEndTheAnswer) {
  scout_job* job = Submit(Options());
  const Seen whole = ReadAll(job);
  scout_job_free(job);
  scout_job_options o = Options();
  o.stop_tokens = &whole.tokens[7];
  o.n_stop_tokens = 1;
  job = Submit(o);
  Seen seen = ReadAll(job);
  scout_job_free(job);
  EXPECT_EQ(seen.end.reason, SCOUT_DONE_STOP_TOKEN);
  EXPECT_EQ(seen.end.stop_index, 0);
  const auto first = std::find(whole.tokens.begin(), whole.tokens.end(), whole.tokens[7]);
  EXPECT_EQ(seen.tokens, std::vector<int32_t>(whole.tokens.begin(), first + 1));
  // A string across tokens, cut at characters.
  ASSERT_GT(whole.text.size(), 8u);
  size_t at = whole.text.size() / 2;
  while ((whole.text[at] & 0xC0) == 0x80) ++at;
  size_t end = at + 5;
  while (end < whole.text.size() && (whole.text[end] & 0xC0) == 0x80) ++end;
  const std::string stop = whole.text.substr(at, end - at);
  const char* stops[] = {"never in any text", stop.c_str()};
  o = Options();
  o.stop_strings = stops;
  o.n_stop_strings = 2;
  job = Submit(o);
  seen = ReadAll(job);
  scout_job_free(job);
  EXPECT_EQ(seen.end.reason, SCOUT_DONE_STOP_STRING);
  EXPECT_EQ(seen.end.stop_index, 1);
  EXPECT_EQ(seen.text, whole.text.substr(0, whole.text.find(stop)));
  EXPECT_LT(seen.tokens.size(), whole.tokens.size());
}

TEST_F(Jobs, AFullSessionEndsTheAnswer) {
  scout_session_free(session_);
  session_ = NewSession(50);
  scout_job_options o = Options();
  o.max_new_tokens = SCOUT_KEEP;
  scout_job* job = Submit(o);
  const Seen seen = ReadAll(job);
  scout_job_free(job);
  EXPECT_EQ(seen.end.reason, SCOUT_DONE_CAPACITY);
  EXPECT_EQ(seen.tokens.size(), 10u);
}

TEST_F(Jobs, LogProbabilitiesAreThoseOfTheLogits) {
  scout_job_options o = Options();
  o.max_new_tokens = 1;
  o.top_logprobs = 5;
  scout_job* job = Submit(o);
  scout_event e = Event();
  do {
    ASSERT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
  } while (e.kind != SCOUT_EVENT_TOKEN);
  ASSERT_EQ(e.n_top, 5);
  std::vector<float> logits(1024);
  scout_session* other = NewSession();
  ASSERT_EQ(scout_session_prefill(other, Tokens(40).data(), 40, nullptr, nullptr, nullptr),
            SCOUT_OK);
  ASSERT_EQ(scout_session_logits(other, logits.data(), 1024, nullptr), SCOUT_OK);
  float logprob = 0, top[5];
  int32_t ids[5];
  ASSERT_EQ(scout_logprobs(logits.data(), 1024, e.token, &logprob, 5, ids, top, nullptr), SCOUT_OK);
  EXPECT_EQ(e.logprob, logprob);
  EXPECT_EQ(std::memcmp(ids, e.top_tokens, sizeof ids), 0);
  EXPECT_EQ(std::memcmp(top, e.top_logprobs, sizeof top), 0);
  scout_session_free(other);
  scout_job_free(job);
}

TEST_F(Jobs, RowsAreThoseOfASynchronousPrefill) {
  const int64_t rows[] = {0, 3, 15, 16, 39};
  scout_job_options o = Options();
  o.max_new_tokens = 2;
  o.logit_rows = rows;
  o.n_logit_rows = 5;
  scout_job* job = Submit(o);
  std::vector<float> want(5 * 1024);
  scout_session* other = NewSession();
  scout_prefill_options po;
  scout_prefill_options_init(&po);
  po.logit_rows = rows;
  po.n_logit_rows = 5;
  po.logits = want.data();
  po.logits_capacity = 5 * 1024;
  ASSERT_EQ(scout_session_prefill(other, Tokens(40).data(), 40, &po, nullptr, nullptr), SCOUT_OK);
  int seen = 0;
  for (scout_event e = Event(); e.kind != SCOUT_EVENT_DONE;) {
    ASSERT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
    if (e.kind != SCOUT_EVENT_ROW) continue;
    ASSERT_LT(seen, 5);
    EXPECT_EQ(e.position, rows[seen]);
    EXPECT_EQ(std::memcmp(e.logits, want.data() + seen * 1024, 1024 * sizeof(float)), 0);
    ++seen;
  }
  EXPECT_EQ(seen, 5);
  scout_session_free(other);
  scout_job_free(job);
}

TEST_F(Jobs, TheSessionIsBusyUntilTheFinalEvent) {
  scout_job_options o = Options();
  o.event_capacity = 2;
  scout_job* job = Submit(o);
  int32_t token = 0;
  int64_t n = 0;
  scout_session* fork = nullptr;
  scout_job* second = nullptr;
  EXPECT_EQ(scout_session_decode(session_, nullptr, &token, nullptr), SCOUT_BUSY);
  EXPECT_EQ(scout_session_rewind(session_, 0, nullptr), SCOUT_BUSY);
  EXPECT_EQ(scout_session_fork(session_, 0, &fork, nullptr), SCOUT_BUSY);
  EXPECT_EQ(scout_session_tokens(session_, nullptr, 0, &n, nullptr), SCOUT_BUSY);
  EXPECT_EQ(scout_job_submit(session_, &token, 1, nullptr, &second, nullptr), SCOUT_BUSY);
  EXPECT_EQ(second, nullptr);
  EXPECT_GE(scout_session_position(session_), 0);
  scout_event e = Event();
  ASSERT_EQ(scout_job_wait(job, -1, &e, nullptr), SCOUT_OK);
  EXPECT_EQ(e.kind, SCOUT_EVENT_DONE);
  EXPECT_EQ(scout_session_decode(session_, nullptr, &token, nullptr), SCOUT_OK);
  scout_job_free(job);
}

TEST_F(Jobs, PollAndWaitKeepToTheirTime) {
  scout_job_options o = Options();
  o.event_capacity = 1;
  scout_job* job = Submit(o);
  scout_event e = Event();
  int none = 0;
  while (none < 3) {
    ASSERT_EQ(scout_job_poll(job, 0, &e, nullptr), SCOUT_OK);
    none += e.kind == SCOUT_EVENT_NONE;
    ASSERT_NE(e.kind, SCOUT_EVENT_DONE);
    if (scout_job_state(job) == SCOUT_JOB_PAUSED && e.kind == SCOUT_EVENT_TOKEN) break;
  }
  EXPECT_EQ(scout_job_poll(job, -2, &e, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_wait(job, 60000, &e, nullptr), SCOUT_OK);
  EXPECT_EQ(e.kind, SCOUT_EVENT_DONE);
  scout_job_free(job);
}

TEST_F(Jobs, NullsAndBadOptions) {
  scout_event e = Event();
  scout_job* job = nullptr;
  EXPECT_EQ(scout_job_submit(nullptr, nullptr, 0, nullptr, &job, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_submit(session_, nullptr, 0, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_submit(session_, nullptr, 3, nullptr, &job, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_submit(session_, nullptr, 0, nullptr, &job, nullptr), SCOUT_INVALID_STATE);
  EXPECT_EQ(scout_job_poll(nullptr, 0, &e, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_wait(nullptr, 0, &e, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_cancel(nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_engine_close(nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_state(nullptr), SCOUT_JOB_OVER);
  scout_job_free(nullptr);
  scout_job_options_init(nullptr);
  const int32_t token = 1;
  auto status = [&](auto set) {
    scout_job_options o = Options();
    set(o);
    const scout_status s = scout_job_submit(session_, &token, 1, &o, &job, nullptr);
    scout_job_free(job);
    return s;
  };
  EXPECT_EQ(status([](auto& o) { o.flags = 64; }), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status([](auto& o) { o.n_stop_tokens = -1; }), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status([](auto& o) { o.n_stop_strings = 1; }), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status([](auto& o) { o.n_logit_rows = 1; }), SCOUT_INVALID_ARGUMENT);
  const char* null = nullptr;
  EXPECT_EQ(status([&](auto& o) {
              o.stop_strings = &null;
              o.n_stop_strings = 1;
            }),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_session_position(session_), 0);
  scout_job_options o = Options();
  job = Submit(o);
  EXPECT_EQ(scout_job_poll(job, 0, nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_event small{};
  EXPECT_EQ(scout_job_poll(job, 0, &small, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_job_free(job);
}

TEST_F(Jobs, AFullQueueSaysSo) {
  engine_options_.max_jobs = 1;
  MakeEngine();
  scout_job_options o = Options();
  o.event_capacity = 1;
  scout_job* job = Submit(o);
  scout_session* other = NewSession();
  scout_job* second = nullptr;
  EXPECT_EQ(scout_job_submit(other, Tokens(4).data(), 4, &o, &second, nullptr), SCOUT_QUEUE_FULL);
  EXPECT_STREQ(scout_status_name(SCOUT_QUEUE_FULL), "SCOUT_QUEUE_FULL");
  scout_job_free(job);
  // The place comes back when the job is over, a moment later.
  scout_status s = SCOUT_QUEUE_FULL;
  while ((s = scout_job_submit(other, Tokens(4).data(), 4, &o, &second, nullptr)) ==
         SCOUT_QUEUE_FULL) {
    std::this_thread::yield();
  }
  EXPECT_EQ(s, SCOUT_OK);
  scout_job_free(second);
  scout_session_free(other);
}

TEST_F(Jobs, HandlesAreFreedInAnyOrderWhileTheJobRuns) {
  int order[] = {0, 1, 2, 3};
  do {
    scout_model* model = nullptr;
    scout_engine* engine = nullptr;
    scout_session* session = nullptr;
    scout_job* job = nullptr;
    ASSERT_EQ(scout_model_load(kModel, nullptr, &model, nullptr), SCOUT_OK);
    ASSERT_EQ(scout_engine_create(model, &engine_options_, &engine, nullptr), SCOUT_OK);
    scout_session_options so;
    scout_session_options_init(&so);
    so.max_tokens = 400;
    ASSERT_EQ(scout_session_create(engine, &so, &session, nullptr), SCOUT_OK);
    const scout_job_options o = Options();
    ASSERT_EQ(scout_job_submit(session, Tokens(60).data(), 60, &o, &job, nullptr), SCOUT_OK);
    for (int what : order) {
      std::thread([&] {
        if (what == 0) scout_model_free(model);
        if (what == 1) scout_engine_free(engine);
        if (what == 2) scout_session_free(session);
        if (what == 3) scout_job_free(job);
      }).join();
      if (what != 3 && order[3] == 3) {
        scout_event e = Event();
        ASSERT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
        EXPECT_NE(e.kind, SCOUT_EVENT_NONE);
        EXPECT_NE(e.kind, SCOUT_EVENT_ERROR);
      }
    }
  } while (std::next_permutation(order, order + 4));
}

TEST_F(Jobs, ClosingTheEngineEndsThemAll) {
  scout_job* job = Submit(Options(), 500);
  ASSERT_EQ(scout_engine_close(engine_, nullptr), SCOUT_OK);
  const Seen seen = ReadAll(job);
  EXPECT_EQ(seen.end.reason, SCOUT_DONE_CANCELLED);
  scout_job_free(job);
  scout_job* more = nullptr;
  EXPECT_EQ(scout_job_submit(session_, Tokens(4).data(), 4, nullptr, &more, nullptr),
            SCOUT_INVALID_STATE);
  int32_t token = 0;
  EXPECT_EQ(scout_session_prefill(session_, Tokens(4).data(), 4, nullptr, nullptr, nullptr),
            SCOUT_OK);
  EXPECT_EQ(scout_session_decode(session_, nullptr, &token, nullptr), SCOUT_OK);
}

// A log callback runs on the engine's thread: what would wait for that thread is refused.
TEST_F(Jobs, ALogCallbackMayNotWait) {
  struct Shared {
    scout_session* other = nullptr;
    std::atomic<scout_job*> job{nullptr};
    std::atomic<int> calls{0};
    scout_status decode = -1, prefill = -1, cancel = -1;
  } shared;
  engine_options_.log_level = SCOUT_LOG_DEBUG;
  engine_options_.log_user = &shared;
  engine_options_.log = [](void* user, int32_t level, const char* message) {
    auto* s = static_cast<Shared*>(user);
    if (level != SCOUT_LOG_DEBUG || std::string(message).find("job over") != 0) return;
    if (s->calls.fetch_add(1) > 0) return;
    int32_t token = 0;
    s->decode = scout_session_decode(s->other, nullptr, &token, nullptr);
    s->prefill = scout_session_prefill(s->other, &token, 1, nullptr, nullptr, nullptr);
    while (s->job.load() == nullptr) std::this_thread::yield();
    s->cancel = scout_job_cancel(s->job.load(), nullptr);
  };
  MakeEngine();
  shared.other = NewSession();
  ASSERT_EQ(scout_session_prefill(shared.other, Tokens(4).data(), 4, nullptr, nullptr, nullptr),
            SCOUT_OK);
  scout_job* job = Submit(Options());
  shared.job = job;
  EXPECT_EQ(ReadAll(job).end.generated, 24);
  EXPECT_EQ(shared.calls.load(), 1);
  EXPECT_EQ(shared.decode, SCOUT_REENTRANT);
  EXPECT_EQ(shared.prefill, SCOUT_REENTRANT);
  EXPECT_EQ(shared.cancel, SCOUT_OK);
  scout_job_free(job);
  scout_session_free(shared.other);
  scout_session_free(session_);
  scout_engine_free(engine_);
  session_ = nullptr;
  engine_ = nullptr;
}

TEST_F(Jobs, CallbacksOfACallMaySubmitCancelAndFree) {
  scout_session* other = NewSession();
  struct Shared {
    scout_session* other;
    int rounds = 0;
  } shared{other};
  scout_prefill_options po;
  scout_prefill_options_init(&po);
  po.progress_user = &shared;
  po.progress = [](void* user, int64_t, int64_t) -> int32_t {
    auto* s = static_cast<Shared*>(user);
    const scout_job_options o = Options();
    scout_job* job = nullptr;
    EXPECT_EQ(scout_job_submit(s->other, Tokens(30).data(), 30, &o, &job, nullptr), SCOUT_OK);
    scout_event e = Event();
    if (s->rounds % 2 == 0) scout_job_cancel(job, nullptr);
    EXPECT_EQ(scout_job_wait(job, -1, &e, nullptr), SCOUT_OK);
    EXPECT_EQ(e.kind, SCOUT_EVENT_DONE);
    scout_job_free(job);
    ++s->rounds;
    return 0;
  };
  EXPECT_EQ(scout_session_prefill(session_, Tokens(60).data(), 60, &po, nullptr, nullptr),
            SCOUT_OK);
  EXPECT_EQ(shared.rounds, 4);
  scout_session_free(other);
}

TEST_F(Jobs, AForkedChildsCallsSaySoAndItsFreesReturn) {
  scout_job_options o = Options();
  o.event_capacity = 1;
  scout_job* job = Submit(o);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    scout_event e = Event();
    scout_job* more = nullptr;
    int32_t token = 0;
    bool good = scout_job_poll(job, -1, &e, nullptr) == SCOUT_FORKED;
    good = good && scout_job_wait(job, -1, &e, nullptr) == SCOUT_FORKED;
    good = good && scout_job_cancel(job, nullptr) == SCOUT_FORKED;
    good = good && scout_job_submit(session_, &token, 1, nullptr, &more, nullptr) == SCOUT_FORKED;
    good = good && scout_engine_close(engine_, nullptr) == SCOUT_FORKED;
    scout_job_free(job);
    scout_session_free(session_);
    scout_engine_free(engine_);
    scout_model_free(model_);
    _exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(ReadAll(job).tokens.size(), 24u);
  scout_job_free(job);
}

TEST_F(Jobs, StatsCountThem) {
  scout_job* job = Submit(Options());
  ReadAll(job);
  scout_job_free(job);
  job = Submit(Options(), 500);
  scout_job_cancel(job, nullptr);
  ReadAll(job);
  scout_job_free(job);
  scout_engine_stats s{};
  s.struct_size = sizeof s;
  ASSERT_EQ(scout_engine_get_stats(engine_, &s, nullptr), SCOUT_OK);
  EXPECT_EQ(s.jobs_submitted, 2);
  EXPECT_EQ(s.jobs_done[SCOUT_DONE_MAX_TOKENS], 1);
  EXPECT_EQ(s.jobs_done[SCOUT_DONE_CANCELLED], 1);
  EXPECT_EQ(s.jobs_queued + s.jobs_running + s.jobs_paused + s.jobs_failed + s.jobs_refused, 0);
  EXPECT_EQ(s.tokens_decoded, 24);
  EXPECT_GE(s.tokens_prefilled, 40);
  EXPECT_GE(s.steps, 3 + 23);
  EXPECT_GE(s.steps_by_rows[0], 23);  // of one row
  EXPECT_GE(s.steps_by_rows[4], 2);   // of 9 to 16
  EXPECT_GT(s.seconds_attention, 0);
  EXPECT_GT(s.seconds_ffn, 0);
  EXPECT_GT(s.seconds_head, 0);
  EXPECT_GT(s.seconds_embedding, 0);
  EXPECT_GT(s.seconds_sampling, 0);
}

}  // namespace

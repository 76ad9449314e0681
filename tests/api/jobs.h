// The fixture of the tests of jobs: a tiny model, an engine of small steps, a session.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "include/scout.h"

inline const char kModel[] = SCOUT_SOURCE_DIR "/tests/golden/scout-tiny-bf16";

class Jobs : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(scout_model_load(kModel, nullptr, &model_, nullptr), SCOUT_OK);
    scout_engine_options_init(&engine_options_);
    engine_options_.n_threads = 2;
    engine_options_.max_step_tokens = 16;
    engine_options_.page_tokens = 16;
    MakeEngine();
  }
  void TearDown() override {
    scout_session_free(session_);
    scout_engine_free(engine_);
    scout_model_free(model_);
  }
  void MakeEngine() {
    scout_session_free(session_);
    scout_engine_free(engine_);
    ASSERT_EQ(scout_engine_create(model_, &engine_options_, &engine_, nullptr), SCOUT_OK);
    session_ = NewSession();
  }
  scout_session* NewSession(int64_t max_tokens = 600) {
    scout_session_options so;
    scout_session_options_init(&so);
    so.max_tokens = max_tokens;
    scout_session* session = nullptr;
    EXPECT_EQ(scout_session_create(engine_, &so, &session, nullptr), SCOUT_OK);
    return session;
  }
  static std::vector<int32_t> Tokens(int64_t n) {
    std::vector<int32_t> t(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) t[i] = static_cast<int32_t>((i * 37 + 11) % 900);
    return t;
  }
  static scout_job_options Options() {
    scout_job_options o;
    scout_job_options_init(&o);
    o.flags = SCOUT_JOB_IGNORE_END;
    o.max_new_tokens = 24;
    return o;
  }
  scout_job* Submit(const scout_job_options& o, int64_t n = 40) {
    scout_job* job = nullptr;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_job_submit(session_, Tokens(n).data(), n, &o, &job, &error), SCOUT_OK)
        << scout_error_message(error);
    scout_error_free(error);
    return job;
  }
  static scout_event Event() {
    scout_event event{};
    event.struct_size = sizeof event;
    return event;
  }
  struct Seen {
    std::vector<int32_t> tokens;
    std::string text;
    int progress = 0;
    scout_event end = {};
  };
  static Seen ReadAll(scout_job* job) {
    Seen seen;
    for (;;) {
      scout_event e = Event();
      EXPECT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
      if (e.kind == SCOUT_EVENT_PROGRESS) {
        ++seen.progress;
        EXPECT_LE(e.done, e.total);
        EXPECT_GE(e.seconds_left, 0);
      }
      if (e.kind == SCOUT_EVENT_TOKEN) seen.tokens.push_back(e.token);
      if (e.kind == SCOUT_EVENT_TOKEN || e.kind == SCOUT_EVENT_DONE) {
        EXPECT_EQ(e.text[e.text_bytes], 0);
        seen.text.append(e.text, static_cast<size_t>(e.text_bytes));
      }
      if (e.kind == SCOUT_EVENT_DONE || e.kind == SCOUT_EVENT_ERROR) {
        seen.end = e;
        EXPECT_EQ(scout_job_poll(job, 0, &e, nullptr), SCOUT_INVALID_STATE);
        EXPECT_EQ(scout_job_state(job), SCOUT_JOB_OVER);
        return seen;
      }
    }
  }
  // An answer to Tokens(40) in jobs of so many tokens each, the rest in the last; ends where one
  // ends otherwise than by MAX_TOKENS.
  Seen InPieces(const std::vector<int64_t>& pieces, scout_job_options o) {
    Seen all;
    const int64_t whole = o.max_new_tokens;
    for (size_t i = 0; i <= pieces.size(); ++i) {
      if (i > 0) o.flags |= SCOUT_JOB_APPEND;
      const auto drawn = static_cast<int64_t>(all.tokens.size());
      o.max_new_tokens = i < pieces.size() ? pieces[i] : whole - drawn;
      scout_job* job = Submit(o, i == 0 ? 40 : 0);
      const Seen seen = ReadAll(job);
      scout_job_free(job);
      all.tokens.insert(all.tokens.end(), seen.tokens.begin(), seen.tokens.end());
      all.text += seen.text;
      all.end = seen.end;
      if (seen.end.reason != SCOUT_DONE_MAX_TOKENS) break;
    }
    return all;
  }
  // Without what Flush makes of half a character at the end, which gives no text in a job.
  std::string TextOf(const std::vector<int32_t>& ids) {
    scout_tokenizer* t = nullptr;
    scout_detokenizer* d = nullptr;
    EXPECT_EQ(scout_model_tokenizer(model_, &t, nullptr), SCOUT_OK);
    EXPECT_EQ(scout_detokenizer_create(t, SCOUT_DECODE_SKIP_SPECIAL, &d, nullptr), SCOUT_OK);
    std::string text;
    const char* piece = nullptr;
    int64_t n = 0;
    for (int32_t id : ids) {
      if (scout_detokenizer_push(d, id, &piece, &n, nullptr) == SCOUT_OK) {
        text.append(piece, static_cast<size_t>(n));
      }
    }
    scout_detokenizer_free(d);
    scout_tokenizer_free(t);
    return text;
  }

  scout_model* model_ = nullptr;
  scout_engine_options engine_options_;
  scout_engine* engine_ = nullptr;
  scout_session* session_ = nullptr;
};

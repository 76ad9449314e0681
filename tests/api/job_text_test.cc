// The text of an answer that is drawn in several jobs.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/api/jobs.h"

namespace {

// Draws exactly `ids`, a job each, and gives what they said.
std::string Forced(scout_session* session, const std::vector<int32_t>& ids, const char* stop,
                   int32_t* last_reason) {
  std::string text;
  for (const int32_t id : ids) {
    scout_sampling_options sampling;
    scout_sampling_options_init(&sampling);
    const scout_logit_bias bias{id, 1e9f};
    sampling.logit_bias = &bias;
    sampling.n_logit_bias = 1;
    scout_job_options o;
    scout_job_options_init(&o);
    o.flags = SCOUT_JOB_APPEND;
    o.max_new_tokens = 1;
    o.sampling = &sampling;
    o.stop_strings = &stop;
    o.n_stop_strings = stop == nullptr ? 0 : 1;
    scout_job* job = nullptr;
    EXPECT_EQ(scout_job_submit(session, nullptr, 0, &o, &job, nullptr), SCOUT_OK);
    for (;;) {
      scout_event e{};
      e.struct_size = sizeof e;
      EXPECT_EQ(scout_job_poll(job, -1, &e, nullptr), SCOUT_OK);
      EXPECT_TRUE(e.kind != SCOUT_EVENT_TOKEN || e.token == id);
      if (e.kind == SCOUT_EVENT_TOKEN || e.kind == SCOUT_EVENT_DONE) {
        text.append(e.text, static_cast<size_t>(e.text_bytes));
      }
      if (e.kind < SCOUT_EVENT_DONE) continue;
      *last_reason = e.reason;
      break;
    }
    scout_job_free(job);
    if (*last_reason != SCOUT_DONE_MAX_TOKENS) break;
  }
  return text;
}

class JobText : public Jobs {
 protected:
  std::vector<int32_t> Encode(const std::string& text) {
    scout_tokenizer* t = nullptr;
    EXPECT_EQ(scout_model_tokenizer(model_, &t, nullptr), SCOUT_OK);
    std::vector<int32_t> ids(text.size() + 1);
    int64_t n = 0;
    EXPECT_EQ(scout_tokenizer_encode(t, text.data(), static_cast<int64_t>(text.size()), 0,
                                     ids.data(), static_cast<int64_t>(ids.size()), &n, nullptr),
              SCOUT_OK);
    ids.resize(static_cast<size_t>(n));
    scout_tokenizer_free(t);
    return ids;
  }
};

TEST_F(JobText, ACharacterComesWholeHoweverManyJobsDrawIt) {
  const std::string text = "a \xF0\x9F\xA6\x84 b\xC3\xB6 \xE2\x82\xAC.";
  const std::vector<int32_t> ids = Encode(text);
  ASSERT_GT(ids.size(), 8u);  // some characters have several tokens
  const int32_t first = 5;
  ASSERT_EQ(scout_session_prefill(session_, &first, 1, nullptr, nullptr, nullptr), SCOUT_OK);
  int32_t reason = 0;
  EXPECT_EQ(Forced(session_, ids, nullptr, &reason), text);
  // What is held is what counts: after a rewind into the character, in a fork.
  for (int64_t cut = 1; cut < static_cast<int64_t>(ids.size()); ++cut) {
    ASSERT_EQ(scout_session_rewind(session_, 1, nullptr), SCOUT_OK);
    const std::string before = Forced(session_, ids, nullptr, &reason);
    ASSERT_EQ(scout_session_rewind(session_, 1 + cut, nullptr), SCOUT_OK);
    scout_session* fork = nullptr;
    ASSERT_EQ(scout_session_fork(session_, 0, &fork, nullptr), SCOUT_OK);
    const std::string rest = Forced(fork, {ids.begin() + cut, ids.end()}, nullptr, &reason);
    EXPECT_EQ(rest, Forced(session_, {ids.begin() + cut, ids.end()}, nullptr, &reason));
    const std::string begun = TextOf({ids.begin(), ids.begin() + cut});
    EXPECT_EQ(begun + rest, text);
    scout_session_free(fork);
  }
  // Half a character at the end of the answer itself can never become one.
  std::vector<int32_t> half = Encode("a \xF0\x9F\xA6\x84");
  half.pop_back();
  ASSERT_EQ(scout_session_rewind(session_, 1, nullptr), SCOUT_OK);
  EXPECT_EQ(Forced(session_, half, nullptr, &reason), "a ");
  scout_tokenizer* t = nullptr;
  ASSERT_EQ(scout_model_tokenizer(model_, &t, nullptr), SCOUT_OK);
  const int32_t end = scout_tokenizer_find(t, "<|eot|>");
  scout_tokenizer_free(t);
  ASSERT_GE(end, 0);
  EXPECT_EQ(Forced(session_, {end}, nullptr, &reason), "\xEF\xBF\xBD");
  EXPECT_EQ(reason, SCOUT_DONE_END_TOKEN);
}

TEST_F(JobText, TheSameAnswerInOneJobAndInTwo) {
  scout_job* job = Submit(Options());
  const Seen whole = ReadAll(job);
  scout_job_free(job);
  for (int64_t cut = 1; cut < 24; ++cut) {
    const Seen seen = InPieces({cut}, Options());
    EXPECT_EQ(seen.tokens, whole.tokens) << cut;
    EXPECT_EQ(seen.text, whole.text) << cut;
  }
}

TEST_F(JobText, AStopStringIsFoundAcrossJobs) {
  const std::string text = "The capital of all";
  const std::vector<int32_t> ids = Encode(text);
  ASSERT_GT(ids.size(), 5u);
  const int32_t first = 5;
  ASSERT_EQ(scout_session_prefill(session_, &first, 1, nullptr, nullptr, nullptr), SCOUT_OK);
  int32_t reason = 0;
  // All that could be the beginning came out with the final event of each job, nothing behind.
  EXPECT_EQ(Forced(session_, ids, "capital of", &reason).rfind("The capita", 0), 0u);
  EXPECT_EQ(reason, SCOUT_DONE_STOP_STRING);
  int64_t n = 0;
  ASSERT_EQ(scout_session_tokens(session_, nullptr, 0, &n, nullptr), SCOUT_BUFFER_TOO_SMALL);
  const int64_t held = n - 1;
  ASSERT_LT(held, static_cast<int64_t>(ids.size()));
  const std::string until = TextOf({ids.begin(), ids.begin() + held});
  EXPECT_NE(until.find("capital of"), std::string::npos);
  EXPECT_EQ(TextOf({ids.begin(), ids.begin() + held - 1}).find("capital of"), std::string::npos);
  // The answer goes on behind it: that stop string is done with, the next is found.
  const std::vector<int32_t> more = Encode(" and the capital of some");
  EXPECT_NE(Forced(session_, more, "capital of", &reason).find(" and the "), std::string::npos);
  EXPECT_EQ(reason, SCOUT_DONE_STOP_STRING);
  // What the prompt ends with begins nothing.
  const std::vector<int32_t> prompt = Encode("The capital");
  ASSERT_EQ(scout_session_sync(session_, prompt.data(), static_cast<int64_t>(prompt.size()),
                               nullptr, nullptr, nullptr),
            SCOUT_OK);
  EXPECT_EQ(Forced(session_, Encode(" of all"), "capital of", &reason), " of all");
  EXPECT_EQ(reason, SCOUT_DONE_MAX_TOKENS);
}

TEST_F(JobText, AStopStringIsFoundWhereverTheBorderIs) {
  scout_job* job = Submit(Options());
  const Seen whole = ReadAll(job);
  scout_job_free(job);
  size_t at = whole.text.size() / 2;
  while ((whole.text[at] & 0xC0) == 0x80) ++at;
  size_t end = std::min(at + 9, whole.text.size());
  while (end < whole.text.size() && (whole.text[end] & 0xC0) == 0x80) ++end;
  const std::string stop = whole.text.substr(at, end - at);
  const char* stops[] = {stop.c_str()};
  scout_job_options o = Options();
  o.stop_strings = stops;
  o.n_stop_strings = 1;
  const Seen want = InPieces({}, o);
  ASSERT_EQ(want.end.reason, SCOUT_DONE_STOP_STRING);
  ASSERT_EQ(want.text, whole.text.substr(0, whole.text.find(stop)));
  for (int64_t a = 1; a < 24; a += 2) {
    for (int64_t b = 1; b < 4; ++b) {
      const Seen seen = InPieces({a, b}, o);
      EXPECT_EQ(seen.tokens, want.tokens) << a << " " << b;
      // What was out when a job ended, and no more.
      EXPECT_EQ(seen.text.rfind(want.text, 0), 0u) << a << " " << b;
      EXPECT_EQ(whole.text.rfind(seen.text, 0), 0u) << a << " " << b;
      EXPECT_LT(seen.text.size(), want.text.size() + stop.size()) << a << " " << b;
    }
  }
}

}  // namespace

// Jobs of dialogs.
#include "tests/api/jobs.h"

namespace {

TEST_F(Jobs, ADialogIsItsTokens) {
  scout_chat_message messages[3] = {};
  for (scout_chat_message& m : messages) {
    m.struct_size = sizeof m;
    m.content_bytes = SCOUT_KEEP;
  }
  messages[0].role = messages[2].role = "user";
  messages[1].role = "assistant";
  messages[0].content = "one two <|eot|> three, four and five, six and seven, eight and nine, ten";
  messages[1].content = "four";
  messages[2].content = "five";
  scout_chat_options chat;
  scout_chat_options_init(&chat);
  chat.messages = messages;
  const auto encoded = [&] {
    scout_tokenizer* t = nullptr;
    EXPECT_EQ(scout_model_tokenizer(model_, &t, nullptr), SCOUT_OK);
    std::vector<int32_t> ids(1000);
    int64_t n = 0;
    EXPECT_EQ(scout_tokenizer_chat(t, &chat, ids.data(), 1000, &n, nullptr), SCOUT_OK);
    ids.resize(static_cast<size_t>(n));
    scout_tokenizer_free(t);
    return ids;
  };
  scout_job_options o = Options();
  for (const int64_t n_messages : {1, 3}) {
    chat.n_messages = n_messages;
    const std::vector<int32_t> ids = encoded();
    scout_session* other = NewSession();
    scout_job *job = nullptr, *plain = nullptr;
    ASSERT_EQ(scout_job_submit_chat(session_, &chat, &o, &job, nullptr), SCOUT_OK);
    ASSERT_EQ(
        scout_job_submit(other, ids.data(), static_cast<int64_t>(ids.size()), &o, &plain, nullptr),
        SCOUT_OK);
    const Seen seen = ReadAll(job), want = ReadAll(plain);
    EXPECT_EQ(seen.tokens, want.tokens);
    EXPECT_EQ(seen.end.kept + seen.end.computed, static_cast<int64_t>(ids.size()));
    // The second dialog begins as the first: header and user's turn are there.
    if (n_messages == 3) {
      EXPECT_GE(seen.end.kept, 32);  // whole chunks
    }
    scout_job_free(job);
    scout_job_free(plain);
    scout_session_free(other);
  }
  const int64_t position = scout_session_position(session_);
  const auto refused = [&](scout_status code, const char* part) {
    static char not_null;
    auto* job = reinterpret_cast<scout_job*>(&not_null);
    scout_error* error = nullptr;
    EXPECT_EQ(scout_job_submit_chat(session_, &chat, &o, &job, &error), code);
    EXPECT_EQ(job, nullptr);
    EXPECT_NE(std::string(scout_error_message(error)).find(part), std::string::npos)
        << scout_error_message(error);
    scout_error_free(error);
  };
  o.flags |= SCOUT_JOB_APPEND;
  refused(SCOUT_INVALID_ARGUMENT, "SCOUT_JOB_APPEND");
  o.flags = 0;
  messages[2].role = "nobody";
  refused(SCOUT_INVALID_ARGUMENT, "nobody");
  messages[2].role = nullptr;
  refused(SCOUT_INVALID_ARGUMENT, "messages[2]");
  EXPECT_EQ(scout_session_position(session_), position);
  scout_job* job = nullptr;
  EXPECT_EQ(scout_job_submit_chat(session_, nullptr, &o, &job, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_submit_chat(session_, &chat, &o, nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_job_submit_chat(nullptr, &chat, &o, &job, nullptr), SCOUT_INVALID_ARGUMENT);
}

}  // namespace

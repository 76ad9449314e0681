// Answers as jobs give them: where the printed times come from. SPDX-License-Identifier: Apache-2.0
#include "tools/answer.h"

#include <gtest/gtest.h>

#include "tests/tools/run_command.h"

namespace {
scout_event last_done = {};
}  // namespace

// The link of this program puts it in place of scout_job_poll.
extern "C" scout_status __real_scout_job_poll(scout_job*, int64_t, scout_event*, scout_error**);
extern "C" scout_status __wrap_scout_job_poll(scout_job* job, int64_t timeout_ms,
                                              scout_event* event, scout_error** error) {
  const scout_status status = __real_scout_job_poll(job, timeout_ms, event, error);
  if (event->kind == SCOUT_EVENT_DONE) last_done = *event;
  return status;
}

namespace scout::tool_test {
namespace {

TEST(Answer, TimesAreTheEnginesOwn) {
  scout_model* model = nullptr;
  scout_engine* engine = nullptr;
  scout_session* session = nullptr;
  ASSERT_EQ(scout_model_load(TinyModel().c_str(), nullptr, &model, nullptr), SCOUT_OK);
  ASSERT_EQ(scout_engine_create(model, nullptr, &engine, nullptr), SCOUT_OK);
  ASSERT_EQ(scout_session_create(engine, nullptr, &session, nullptr), SCOUT_OK);
  const int32_t prompt[] = {1, 2, 3};
  ASSERT_EQ(scout_session_prefill(session, prompt, 3, nullptr, nullptr, nullptr), SCOUT_OK);
  scout_sampling_options sampling;
  scout_sampling_options_init(&sampling);
  tool::Answer answer;
  EXPECT_FALSE(tool::StreamAnswer(session, sampling, 8, true, {}, nullptr, &answer));
  EXPECT_EQ(answer.tokens, 8);
  EXPECT_EQ(answer.seconds, last_done.seconds_decode);
  EXPECT_GT(answer.seconds, 0);
  EXPECT_EQ(answer.first, last_done.seconds_queued + last_done.seconds_prefill);
  scout_session_free(session);
  scout_engine_free(engine);
  scout_model_free(model);
}

}  // namespace
}  // namespace scout::tool_test

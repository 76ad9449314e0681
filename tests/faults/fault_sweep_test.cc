// Fails every allocation, every read and every thread creation once, each in a process of its own,
// over load, prefill, fork, decode, text and description. Every run must end in an error code (or
// not need the call that failed), leak nothing, and give the right tokens when it is tried again.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "include/scout.h"
#include "tests/faults/injector.h"

namespace {

using faults::Kind;

constexpr int kClean = 10, kNotNeeded = 11, kNeverReached = 12;  // exit codes of a child
constexpr int kNoMessage = 20, kWrongTokens = 21, kLeak = 22, kRetryFailed = 23;

struct Outcome {
  scout_status status = SCOUT_OK;
  bool has_message = true;
  int32_t tokens[6] = {};
  int32_t job_tokens[5] = {};
  bool in_event = false;  // the status came with the job's final event
};

// A job with everything that allocates, read to its end. What failed inside it is an event.
scout_status RunJob(scout_session* session, const int32_t* prompt, Outcome* out,
                    scout_error** error) {
  const char* const stops[] = {"\x01 never"};
  const int64_t row = 37;
  scout_job_options o;
  scout_job_options_init(&o);
  o.flags = SCOUT_JOB_IGNORE_END;
  o.max_new_tokens = 5;
  o.stop_strings = stops;
  o.n_stop_strings = 1;
  o.logit_rows = &row;
  o.n_logit_rows = 1;
  o.top_logprobs = 3;
  scout_job* job = nullptr;
  scout_status s = scout_session_rewind(session, 0, error);
  if (s == SCOUT_OK) s = scout_job_submit(session, prompt, 40, &o, &job, error);
  scout_event event{};
  event.struct_size = sizeof event;
  int n = 0;
  while (s == SCOUT_OK && event.kind != SCOUT_EVENT_DONE) {
    s = scout_job_poll(job, -1, &event, error);
    if (s == SCOUT_OK && event.kind == SCOUT_EVENT_TOKEN && n < 5)
      out->job_tokens[n++] = event.token;
    if (s == SCOUT_OK && event.kind == SCOUT_EVENT_ERROR) {
      s = scout_error_code(event.error);
      out->has_message = scout_error_message(event.error)[0] != 0;
      out->in_event = true;
      break;
    }
  }
  scout_job_free(job);
  return s;
}

// Text to ids, a dialog, ids to text as a stream, the model's description.
scout_status Text(scout_model* model, const int32_t* tokens, int64_t n_tokens,
                  scout_error** error) {
  scout_tokenizer* tokenizer = nullptr;
  scout_detokenizer* detokenizer = nullptr;
  static char json[20000];
  int32_t ids[200];
  int64_t n = 0;
  const char text[] = "The 12 w\xC3\xB6rds \xFF in it's line.";
  const scout_tool_call call = {sizeof call, 0, "f", "{\"a\": [1, \"b\"]}", SCOUT_KEEP};
  const scout_chat_message messages[] = {
      {sizeof messages[0], 0, "user", text, SCOUT_KEEP, nullptr, 0},
      {sizeof messages[0], 0, "assistant", "", SCOUT_KEEP, &call, 1}};
  scout_chat_options chat;
  scout_chat_options_init(&chat);
  chat.messages = messages;
  chat.n_messages = 2;
  scout_tool_parser_options parsing;
  scout_tool_parser_options_init(&parsing);
  parsing.tools = "[{\"name\": \"f\"}]";
  scout_tool_parser* parser = nullptr;
  scout_status s = scout_model_describe(model, json, sizeof json, &n, error);
  if (s == SCOUT_OK) s = scout_model_tokenizer(model, &tokenizer, error);
  if (s == SCOUT_OK) {
    s = scout_tokenizer_encode(tokenizer, text, sizeof text - 1, SCOUT_ENCODE_BOS, ids, 200, &n,
                               error);
  }
  if (s == SCOUT_OK) s = scout_tokenizer_chat(tokenizer, &chat, ids, 200, &n, error);
  if (s == SCOUT_OK) s = scout_detokenizer_create(tokenizer, 0, &detokenizer, error);
  const char* piece = nullptr;
  for (int64_t i = 0; i < n_tokens && s == SCOUT_OK; ++i) {
    s = scout_detokenizer_push(detokenizer, tokens[i], &piece, &n, error);
  }
  if (s == SCOUT_OK) s = scout_detokenizer_flush(detokenizer, &piece, &n, error);
  if (s == SCOUT_OK) s = scout_tool_parser_create(&parsing, &parser, error);
  const char calls[] = "Well: [f(a=[1, 'b'])] <";
  if (s == SCOUT_OK) s = scout_tool_parser_push(parser, calls, sizeof calls - 1, error);
  if (s == SCOUT_OK) s = scout_tool_parser_finish(parser, error);
  scout_tool_event event = {};
  event.struct_size = sizeof event;
  do {
    if (s == SCOUT_OK) s = scout_tool_parser_next(parser, &event, error);
  } while (s == SCOUT_OK && event.kind != SCOUT_TOOL_NONE);
  scout_tool_parser_free(parser);
  scout_detokenizer_free(detokenizer);
  scout_tokenizer_free(tokenizer);
  return s;
}

// The whole way of a program. Everything is freed.
// Threads that load; more than one in the sweeps that do not count allocations, whose number then
// depends on who does what.
int64_t load_threads = 1;

Outcome Scenario(const char* path) {
  Outcome out;
  scout_error* error = nullptr;
  scout_model* model = nullptr;
  scout_engine* engine = nullptr;
  scout_session* session = nullptr;
  scout_session* fork = nullptr;
  scout_engine_options eo;
  scout_engine_options_init(&eo);
  eo.n_threads = 3;
  eo.page_tokens = 16;
  eo.max_step_tokens = 16;
  eo.kv_tokens = 512;
  eo.max_sessions = 3;
  scout_session_options so;
  scout_session_options_init(&so);
  so.max_tokens = 100;
  int32_t prompt[40];
  for (int i = 0; i < 40; ++i) prompt[i] = (i * 29 + 5) % 200;

  scout_model_options mo;
  scout_model_options_init(&mo);
  mo.n_threads = load_threads;
  out.status = scout_model_load(path, &mo, &model, &error);
  if (out.status == SCOUT_OK) out.status = scout_engine_create(model, &eo, &engine, &error);
  if (out.status == SCOUT_OK) out.status = scout_session_create(engine, &so, &session, &error);
  if (out.status == SCOUT_OK) {
    out.status = scout_session_prefill(session, prompt, 40, nullptr, nullptr, &error);
  }
  if (out.status == SCOUT_OK) out.status = scout_session_fork(session, 0, &fork, &error);
  for (int i = 0; i < 6 && out.status == SCOUT_OK; ++i) {
    out.status = scout_session_decode(fork, nullptr, &out.tokens[i], &error);
  }
  if (out.status == SCOUT_OK) {
    out.status = RunJob(session, prompt, &out, &error);
    // The engine goes on after a job that failed.
    if (out.in_event) {
      Outcome again;
      if (out.status != SCOUT_OUT_OF_MEMORY ||
          RunJob(session, prompt, &again, nullptr) != SCOUT_OK) {
        out.has_message = false;
      }
    } else if (out.status == SCOUT_OK) {
      out.status = Text(model, out.tokens, 6, &error);
    }
  }
  if (out.status != SCOUT_OK && !out.in_event) {
    out.has_message = error != nullptr && scout_error_code(error) == out.status &&
                      scout_error_message(error)[0] != 0;
  }
  scout_error_free(error);
  scout_session_free(fork);
  scout_session_free(session);
  scout_engine_free(engine);
  scout_model_free(model);
  return out;
}

// In the child: the scenario with the n-th call failing, then again without.
int Child(const char* path, Kind kind, int64_t n, const Outcome& expected, int64_t live_after) {
  faults::Arm(kind, n);
  const Outcome faulty = Scenario(path);
  faults::Arm(kind, 0);
  if (!faults::Fired()) return kNeverReached;
  if (faulty.status != SCOUT_OK && !faulty.has_message) return kNoMessage;
  if (faulty.status == SCOUT_OK &&
      (std::memcmp(faulty.tokens, expected.tokens, sizeof faulty.tokens) != 0 ||
       std::memcmp(faulty.job_tokens, expected.job_tokens, sizeof faulty.job_tokens) != 0)) {
    return kWrongTokens;
  }
  const Outcome again = Scenario(path);
  if (again.status != SCOUT_OK) return kRetryFailed;
  if (std::memcmp(again.tokens, expected.tokens, sizeof again.tokens) != 0) return kWrongTokens;
  if (faults::LiveBlocks() > live_after) return kLeak;
  return faulty.status == SCOUT_OK ? kNotNeeded : kClean;
}

struct Sweep {
  Kind kind;
  const char* name;
  const char* model;
};

void RunSweep(const Sweep& sweep, int64_t stride) {
  const std::string path = std::string(SCOUT_SOURCE_DIR "/tests/golden/") + sweep.model;
  load_threads = sweep.kind == Kind::kAllocation ? 1 : 3;
  // Twice, so that what the C library and protobuf keep for the process is there already.
  Outcome expected = Scenario(path.c_str());
  ASSERT_EQ(expected.status, SCOUT_OK);
  faults::Arm(sweep.kind, 0);
  const int64_t live_before = faults::LiveBlocks();
  expected = Scenario(path.c_str());
  const int64_t total = faults::Calls(sweep.kind);
  ASSERT_EQ(faults::LiveBlocks(), live_before) << "the scenario itself leaks";
  ASSERT_GT(total, 0);

  int64_t clean = 0, not_needed = 0, n = 1;
  std::vector<std::string> bad;
  // Two children at a time; the sweep goes on past `total` until a run no longer reaches its fault.
  bool reached = true;
  while (reached) {
    pid_t pids[2];
    int64_t numbers[2];
    for (int i = 0; i < 2; ++i, n += stride) {
      numbers[i] = n;
      pids[i] = fork();
      ASSERT_GE(pids[i], 0);
      if (pids[i] == 0) {
        alarm(120);
        std::exit(Child(path.c_str(), sweep.kind, n, expected, live_before));
      }
    }
    for (int i = 0; i < 2; ++i) {
      int status = 0;
      ASSERT_EQ(waitpid(pids[i], &status, 0), pids[i]);
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
      if (code == kClean)
        ++clean;
      else if (code == kNotNeeded)
        ++not_needed;
      else if (code == kNeverReached)
        reached = false;
      else
        bad.push_back("call " + std::to_string(numbers[i]) + ": " + std::to_string(code));
    }
    ASSERT_LT(bad.size(), 20u) << bad[0] << ", " << bad[1] << " and more";
  }
  std::printf("%s over %s: %lld calls, every %lld-th failed: %lld clean errors, %lld not needed\n",
              sweep.name, sweep.model, static_cast<long long>(total),
              static_cast<long long>(stride), static_cast<long long>(clean),
              static_cast<long long>(not_needed));
  EXPECT_TRUE(bad.empty()) << bad.size() << " bad, the first: " << bad[0];
  EXPECT_GT(clean, 0);
  EXPECT_GE((clean + not_needed) * stride + stride, total) << "the sweep ended early";
}

const Sweep kSweeps[] = {
    {Kind::kAllocation, "allocations", "faults/hf"},
    {Kind::kAllocation, "allocations", "faults/tiny.gguf"},
    {Kind::kRead, "reads", "faults/hf"},
    {Kind::kRead, "reads", "faults/tiny.gguf"},
    {Kind::kThread, "thread creations", "faults/tiny.gguf"},
    {Kind::kRead, "reads", "quant-mixed"},
    {Kind::kRead, "reads", "quant-awq"},
};

class FaultSweep : public testing::TestWithParam<Sweep> {};
TEST_P(FaultSweep, EveryRunEndsInACleanError) {
#if defined(__SANITIZE_ADDRESS__)
  // A leak check per child is slow: a sample here, every call in `./check --full`.
  RunSweep(GetParam(), GetParam().kind == Kind::kAllocation ? 23 : 1);
#else
  RunSweep(GetParam(), 1);
#endif
}
INSTANTIATE_TEST_SUITE_P(All, FaultSweep, testing::ValuesIn(kSweeps), [](const auto& info) {
  std::string name = std::string(info.param.name) + "_" + info.param.model;
  for (char& c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) c = '_';
  }
  return name;
});

class FullFaultSweep : public testing::TestWithParam<Sweep> {};
TEST_P(FullFaultSweep, EveryCall) { RunSweep(GetParam(), 1); }
INSTANTIATE_TEST_SUITE_P(All, FullFaultSweep, testing::Values(kSweeps[0], kSweeps[1]),
                         [](const auto& info) { return info.index == 0 ? "hf" : "gguf"; });

}  // namespace

// The C edge: NULLs, option structs of other sizes, error objects, lifetimes, busy, reentrant,
// fork.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "include/scout.h"

namespace {

const char kModel[] = SCOUT_SOURCE_DIR "/tests/golden/scout-tiny-bf16";

struct Handles {
  scout_model* model = nullptr;
  scout_engine* engine = nullptr;
  scout_session* session = nullptr;
};

Handles Open(int32_t max_tokens = 256) {
  Handles h;
  scout_error* error = nullptr;
  EXPECT_EQ(scout_model_load(kModel, nullptr, &h.model, &error), SCOUT_OK)
      << scout_error_message(error);
  scout_engine_options eo;
  scout_engine_options_init(&eo);
  eo.n_threads = 2;
  eo.max_step_tokens = 16;
  EXPECT_EQ(scout_engine_create(h.model, &eo, &h.engine, &error), SCOUT_OK)
      << scout_error_message(error);
  scout_session_options so;
  scout_session_options_init(&so);
  so.max_tokens = max_tokens;
  EXPECT_EQ(scout_session_create(h.engine, &so, &h.session, &error), SCOUT_OK)
      << scout_error_message(error);
  return h;
}

void Close(const Handles& h) {
  scout_session_free(h.session);
  scout_engine_free(h.engine);
  scout_model_free(h.model);
}

std::string TakeMessage(scout_error* error) {
  std::string message = scout_error_message(error);
  scout_error_free(error);
  return message;
}

std::vector<int32_t> Tokens(int64_t n) {
  std::vector<int32_t> t(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) t[i] = static_cast<int32_t>((i * 37 + 11) % 900);
  return t;
}

TEST(Version, NumberAndTextAgree) {
  EXPECT_EQ(scout_version(), 9000u);
  EXPECT_STREQ(scout_version_string(), "0.9.0");
}

TEST(Error, NullHasNeutralAccessors) {
  EXPECT_EQ(scout_error_code(nullptr), SCOUT_OK);
  EXPECT_STREQ(scout_error_message(nullptr), "");
  EXPECT_STREQ(scout_error_file(nullptr), "");
  EXPECT_STREQ(scout_error_tensor(nullptr), "");
  EXPECT_EQ(scout_error_offset(nullptr), -1);
  scout_error_free(nullptr);
}

TEST(Error, StatusNames) {
  for (scout_status s = SCOUT_OK; s <= SCOUT_QUEUE_FULL; ++s) {
    EXPECT_STRNE(scout_status_name(s), "SCOUT_UNKNOWN") << s;
  }
  EXPECT_STREQ(scout_status_name(SCOUT_CORRUPT), "SCOUT_CORRUPT");
  EXPECT_STREQ(scout_status_name(SCOUT_BUFFER_TOO_SMALL), "SCOUT_BUFFER_TOO_SMALL");
  EXPECT_STREQ(scout_status_name(-1), "SCOUT_UNKNOWN");
  EXPECT_STREQ(scout_status_name(SCOUT_QUEUE_FULL + 1), "SCOUT_UNKNOWN");
}

TEST(Error, AMissingModelIsNotFoundAndNamesThePath) {
  scout_model* model = reinterpret_cast<scout_model*>(1);
  scout_error* error = nullptr;
  EXPECT_EQ(scout_model_load("/no/such/model", nullptr, &model, &error), SCOUT_NOT_FOUND);
  EXPECT_EQ(model, nullptr);
  EXPECT_EQ(scout_error_code(error), SCOUT_NOT_FOUND);
  const std::string all = std::string(scout_error_message(error)) + scout_error_file(error);
  EXPECT_NE(all.find("/no/such/model"), std::string::npos) << all;
  scout_error_free(error);
  EXPECT_EQ(scout_model_load("/no/such/model", nullptr, &model, nullptr), SCOUT_NOT_FOUND);
}

TEST(Error, SuccessClearsTheErrorPointer) {
  auto* error = reinterpret_cast<scout_error*>(1);
  scout_model_options o;
  scout_model_options_init(&o);
  o.flags = SCOUT_MODEL_METADATA_ONLY;
  scout_model* model = nullptr;
  ASSERT_EQ(scout_model_load(kModel, &o, &model, &error), SCOUT_OK);
  EXPECT_EQ(error, nullptr);
  scout_engine* engine = nullptr;
  EXPECT_EQ(scout_engine_create(model, nullptr, &engine, &error), SCOUT_INVALID_STATE);
  EXPECT_NE(TakeMessage(error).find("METADATA_ONLY"), std::string::npos);
  scout_model_free(model);
}

TEST(Nulls, EveryFunctionTakesThem) {
  scout_model* model = nullptr;
  scout_engine* engine = nullptr;
  scout_session* session = nullptr;
  scout_tokenizer* tokenizer = nullptr;
  scout_detokenizer* detokenizer = nullptr;
  int64_t n = 0;
  int32_t token = 0;
  float logits = 0;
  const char* text = nullptr;
  scout_model_options_init(nullptr);
  scout_engine_options_init(nullptr);
  scout_session_options_init(nullptr);
  scout_prefill_options_init(nullptr);
  scout_sampling_options_init(nullptr);
  scout_chat_options_init(nullptr);
  scout_tool_parser_options_init(nullptr);
  const scout_status results[] = {
      scout_model_load(nullptr, nullptr, &model, nullptr),
      scout_model_load(kModel, nullptr, nullptr, nullptr),
      scout_model_get_info(nullptr, nullptr, nullptr),
      scout_model_describe(nullptr, nullptr, 0, &n, nullptr),
      scout_model_tokenizer(nullptr, &tokenizer, nullptr),
      scout_tokenizer_load(nullptr, &tokenizer, nullptr),
      scout_tokenizer_load(kModel, nullptr, nullptr),
      scout_tokenizer_encode(nullptr, "a", 1, 0, &token, 1, &n, nullptr),
      scout_tokenizer_decode(nullptr, &token, 1, 0, nullptr, 0, &n, nullptr),
      scout_tokenizer_chat(nullptr, nullptr, nullptr, 0, &n, nullptr),
      scout_tool_parser_create(nullptr, nullptr, nullptr),
      scout_tool_parser_push(nullptr, "a", 1, nullptr),
      scout_tool_parser_finish(nullptr, nullptr),
      scout_tool_parser_next(nullptr, nullptr, nullptr),
      scout_detokenizer_create(nullptr, 0, &detokenizer, nullptr),
      scout_detokenizer_push(nullptr, 0, &text, &n, nullptr),
      scout_detokenizer_flush(nullptr, &text, &n, nullptr),
      scout_engine_create(nullptr, nullptr, &engine, nullptr),
      scout_engine_get_stats(nullptr, nullptr, nullptr),
      scout_session_create(nullptr, nullptr, &session, nullptr),
      scout_session_prefill(nullptr, &token, 1, nullptr, nullptr, nullptr),
      scout_session_sync(nullptr, &token, 1, nullptr, nullptr, nullptr),
      scout_session_rewind(nullptr, 0, nullptr),
      scout_session_fork(nullptr, 0, &session, nullptr),
      scout_session_tokens(nullptr, &token, 1, &n, nullptr),
      scout_session_logits(nullptr, &logits, 1, nullptr),
      scout_session_decode(nullptr, nullptr, &token, nullptr)};
  for (size_t i = 0; i < std::size(results); ++i)
    EXPECT_EQ(results[i], SCOUT_INVALID_ARGUMENT) << i;
  EXPECT_EQ(scout_session_position(nullptr), 0);
  EXPECT_EQ(scout_session_max_tokens(nullptr), 0);
  EXPECT_EQ(scout_tokenizer_vocab_size(nullptr), 0);
  EXPECT_EQ(scout_tokenizer_is_end(nullptr, 0), 0);
  EXPECT_EQ(scout_tokenizer_find(nullptr, "a"), -1);
  scout_model_free(nullptr);
  scout_engine_free(nullptr);
  scout_session_free(nullptr);
  scout_tokenizer_free(nullptr);
  scout_detokenizer_free(nullptr);
  scout_tool_parser_free(nullptr);

  const Handles h = Open();
  EXPECT_EQ(scout_session_prefill(h.session, nullptr, 3, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_session_prefill(h.session, nullptr, -1, nullptr, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_session_prefill(h.session, nullptr, 0, nullptr, nullptr, nullptr), SCOUT_OK);
  const auto tokens = Tokens(4);
  EXPECT_EQ(scout_session_prefill(h.session, tokens.data(), 4, nullptr, nullptr, nullptr),
            SCOUT_OK);
  EXPECT_EQ(scout_session_decode(h.session, nullptr, nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_session_logits(h.session, nullptr, 1 << 20, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_session_tokens(h.session, nullptr, 4, &n, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_session_tokens(h.session, nullptr, 0, &n, nullptr), SCOUT_BUFFER_TOO_SMALL);
  EXPECT_EQ(n, 4);
  EXPECT_EQ(scout_session_fork(h.session, 0, nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(scout_engine_get_stats(h.engine, nullptr, nullptr), SCOUT_INVALID_ARGUMENT);
  Close(h);
}

// Options of every older size are accepted, those of a newer header where they set nothing unknown.
TEST(Options, OlderAndNewerSizes) {
  const Handles h = Open();
  alignas(8) uint8_t bytes[sizeof(scout_engine_options) + 64] = {};
  for (uint32_t size = 4; size <= sizeof bytes; size += 4) {
    std::memset(bytes, 0, sizeof bytes);
    std::memcpy(bytes, &size, sizeof size);
    scout_engine* engine = nullptr;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_engine_create(h.model, reinterpret_cast<scout_engine_options*>(bytes), &engine,
                                  &error),
              SCOUT_OK)
        << size << ": " << scout_error_message(error);
    scout_engine_free(engine);
  }
  auto status = [&](uint32_t size, size_t poke) {
    std::memset(bytes, 0, sizeof bytes);
    std::memcpy(bytes, &size, sizeof size);
    if (poke != 0) bytes[poke] = 1;
    scout_engine* engine = nullptr;
    scout_error* error = nullptr;
    const scout_status s = scout_engine_create(
        h.model, reinterpret_cast<scout_engine_options*>(bytes), &engine, &error);
    scout_engine_free(engine);
    EXPECT_EQ(s == SCOUT_OK, std::string(scout_error_message(error)).empty());
    scout_error_free(error);
    return s;
  };
  EXPECT_EQ(status(0, 0), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status(3, 0), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status(0xFFFFFFFFu, 0), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status(sizeof bytes, sizeof(scout_engine_options) + 5), SCOUT_INVALID_ARGUMENT);
  EXPECT_EQ(status(sizeof bytes, offsetof(scout_engine_options, mode)), SCOUT_OK);
  // Beyond an older struct's end the library reads nothing: here the mode would be out of range.
  EXPECT_EQ(status(4, offsetof(scout_engine_options, backend) + 3), SCOUT_OK);
  Close(h);
}

TEST(Options, ResultStructsOfAnySizeAreFilledNoFurther) {
  const Handles h = Open();
  for (uint32_t size = 4; size <= sizeof(scout_model_info); size += 4) {
    alignas(8) uint8_t bytes[sizeof(scout_model_info)];
    std::memset(bytes, 0xAB, sizeof bytes);
    std::memcpy(bytes, &size, sizeof size);
    ASSERT_EQ(scout_model_get_info(h.model, reinterpret_cast<scout_model_info*>(bytes), nullptr),
              SCOUT_OK);
    for (size_t i = size; i < sizeof bytes; ++i) ASSERT_EQ(bytes[i], 0xAB) << size << " " << i;
  }
  scout_model_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(scout_model_get_info(h.model, &info, nullptr), SCOUT_OK);
  EXPECT_EQ(info.n_layers, 8);
  EXPECT_EQ(info.n_global_layers, 2);
  EXPECT_EQ(info.vocab_size, 1024);
  EXPECT_EQ(info.attention_chunk, 32);
  info.struct_size = 0;
  EXPECT_EQ(scout_model_get_info(h.model, &info, nullptr), SCOUT_INVALID_ARGUMENT);
  Close(h);
}

TEST(Options, ANewerHeadersResultTailBecomesZero) {
  const Handles h = Open();
  struct {
    scout_engine_stats known;
    uint64_t later[2];
  } stats;
  std::memset(&stats, 0xAA, sizeof stats);
  stats.known.struct_size = sizeof stats;
  ASSERT_EQ(scout_engine_get_stats(h.engine, &stats.known, nullptr), SCOUT_OK);
  EXPECT_EQ(stats.later[0] | stats.later[1], 0u);
  EXPECT_EQ(stats.known.n_threads, 2);
  Close(h);
}

TEST(Options, ReservedFieldsMustBeZero) {
  const Handles h = Open();
  const auto tokens = Tokens(4);
  scout_session_options so;
  scout_session_options_init(&so);
  so.reserved = 1;
  scout_session* session = nullptr;
  EXPECT_EQ(scout_session_create(h.engine, &so, &session, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_prefill_options po;
  scout_prefill_options_init(&po);
  po.reserved = 1;
  EXPECT_EQ(scout_session_prefill(h.session, tokens.data(), 4, &po, nullptr, nullptr),
            SCOUT_INVALID_ARGUMENT);
  ASSERT_EQ(scout_session_prefill(h.session, tokens.data(), 4, nullptr, nullptr, nullptr),
            SCOUT_OK);
  scout_sampling_options sampling;
  scout_sampling_options_init(&sampling);
  sampling.reserved = 1;
  int32_t token = 0;
  EXPECT_EQ(scout_session_decode(h.session, &sampling, &token, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_model_options mo;
  scout_model_options_init(&mo);
  mo.reserved = 1;
  scout_model* model = nullptr;
  EXPECT_EQ(scout_model_load(kModel, &mo, &model, nullptr), SCOUT_INVALID_ARGUMENT);
  Close(h);
}

TEST(Results, AFailedPrefillLeavesThemUnwritten) {
  const Handles h = Open(8);
  const auto tokens = Tokens(40);
  scout_sync_result result;
  std::memset(&result, 0x55, sizeof result);
  result.struct_size = sizeof result;
  const scout_sync_result before = result;
  EXPECT_EQ(scout_session_prefill(h.session, tokens.data(), 40, nullptr, &result, nullptr),
            SCOUT_CAPACITY);
  EXPECT_EQ(std::memcmp(&result, &before, sizeof result), 0);
  Close(h);
}

TEST(Options, EnumsOutOfRangeAreNamed) {
  const Handles h = Open();
  for (auto field : {&scout_engine_options::mode, &scout_engine_options::backend,
                     &scout_engine_options::isa, &scout_engine_options::kv_format,
                     &scout_engine_options::n_threads, &scout_engine_options::page_tokens,
                     &scout_engine_options::max_step_tokens, &scout_engine_options::max_sessions}) {
    scout_engine_options o;
    scout_engine_options_init(&o);
    o.*field = -7;
    scout_engine* engine = nullptr;
    scout_error* error = nullptr;
    EXPECT_EQ(scout_engine_create(h.model, &o, &engine, &error), SCOUT_INVALID_ARGUMENT);
    EXPECT_NE(TakeMessage(error).find("-7"), std::string::npos);
  }
  Close(h);
}

TEST(Lifetimes, HandlesAreFreedInAnyOrder) {
  int order[] = {0, 1, 2, 3};
  do {
    Handles h = Open();
    scout_session* fork = nullptr;
    const auto tokens = Tokens(40);
    ASSERT_EQ(scout_session_prefill(h.session, tokens.data(), 40, nullptr, nullptr, nullptr),
              SCOUT_OK);
    ASSERT_EQ(scout_session_fork(h.session, 0, &fork, nullptr), SCOUT_OK);
    for (int what : order) {
      // On another thread than the one that made it.
      std::thread([&] {
        if (what == 0) scout_model_free(h.model);
        if (what == 1) scout_engine_free(h.engine);
        if (what == 2) scout_session_free(h.session);
        if (what == 3) scout_session_free(fork);
      }).join();
      int32_t token = -1;
      if (what != 2 && order[3] == 2) {
        EXPECT_EQ(scout_session_decode(h.session, nullptr, &token, nullptr), SCOUT_OK);
      }
    }
  } while (std::next_permutation(order, order + 4));
}

TEST(Busy, ASecondCallOnASessionInUseChangesNothing) {
  const Handles h = Open();
  struct Shared {
    scout_session* session;
    scout_status other = -1, same = -1;
  } shared{h.session};
  scout_prefill_options o;
  scout_prefill_options_init(&o);
  o.progress_user = &shared;
  o.progress = [](void* user, int64_t done, int64_t) -> int32_t {
    auto* s = static_cast<Shared*>(user);
    if (done > 16) return 0;
    int32_t token = 0;
    s->same = scout_session_decode(s->session, nullptr, &token, nullptr);
    std::thread([s] {
      int32_t t = 0;
      s->other = scout_session_decode(s->session, nullptr, &t, nullptr);
    }).join();
    return 0;
  };
  const auto tokens = Tokens(40);
  ASSERT_EQ(scout_session_prefill(h.session, tokens.data(), 40, &o, nullptr, nullptr), SCOUT_OK);
  EXPECT_EQ(shared.other, SCOUT_BUSY);
  EXPECT_EQ(shared.same, SCOUT_REENTRANT);
  EXPECT_EQ(scout_session_position(h.session), 40);
  Close(h);
}

TEST(Callbacks, MayUseOtherSessionsAndFreeTheirOwn) {
  Handles h = Open();
  struct Shared {
    scout_engine* engine;
    scout_session* own;
    scout_status inner = -1;
  } shared{h.engine, h.session};
  scout_prefill_options o;
  scout_prefill_options_init(&o);
  o.progress_user = &shared;
  o.progress = [](void* user, int64_t, int64_t) -> int32_t {
    auto* s = static_cast<Shared*>(user);
    if (s->own == nullptr) return 0;
    scout_session_options so;
    scout_session_options_init(&so);
    so.max_tokens = 64;
    scout_session* session = nullptr;
    EXPECT_EQ(scout_session_create(s->engine, &so, &session, nullptr), SCOUT_OK);
    const auto tokens = Tokens(20);
    s->inner = scout_session_prefill(session, tokens.data(), 20, nullptr, nullptr, nullptr);
    scout_session_free(session);
    scout_session_free(s->own);
    s->own = nullptr;
    return 0;
  };
  const auto tokens = Tokens(40);
  EXPECT_EQ(scout_session_prefill(h.session, tokens.data(), 40, &o, nullptr, nullptr), SCOUT_OK);
  EXPECT_EQ(shared.inner, SCOUT_OK);
  h.session = nullptr;
  Close(h);
}

TEST(Fork, TheChildsCallsSaySoAndItsFreesReturn) {
  const Handles h = Open();
  const auto tokens = Tokens(4);
  ASSERT_EQ(scout_session_prefill(h.session, tokens.data(), 4, nullptr, nullptr, nullptr),
            SCOUT_OK);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int32_t token = 0;
    bool good = scout_session_decode(h.session, nullptr, &token, nullptr) == SCOUT_FORKED;
    scout_session* session = nullptr;
    good = good && scout_session_create(h.engine, nullptr, &session, nullptr) == SCOUT_FORKED;
    scout_engine* engine = nullptr;
    good = good && scout_engine_create(h.model, nullptr, &engine, nullptr) == SCOUT_FORKED;
    scout_session_free(h.session);
    scout_engine_free(h.engine);
    scout_model_free(h.model);
    _exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  int32_t token = 0;
  EXPECT_EQ(scout_session_decode(h.session, nullptr, &token, nullptr), SCOUT_OK);
  Close(h);
}

TEST(Describe, GivesJsonThroughTheTwoCallPattern) {
  const Handles h = Open();
  int64_t size = 0;
  EXPECT_EQ(scout_model_describe(h.model, nullptr, 0, &size, nullptr), SCOUT_BUFFER_TOO_SMALL);
  ASSERT_GT(size, 100);
  std::string json(static_cast<size_t>(size), 0);
  ASSERT_EQ(scout_model_describe(h.model, json.data(), size, &size, nullptr), SCOUT_OK);
  EXPECT_EQ(json.front(), '{');
  EXPECT_NE(json.find("identity"), std::string::npos);
  Close(h);
}

TEST(Tokenizer, TextThereAndBackThroughTheCApi) {
  const Handles h = Open();
  scout_tokenizer* t = nullptr;
  ASSERT_EQ(scout_model_tokenizer(h.model, &t, nullptr), SCOUT_OK);
  scout_model_free(h.model);  // the tokenizer lives on
  const std::string text = "Hello, w\xC3\xB6rld! \xF0\x9F\x98\x80 12345";
  std::vector<int32_t> ids(text.size() + 1);
  int64_t n = 0;
  ASSERT_EQ(
      scout_tokenizer_encode(t, text.data(), static_cast<int64_t>(text.size()), SCOUT_ENCODE_BOS,
                             ids.data(), static_cast<int64_t>(ids.size()), &n, nullptr),
      SCOUT_OK);
  EXPECT_EQ(ids[0], scout_tokenizer_find(t, "<|begin_of_text|>"));
  std::string back(text.size(), 0);
  int64_t bytes = 0;
  ASSERT_EQ(scout_tokenizer_decode(t, ids.data(), n, SCOUT_DECODE_SKIP_SPECIAL, back.data(),
                                   static_cast<int64_t>(back.size()), &bytes, nullptr),
            SCOUT_OK);
  EXPECT_EQ(back, text);
  scout_detokenizer* d = nullptr;
  ASSERT_EQ(scout_detokenizer_create(t, SCOUT_DECODE_SKIP_SPECIAL, &d, nullptr), SCOUT_OK);
  scout_tokenizer_free(t);
  std::string streamed;
  const char* piece = nullptr;
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(scout_detokenizer_push(d, ids[i], &piece, &bytes, nullptr), SCOUT_OK);
    streamed.append(piece, static_cast<size_t>(bytes));
  }
  ASSERT_EQ(scout_detokenizer_flush(d, &piece, &bytes, nullptr), SCOUT_OK);
  EXPECT_EQ(bytes, 0);
  EXPECT_EQ(streamed, text);
  EXPECT_EQ(scout_detokenizer_push(d, 1 << 28, &piece, &bytes, nullptr), SCOUT_INVALID_ARGUMENT);
  scout_detokenizer_free(d);
  scout_session_free(h.session);
  scout_engine_free(h.engine);
}

TEST(Load, ProgressRunsToTheEndAndCancels) {
  scout_model_options o;
  scout_model_options_init(&o);
  struct Seen {
    int calls = 0, stop_at = -1;
    int64_t done = 0, total = 0;
  } seen;
  o.progress_user = &seen;
  o.progress = [](void* user, int64_t done, int64_t total) -> int32_t {
    auto* s = static_cast<Seen*>(user);
    EXPECT_GE(done, s->done);
    s->done = done;
    s->total = total;
    return ++s->calls == s->stop_at;
  };
  scout_model* model = nullptr;
  ASSERT_EQ(scout_model_load(kModel, &o, &model, nullptr), SCOUT_OK);
  EXPECT_EQ(seen.done, seen.total);
  EXPECT_GT(seen.total, 1000000);
  scout_model_free(model);
  const int calls = seen.calls;
  for (int stop = 1; stop <= calls; stop += std::max(1, calls / 10)) {
    seen = {.stop_at = stop};
    EXPECT_EQ(scout_model_load(kModel, &o, &model, nullptr), SCOUT_CANCELLED);
    EXPECT_EQ(model, nullptr);
  }
}

TEST(Stats, CountWhatHappened) {
  const Handles h = Open();
  const auto tokens = Tokens(40);
  ASSERT_EQ(scout_session_prefill(h.session, tokens.data(), 40, nullptr, nullptr, nullptr),
            SCOUT_OK);
  scout_engine_stats s{};
  s.struct_size = sizeof s;
  ASSERT_EQ(scout_engine_get_stats(h.engine, &s, nullptr), SCOUT_OK);
  EXPECT_EQ(s.tokens_computed, 40);
  EXPECT_GT(s.flops, 40 * 1000000);
  // All rows in layers 0..6; in the last layer the row whose logits are kept.
  EXPECT_EQ(s.expert_rows, 7 * 40 + 1);
  EXPECT_STREQ(s.backend, "cpu");
  EXPECT_EQ(s.n_threads, 2);
  EXPECT_GT(s.kv_pages_used, 0);
  Close(h);
}

}  // namespace

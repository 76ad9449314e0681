// scout_engine_*: argument checks and conversion. No logic.
#include "lib/api/edge.h"
#include "lib/engine/scheduler.h"

using scout::api::CheckHandle;
using scout::api::Guard;
using scout::api::NullError;

namespace {

absl::Status CheckEnum(const char* name, int32_t value, int32_t highest) {
  if (value >= 0 && value <= highest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("scout_engine_options.", name, " is ", value, ", known are 0 to ", highest));
}

}  // namespace

extern "C" {

void scout_engine_options_init(scout_engine_options* options) {
  if (options == nullptr) return;
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->log_level = SCOUT_LOG_WARNING;
}

scout_status scout_engine_create(scout_model* model, const scout_engine_options* options,
                                 scout_engine** engine, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (engine == nullptr) return NullError("engine");
    *engine = nullptr;
    SCOUT_RETURN_IF_ERROR(CheckHandle(model, "model"));
    scout_engine_options o;
    scout_engine_options_init(&o);
    SCOUT_RETURN_IF_ERROR(scout::api::ReadOptions(options, "scout_engine_options", sizeof o, &o));
    SCOUT_RETURN_IF_ERROR(CheckEnum("mode", o.mode, SCOUT_MODE_EXACT));
    SCOUT_RETURN_IF_ERROR(CheckEnum("backend", o.backend, SCOUT_BACKEND_CPU));
    SCOUT_RETURN_IF_ERROR(CheckEnum("isa", o.isa, SCOUT_ISA_AVX512));
    SCOUT_RETURN_IF_ERROR(CheckEnum("kv_format", o.kv_format, SCOUT_KV_BF16));
    scout::EngineOptions e;
    e.exact = o.mode == SCOUT_MODE_EXACT;
    e.reference_backend = o.backend == SCOUT_BACKEND_REFERENCE;
    e.isa = static_cast<scout::kernels::Isa>(o.isa);
    e.kv_format = o.kv_format;
    e.n_threads = o.n_threads;
    e.kv_tokens = o.kv_tokens;
    e.max_sessions = o.max_sessions;
    e.page_tokens = o.page_tokens;
    e.max_step_tokens = o.max_step_tokens;
    e.max_mixed_tokens = o.max_mixed_tokens;
    e.max_jobs = o.max_jobs;
    e.logger = scout::Logger(o.log, o.log_user, o.log_level, o.log_release);
    auto handle = std::make_unique<scout_engine>();
    SCOUT_ASSIGN_OR_RETURN(handle->impl, scout::Engine::Create(model->impl, e));
    e.logger.Arm();
    *engine = handle.release();
    return absl::OkStatus();
  });
}

void scout_engine_free(scout_engine* engine) {
  if (engine != nullptr && !engine->forked()) delete engine;
}

scout_status scout_engine_close(scout_engine* engine, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(engine, "engine"));
    engine->impl->scheduler().Close();
    return absl::OkStatus();
  });
}

scout_status scout_engine_get_stats(const scout_engine* engine, scout_engine_stats* stats,
                                    scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(engine, "engine"));
    const scout::EngineStats s = engine->impl->Stats();
    const scout::SchedulerStats jobs = engine->impl->JobStats();
    scout_engine_stats out{};
    out.n_threads = static_cast<int32_t>(s.n_threads);
    out.kv_pages_total = s.pages_total;
    out.kv_pages_used = s.pages_used;
    out.kv_pages_reserved = s.pages_reserved;
    out.kv_page_bytes = s.page_bytes;
    out.tokens_computed = jobs.forward.rows;
    out.flops = jobs.forward.flops;
    out.expert_rows = jobs.forward.expert_rows;
    out.expert_groups = jobs.forward.expert_groups;
    out.jobs_queued = jobs.jobs_queued;
    out.jobs_running = jobs.jobs_running;
    out.jobs_paused = jobs.jobs_paused;
    out.jobs_submitted = jobs.submitted;
    out.jobs_refused = jobs.refused;
    out.jobs_failed = jobs.failed;
    static_assert(sizeof out.jobs_done == sizeof jobs.done);
    std::memcpy(out.jobs_done, jobs.done, sizeof out.jobs_done);
    out.tokens_prefilled = jobs.tokens_prefilled;
    out.tokens_decoded = jobs.tokens_decoded;
    out.steps = jobs.steps;
    static_assert(sizeof out.steps_by_rows == sizeof jobs.steps_by_rows);
    std::memcpy(out.steps_by_rows, jobs.steps_by_rows, sizeof out.steps_by_rows);
    out.seconds_embedding = jobs.forward.embedding;
    out.seconds_attention = jobs.forward.attention;
    out.seconds_ffn = jobs.forward.ffn;
    out.seconds_head = jobs.forward.head;
    out.seconds_sampling = jobs.sampling;
    out.seconds_longest_look = jobs.longest_look;
    std::strncpy(out.backend, s.backend, sizeof out.backend - 1);
    std::strncpy(out.isa, s.isa, sizeof out.isa - 1);
    return scout::api::WriteResult(&out, "scout_engine_stats", sizeof out, stats);
  });
}

}  // extern "C"

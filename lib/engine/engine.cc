#include "lib/engine/engine.h"

#include <algorithm>

#include "lib/engine/scheduler.h"
#include "lib/util/checked.h"
#include "lib/util/cores.h"
#include "lib/util/thread_pool.h"

namespace scout {
namespace {

constexpr int64_t kDefaultKvTokens = 131072;
constexpr int64_t kDefaultSessions = 16;
constexpr int64_t kDefaultPageTokens = 256;
constexpr int64_t kDefaultStepTokens = 512;
constexpr int64_t kDefaultMixedTokens = 128;
constexpr int64_t kDefaultJobs = 1024;

absl::Status CheckRange(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("engine option ", name, " is ", value, ", not in [", low, ", ", high, "]"));
}

absl::StatusOr<const kernels::Backend*> ChooseBackend(const EngineOptions& options) {
  if (options.reference_backend) {
    if (options.isa != kernels::Isa::kAuto) {
      return absl::InvalidArgumentError("the reference backend is scalar; isa asks for another");
    }
    return &kernels::reference_backend();
  }
  const kernels::Backend* backend = kernels::cpu_backend(options.isa);
  if (backend == nullptr) {
    return UnsupportedError(absl::StrCat(
        "this machine lacks the instructions of ISA ",
        options.isa == kernels::Isa::kAvx512 ? "avx512 (with VNNI)" : "avx2 (with FMA and F16C)"));
  }
  return backend;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Engine>> Engine::Create(std::shared_ptr<const Model> model,
                                                       const EngineOptions& options) {
  if (!model->has_weights()) {
    return absl::FailedPreconditionError(
        "the model was loaded with SCOUT_MODEL_METADATA_ONLY and has no weights to run");
  }
  const ModelConfig& config = model->config();
  const int64_t page = options.page_tokens ? options.page_tokens : kDefaultPageTokens;
  SCOUT_RETURN_IF_ERROR(CheckRange("page_tokens", page, 16, 4096));
  if ((page & (page - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("engine option page_tokens is ", page, ", not a power of two"));
  }
  const int64_t step = options.max_step_tokens ? options.max_step_tokens : kDefaultStepTokens;
  SCOUT_RETURN_IF_ERROR(CheckRange("max_step_tokens", step, 1, 65536));
  const int64_t mixed = options.max_mixed_tokens ? options.max_mixed_tokens : kDefaultMixedTokens;
  SCOUT_RETURN_IF_ERROR(CheckRange("max_mixed_tokens", mixed, 1, 65536));
  const int64_t jobs = options.max_jobs ? options.max_jobs : kDefaultJobs;
  SCOUT_RETURN_IF_ERROR(CheckRange("max_jobs", jobs, 1, 1 << 20));
  SCOUT_RETURN_IF_ERROR(CheckRange("n_threads", options.n_threads, 0, 1024));
  SCOUT_RETURN_IF_ERROR(CheckRange("kv_format", options.kv_format, 0, 3));
  const int64_t sessions = options.max_sessions ? options.max_sessions : kDefaultSessions;
  SCOUT_RETURN_IF_ERROR(CheckRange("max_sessions", sessions, 1, 1 << 20));
  const int64_t tokens =
      options.kv_tokens ? options.kv_tokens : std::min(kDefaultKvTokens, config.context_length);
  SCOUT_RETURN_IF_ERROR(CheckRange("kv_tokens", tokens, 1, int64_t{1} << 40));

  std::shared_ptr<Engine> engine(new Engine());
  engine->logger_ = options.logger;
  SCOUT_ASSIGN_OR_RETURN(engine->backend_, ChooseBackend(options));
  auto layout = std::make_shared<KvLayout>();
  for (const LayerConfig& layer : config.layers) layout->global.push_back(layer.global);
  layout->n_kv_heads = config.n_kv_heads;
  layout->head_dim = config.head_dim;
  layout->page_tokens = page;
  layout->chunk = config.attention_chunk;
  layout->format = options.kv_format > 0 ? static_cast<kernels::KvFormat>(options.kv_format - 1)
                   : options.exact       ? kernels::KvFormat::kF32
                                         : kernels::KvFormat::kF16;
  if (options.exact && layout->format != kernels::KvFormat::kF32) {
    return absl::InvalidArgumentError("exact mode keeps KV in f32; kv_format asks for another");
  }
  // kv_tokens in the global layers, rounded up to a page for each session; a chunk for each
  // session.
  int64_t global_pages = 0, chunked_pages = 0, bytes = 0;
  if (!CheckedMul(layout->n_global(), layout->PagesFor(tokens) + sessions - 1, &global_pages) ||
      !CheckedMul(layout->ChunkedPages(tokens), sessions, &chunked_pages) ||
      !CheckedMul(std::max(global_pages, chunked_pages), layout->page_bytes(), &bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("engine options kv_tokens ", tokens,
                                                   " and max_sessions ", sessions,
                                                   " ask for more than 2^63 bytes of KV"));
  }
  engine->pools_ = std::make_shared<KvPools>(layout->page_bytes(), global_pages, chunked_pages);
  engine->layout_ = std::move(layout);
  const int64_t threads = options.n_threads ? options.n_threads : PhysicalCores();
  SCOUT_ASSIGN_OR_RETURN(auto pool, ThreadPool::Create(static_cast<int>(threads)));
  ForwardOptions forward;
  forward.exact = options.exact;
  forward.max_rows = step;
  forward.merge_right_to_left = options.merge_right_to_left;
  const SchedulerOptions scheduler{step, mixed, jobs, options.between_layers};
  engine->scheduler_ = std::make_shared<Scheduler>(model, engine->backend_, std::move(pool),
                                                   forward, page, scheduler, engine->logger_);
  SCOUT_ASSIGN_OR_RETURN(engine->thread_, engine->scheduler_->Start());
  engine->model_ = std::move(model);
  engine->logger_.Log(
      LogLevel::kInfo,
      absl::StrCat("engine: backend ", engine->backend_->name, " (", engine->backend_->isa, "), ",
                   threads, " threads, ", engine->pools_->global.capacity(), " + ",
                   engine->pools_->chunked.capacity(), " KV pages of ",
                   engine->layout_->page_bytes(), " bytes"));
  return engine;
}

int64_t Engine::DefaultSessionTokens() const {
  const int64_t context = model_->config().context_length;
  auto free_pages = [](const PagePool& pool) { return pool.capacity() - pool.committed(); };
  int64_t tokens = context;
  if (layout_->n_global() > 0) {
    const int64_t pages = free_pages(pools_->global) / layout_->n_global();  // per layer
    // Half, rounded down, so that a default fork of a default session fits.
    tokens =
        std::min(tokens, std::max(pages / 2, std::min<int64_t>(pages, 1)) * layout_->page_tokens);
  }
  if (layout_->n_chunked() > 0) {
    const int64_t pages = free_pages(pools_->chunked) / layout_->n_chunked();
    if (pages < layout_->PagesFor(std::min(layout_->chunk, tokens))) {
      tokens = std::min(tokens, pages * layout_->page_tokens);
    }
  }
  return tokens;
}

// The last session is gone, so nothing runs.
Engine::~Engine() {
  if (thread_.joinable()) scheduler_->Stop(std::move(thread_));
}

SchedulerStats Engine::JobStats() const { return scheduler_->Stats(); }

EngineStats Engine::Stats() const {
  EngineStats stats{};
  stats.n_threads = scheduler_->n_threads();
  stats.pages_total = pools_->global.capacity() + pools_->chunked.capacity();
  stats.pages_used = pools_->global.in_use() + pools_->chunked.in_use();
  const int64_t committed = pools_->global.committed() + pools_->chunked.committed();
  stats.pages_reserved = std::max<int64_t>(0, committed - stats.pages_used);
  stats.page_bytes = layout_->page_bytes();
  stats.backend = backend_->name;
  stats.isa = backend_->isa;
  return stats;
}

}  // namespace scout

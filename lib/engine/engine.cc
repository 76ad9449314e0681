#include "lib/engine/engine.h"

#include <algorithm>

#include "lib/util/cores.h"

namespace scout {
namespace {

constexpr int64_t kDefaultKvTokens = 131072;
constexpr int64_t kDefaultSessions = 16;
constexpr int64_t kDefaultPageTokens = 256;
constexpr int64_t kDefaultStepTokens = 512;

absl::Status CheckRange(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("engine option ", name, " is ", value, ", not in [", low, ", ", high, "]"));
}

absl::StatusOr<const kernels::Backend*> ChooseBackend(const EngineOptions& options) {
  if (options.reference_backend) return &kernels::reference_backend();
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
  SCOUT_RETURN_IF_ERROR(CheckRange("n_threads", options.n_threads, 0, 1024));
  SCOUT_RETURN_IF_ERROR(CheckRange("kv_format", options.kv_format, 0, 3));
  const int64_t sessions = options.max_sessions ? options.max_sessions : kDefaultSessions;
  SCOUT_RETURN_IF_ERROR(CheckRange("max_sessions", sessions, 1, 1 << 20));
  const int64_t tokens = options.kv_tokens ? options.kv_tokens
                                           : std::min(kDefaultKvTokens, config.context_length);
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
  // Room for kv_tokens in the global layers, an open page of each session, and a chunk of each.
  const int64_t capacity =
      layout->n_global() * (layout->PagesFor(tokens) + sessions) +
      layout->n_chunked() * layout->PagesFor(std::min(layout->chunk, tokens)) * sessions;
  engine->pool_ = std::make_shared<PagePool>(layout->page_bytes(), capacity);
  engine->layout_ = std::move(layout);
  engine->max_step_tokens_ = step;
  const int64_t threads = options.n_threads ? options.n_threads : PhysicalCores();
  SCOUT_ASSIGN_OR_RETURN(engine->threads_, ThreadPool::Create(static_cast<int>(threads)));
  ForwardOptions forward;
  forward.exact = options.exact;
  forward.max_rows = step;
  forward.merge_right_to_left = options.merge_right_to_left;
  engine->forward_ = std::make_unique<Forward>(model, engine->backend_, engine->threads_.get(),
                                               forward, page);
  engine->model_ = std::move(model);
  engine->logger_.Log(LogLevel::kInfo,
                      absl::StrCat("engine: backend ", engine->backend_->name, " (",
                                   engine->backend_->isa, "), ", threads, " threads, ", capacity,
                                   " KV pages of ", engine->layout_->page_bytes(), " bytes"));
  return engine;
}

int64_t Engine::LargestSession() const {
  const int64_t free_pages = pool_->capacity() - pool_->committed();
  int64_t low = 0, high = model_->config().context_length;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (layout_->PagesPerSequence(middle) <= free_pages) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

absl::Status Engine::RunStep(const Step& step) {
  std::lock_guard<std::mutex> lock(mutex_);
  return forward_->Run(step);
}

EngineStats Engine::Stats() const {
  EngineStats stats{};
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stats.forward = forward_->stats();
  }
  stats.n_threads = threads_->n_threads();
  stats.pages_total = pool_->capacity();
  stats.pages_used = pool_->in_use();
  stats.pages_reserved = std::max<int64_t>(0, pool_->committed() - stats.pages_used);
  stats.page_bytes = pool_->page_bytes();
  stats.backend = backend_->name;
  stats.isa = backend_->isa;
  return stats;
}

}  // namespace scout

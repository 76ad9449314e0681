// A model placed on this machine: backend, threads, KV budget. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "kernels/ops.h"
#include "lib/kv/page_pool.h"
#include "lib/kv/sequence.h"
#include "lib/model/model.h"
#include "lib/util/log.h"

namespace scout {

class Scheduler;
struct SchedulerStats;

struct EngineOptions {
  bool exact = false;
  bool reference_backend = false;
  kernels::Isa isa = kernels::Isa::kAuto;
  int kv_format = 0;                     // 0 auto, else 1 + kernels::KvFormat
  int64_t n_threads = 0;                 // 0: physical cores this process may use
  int64_t kv_tokens = 0;                 // 0: default
  int64_t max_sessions = 0;              // 0: default
  int64_t page_tokens = 0;               // 0: default
  int64_t max_step_tokens = 0;           // 0: default
  int64_t max_mixed_tokens = 0;          // 0: default
  int64_t max_jobs = 0;                  // 0: default
  bool merge_right_to_left = false;      // tests only: see kernels::AttentionArgs
  std::function<void()> between_layers;  // tests only: see SchedulerOptions
  Logger logger;
};

struct EngineStats {
  int64_t n_threads, pages_total, pages_used, pages_reserved, page_bytes;
  const char* backend;
  const char* isa;
};

// Thread-safe. Its scheduler shares the machine among the jobs of all sessions.
class Engine {
 public:
  ~Engine();
  static absl::StatusOr<std::shared_ptr<Engine>> Create(std::shared_ptr<const Model> model,
                                                        const EngineOptions& options);

  const Model& model() const { return *model_; }
  const std::shared_ptr<const KvLayout>& layout() const { return layout_; }
  const std::shared_ptr<KvPools>& pools() const { return pools_; }
  const Logger& logger() const { return logger_; }
  Scheduler& scheduler() const { return *scheduler_; }
  // max_tokens of a session that names none: half of what the budget has left, so that another
  // session or a fork still finds room; at most the context length. 0 where nothing fits.
  int64_t DefaultSessionTokens() const;

  EngineStats Stats() const;
  SchedulerStats JobStats() const;

 private:
  Engine() = default;
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const KvLayout> layout_;
  std::shared_ptr<KvPools> pools_;
  const kernels::Backend* backend_ = nullptr;
  std::shared_ptr<Scheduler> scheduler_;
  std::thread thread_;  // the scheduler's
  Logger logger_;
};

}  // namespace scout

// Worker threads of one engine or one load. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>

#include "lib/util/status.h"

namespace scout {

// A fixed set of threads that run index ranges together with the calling thread.
class ThreadPool {
 public:
  // n_threads >= 1 counts the caller: n_threads - 1 are created. Fails with the system's reason,
  // as a status with the payload of NoThreadError, and leaves nothing running.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(int n_threads);
  ~ThreadPool();

  int n_threads() const;

  // Calls body(i, worker) for every i in [0, n), worker in [0, n_threads), and returns when all are
  // done. Which worker takes which i is not fixed. body must not call Run of the same pool, and
  // should not throw: where it does (a failed allocation), the indices not begun yet are left out
  // and Run throws that exception once all workers have stopped. Run itself allocates nothing. One
  // Run at a time: concurrent callers wait for their turn.
  void Run(int64_t n, const std::function<void(int64_t i, int worker)>& body);

 private:
  struct State;
  explicit ThreadPool(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Starts a thread that runs body, with signals blocked: a host's handlers run on the host's
// threads. body must not throw. NoThreadError with the system's reason; `what` names the thread in
// it.
absl::StatusOr<std::thread> StartThread(std::string_view what, std::function<void()> body);

// The status of a thread that could not be created (SCOUT_NO_THREAD at the C edge).
absl::Status NoThreadError(std::string_view message);
bool IsNoThreadError(const absl::Status& status);

}  // namespace scout

// A thread pool for index ranges. SPDX-License-Identifier: Apache-2.0
//
// A worker that is asleep need not take part: Run publishes a job, works on it itself, closes it
// and waits only for workers that have joined it. So a short Run never waits for a thread to wake
// up.
#include "lib/util/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace scout {
namespace {

constexpr char kNoThread[] = "scout/no_thread";
constexpr int kMaxThreads = 4096;
// About 2 to 5 microseconds: a forward pass has the next job ready within that; a sleeping thread
// would take ten times as long to come back.
constexpr int kSpins = 128;

void Relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// While it lives, threads that the caller creates start with signals blocked: a host's handlers run
// on the host's threads. Signals of a thread's own faults stay as they are.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
      sigdelset(&all, fault);
    }
    blocked_ = pthread_sigmask(SIG_BLOCK, &all, &before_) == 0;
  }
  ~SignalsBlocked() {
    if (blocked_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
  bool blocked_ = false;
};

}  // namespace

struct ThreadPool::State {
  // entry: kOpen while workers may join the job, and the number that have and not left yet.
  static constexpr uint32_t kOpen = uint32_t{1} << 31;

  std::mutex run_mutex;          // one Run at a time
  std::mutex mutex;              // of sleeping and waking, and of `error`
  std::condition_variable wake;  // to workers: a new job, or the end
  std::condition_variable idle;  // to Run: the last worker has left its job
  int n_sleeping = 0;
  bool stop = false;
  std::exception_ptr error;  // the first that a body threw

  // The job: written while no worker is in it, read by workers that have joined.
  const std::function<void(int64_t, int)>* body = nullptr;
  int64_t n = 0;

  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<uint32_t> entry{0};
  alignas(64) std::atomic<uint64_t> n_jobs{0};  // jobs published, changed with `mutex` held

  std::vector<std::thread> threads;

  void Work(int worker) {
    try {
      for (;;) {
        const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
        if (i >= n) return;
        (*body)(i, worker);
      }
    } catch (...) {
      next.store(n, std::memory_order_relaxed);  // no further index is handed out
      std::lock_guard<std::mutex> lock(mutex);
      if (!error) error = std::current_exception();
    }
  }

  bool Join() {
    uint32_t seen = entry.load(std::memory_order_relaxed);
    while ((seen & kOpen) != 0) {
      if (entry.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void Leave() {
    if (entry.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // closed, and this was the last
      std::lock_guard<std::mutex> lock(mutex);
      idle.notify_one();
    }
  }

  void Loop(int worker) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins; ++spin) {
        if (n_jobs.load(std::memory_order_acquire) != seen) break;
        Relax();
      }
      if (n_jobs.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        ++n_sleeping;
        wake.wait(lock, [&] { return stop || n_jobs.load(std::memory_order_relaxed) != seen; });
        --n_sleeping;
        if (stop) return;
      }
      seen = n_jobs.load(std::memory_order_acquire);
      if (Join()) {
        Work(worker);
        Leave();
      }
    }
  }
};

ThreadPool::ThreadPool(std::unique_ptr<State> state) : state_(std::move(state)) {}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
    // Spinning workers must look as well: an empty job, closed to all, ends their spin.
    state_->n_jobs.fetch_add(1, std::memory_order_release);
  }
  state_->wake.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(int n_threads) {
  if (n_threads < 1 || n_threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat(n_threads, " threads; the range is 1 to ", kMaxThreads));
  }
  std::unique_ptr<ThreadPool> pool(new ThreadPool(std::make_unique<State>()));
  State* state = pool->state_.get();
  state->threads.reserve(static_cast<size_t>(n_threads - 1));
  for (int worker = 1; worker < n_threads; ++worker) {
    SCOUT_ASSIGN_OR_RETURN(std::thread thread,
                           StartThread(absl::StrCat("thread ", worker + 1, " of ", n_threads),
                                       [state, worker] { state->Loop(worker); }));
    state->threads.push_back(std::move(thread));
  }
  return pool;
}

int ThreadPool::n_threads() const { return static_cast<int>(state_->threads.size()) + 1; }

void ThreadPool::Run(int64_t n, const std::function<void(int64_t i, int worker)>& body) {
  State& s = *state_;
  const std::lock_guard<std::mutex> turn(s.run_mutex);
  if (s.threads.empty() || n <= 1) {
    for (int64_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
  s.body = &body;
  s.n = n;
  s.next.store(0, std::memory_order_relaxed);
  s.entry.store(State::kOpen, std::memory_order_release);
  bool sleepers = false;
  {
    std::lock_guard<std::mutex> lock(s.mutex);
    s.n_jobs.fetch_add(1, std::memory_order_release);
    sleepers = s.n_sleeping > 0;
  }
  if (sleepers) s.wake.notify_all();
  s.Work(0);

  // Close: nobody joins from here on; then wait for those inside.
  uint32_t inside = s.entry.fetch_and(~State::kOpen, std::memory_order_acq_rel) & ~State::kOpen;
  for (int spin = 0; inside != 0 && spin < kSpins; ++spin) {
    Relax();
    inside = s.entry.load(std::memory_order_acquire);
  }
  std::unique_lock<std::mutex> lock(s.mutex);
  s.idle.wait(lock, [&] { return s.entry.load(std::memory_order_acquire) == 0; });
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

absl::StatusOr<std::thread> StartThread(std::string_view what, std::function<void()> body) {
  const SignalsBlocked blocked;
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    const char* reason = strerrordesc_np(error.code().value());
    return NoThreadError(absl::StrCat("cannot create ", AbslView(what), ": ",
                                      reason != nullptr ? reason : "unknown reason"));
  }
}

absl::Status NoThreadError(std::string_view message) {
  absl::Status status = CapacityError(message);
  status.SetPayload(kNoThread, absl::Cord("1"));
  return status;
}

bool IsNoThreadError(const absl::Status& status) {
  return status.GetPayload(kNoThread).has_value();
}

}  // namespace scout

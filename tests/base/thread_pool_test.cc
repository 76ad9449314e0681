// The thread pool: every index once, all workers stopped at the end, errors of creation.
// SPDX-License-Identifier: Apache-2.0
#include "lib/util/thread_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace scout {
namespace {

int ThreadsOfThisProcess() {
  int n = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/task")) ++n;
  return n;
}

class ThreadPoolSizes : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolSizes, RunsEveryIndexOnce) {
  const int n_threads = GetParam();
  const int before = ThreadsOfThisProcess();
  {
    auto pool = ThreadPool::Create(n_threads);
    ASSERT_TRUE(pool.ok()) << pool.status();
    EXPECT_EQ((*pool)->n_threads(), n_threads);
    for (int64_t n : {0, 1, 2, 3, 7, 64, 1000, 5000}) {
      std::vector<std::atomic<int>> count(static_cast<size_t>(n));
      std::atomic<int> bad_worker{0};
      (*pool)->Run(n, [&](int64_t i, int worker) {
        ++count[static_cast<size_t>(i)];
        if (worker < 0 || worker >= n_threads) ++bad_worker;
      });
      EXPECT_EQ(bad_worker, 0);
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(count[static_cast<size_t>(i)], 1) << i;
    }
    (*pool)->Run(-3, [](int64_t, int) { FAIL() << "an index of an empty range"; });
  }
  EXPECT_EQ(ThreadsOfThisProcess(), before);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolSizes, testing::Values(1, 2, 3, 8));

TEST(ThreadPool, WorkerNumbersAreNotSharedAtATime) {
  auto pool = ThreadPool::Create(4);
  ASSERT_TRUE(pool.ok());
  std::atomic<int> busy[4] = {};
  std::atomic<int> shared{0};
  for (int round = 0; round < 50; ++round) {
    (*pool)->Run(64, [&](int64_t, int worker) {
      if (busy[worker].fetch_add(1) != 0) ++shared;
      std::this_thread::yield();
      busy[worker].fetch_sub(1);
    });
  }
  EXPECT_EQ(shared, 0);
}

TEST(ThreadPool, SleepingWorkersTakePart) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  // Index 0 ends only when somebody else runs index 1.
  std::atomic<bool> other{false};
  (*pool)->Run(2, [&](int64_t i, int) {
    if (i == 1) other = true;
    while (!other) std::this_thread::yield();
  });
  EXPECT_TRUE(other);
}

TEST(ThreadPool, ManyShortRunsWithPauses) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  int64_t total = 0;
  for (int round = 0; round < 3000; ++round) {
    std::atomic<int64_t> sum{0};
    (*pool)->Run(5, [&](int64_t i, int) { sum += i + 1; });
    total += sum;
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(total, 3000 * 15);
}

TEST(ThreadPool, CallersWaitForTheirTurn) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  // Bodies of two callers must never be under way at the same time.
  std::atomic<int> under_way[4] = {};
  std::atomic<int> overlaps{0}, n{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 100; ++round) {
        (*pool)->Run(8, [&, caller](int64_t, int) {
          ++under_way[caller];
          for (int other = 0; other < 4; ++other) {
            if (other != caller && under_way[other] != 0) ++overlaps;
          }
          std::this_thread::yield();
          --under_way[caller];
          ++n;
        });
      }
    });
  }
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(n, 4 * 100 * 8);
  EXPECT_EQ(overlaps, 0);
}

TEST(ThreadPool, IdleWorkersDoNotSpin) {
  auto pool = ThreadPool::Create(4);
  ASSERT_TRUE(pool.ok());
  (*pool)->Run(100, [](int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto cpu_ms = [] {
    rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
  };
  const long before = cpu_ms();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu_ms() - before, 100);
}

TEST(ThreadPool, AnExceptionOfTheBodyComesOutOfRun) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> begun{0};
    EXPECT_THROW((*pool)->Run(1000,
                              [&](int64_t i, int) {
                                ++begun;
                                if (i % 3 == round % 3) throw std::bad_alloc();
                              }),
                 std::bad_alloc);
    EXPECT_LT(begun, 1000);
  }
  std::atomic<int> n{0};
  (*pool)->Run(10, [&](int64_t, int) { ++n; });
  EXPECT_EQ(n, 10);
}

TEST(ThreadPool, WorkersLeaveSignalsToTheHost) {
  auto pool = ThreadPool::Create(2);
  ASSERT_TRUE(pool.ok());
  std::atomic<bool> other{false}, blocked{false};
  (*pool)->Run(2, [&](int64_t, int worker) {
    if (worker == 1) {
      sigset_t set;
      pthread_sigmask(SIG_SETMASK, nullptr, &set);
      blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGSEGV) == 0;
      other = true;
    }
    while (!other) std::this_thread::yield();
  });
  EXPECT_TRUE(blocked);
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, nullptr, &set);
  EXPECT_EQ(sigismember(&set, SIGTERM), 0);
}

TEST(ThreadPool, RefusesBadCounts) {
  for (int n : {0, -1, INT32_MIN, 5000, INT32_MAX}) {
    EXPECT_EQ(ThreadPool::Create(n).status().code(), absl::StatusCode::kInvalidArgument) << n;
  }
}

TEST(ThreadPool, FailureOfCreationLeavesNothingRunning) {
  // A child with an address space too small for many stacks: creation fails on the way.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a limit on address space does not go with this sanitizer";
#endif
  EXPECT_EXIT(
      {
        std::ifstream statm("/proc/self/statm");
        rlim_t pages = 0;
        statm >> pages;
        rlimit limit{};
        limit.rlim_cur = limit.rlim_max =
            pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{200} << 20);
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
        const int before = ThreadsOfThisProcess();
        const absl::Status status = ThreadPool::Create(1000).status();
        if (status.ok()) _exit(3);
        if (!IsNoThreadError(status)) _exit(4);
        if (status.message().find("cannot create thread") != 0) _exit(5);
        if (ThreadsOfThisProcess() != before) _exit(6);
        auto pool = ThreadPool::Create(2);
        std::atomic<int> n{0};
        if (!pool.ok()) _exit(7);
        (*pool)->Run(10, [&](int64_t, int) { ++n; });
        _exit(n == 10 ? 0 : 8);
      },
      testing::ExitedWithCode(0), "");
}

TEST(NoThreadError, IsKnownByItsPayload) {
  const absl::Status status = NoThreadError("no thread");
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(IsNoThreadError(status));
  EXPECT_EQ(status.message(), "no thread");
  EXPECT_FALSE(IsNoThreadError(absl::OkStatus()));
  EXPECT_FALSE(IsNoThreadError(CapacityError("full")));
  EXPECT_TRUE(IsNoThreadError(AtPlace(status, {.file = "f"})));
}

}  // namespace
}  // namespace scout

// Who computes what next: steps from the rows that jobs have ready. SPDX-License-Identifier:
// Apache-2.0
//
// A turn draws the tokens that are due, builds one step, and runs it. Turns are made by the driver:
// the scheduler's own thread, or a synchronous caller that finds no driver, for as long as it
// waits. There is one driver at a time, and it alone touches jobs, their sessions and the forward
// pass.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "lib/engine/job.h"
#include "lib/forward/llama4.h"
#include "lib/sample/sampler.h"
#include "lib/util/log.h"
#include "lib/util/thread_pool.h"

namespace scout {

struct SchedulerOptions {
  int64_t max_step_rows = 512;
  int64_t max_mixed_rows = 128;          // of prefill, in a step in which somebody decodes
  int64_t max_jobs = 1024;               // not over, beside those of synchronous calls
  std::function<void()> between_layers;  // tests only: called on the driver's thread
};

struct SchedulerStats {
  static constexpr int kBuckets = 12;
  int64_t jobs_queued = 0, jobs_running = 0, jobs_paused = 0;
  int64_t submitted = 0, refused = 0, failed = 0;  // of jobs; refused: the queue was full
  int64_t done[kDoneReasons] = {};                 // by DoneReason
  int64_t tokens_prefilled = 0, tokens_decoded = 0;
  int64_t steps = 0;
  int64_t steps_by_rows[kBuckets] = {};  // [i]: steps of more than 2^(i - 1) and up to 2^i rows
  double sampling = 0;                   // seconds
  double longest_look = 0;  // seconds, the longest between two looks for jobs that should end
  ForwardStats forward;
};

// Thread-safe. Kept alive by its thread and by jobs that are not over.
class Scheduler : public std::enable_shared_from_this<Scheduler> {
 public:
  // Takes all scratch (throws std::bad_alloc).
  Scheduler(std::shared_ptr<const Model> model, const kernels::Backend* backend,
            std::unique_ptr<ThreadPool> threads, const ForwardOptions& forward, int64_t page_tokens,
            const SchedulerOptions& options, const Logger& logger);

  // The thread; NoThreadError. Stop ends it: waits for it unless called on it.
  absl::StatusOr<std::thread> Start();
  void Stop(std::thread thread);

  // A place in the queue, given back unless it is used.
  class Place {
   public:
    explicit Place(std::shared_ptr<Job> job) : job_{std::move(job)} {}
    Place(Place&& other) noexcept : scheduler_(other.scheduler_), job_(std::move(other.job_)) {
      other.scheduler_ = nullptr;
    }
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class Scheduler;
    Scheduler* scheduler_ = nullptr;  // null: no place is held
    std::list<std::shared_ptr<Job>> job_;
  };
  // QueueFullError; FailedPrecondition once closed.
  absl::StatusOr<Place> Admit(std::shared_ptr<Job> job);
  // From here on the job has the session, until its final event.
  void Submit(Place place);
  // Submit, and wait for the end. Progress runs on this thread, between steps of the job.
  JobEvent Run(Place place, const Progress& progress);

  // Ends all jobs and takes no more of them; synchronous calls go on.
  void Close();
  // Something that a job waited for has happened; `ends`: a job should end.
  void Poke(bool ends = false);
  // An error on the thread of the driver, where waiting would never end.
  absl::Status CheckMayWait() const;

  SchedulerStats Stats() const;
  int n_threads() const { return threads_->n_threads(); }

 private:
  using JobList = std::list<std::shared_ptr<Job>>;

  void Loop();
  void TurnUnlocked(std::unique_lock<std::mutex>* lock);
  void Drive(Job* job);
  void Enqueue(Place* place, bool wake);

  // With mutex_: what came is the driver's from here on.
  void TakeIncoming();

  // ---- The driver's ----
  bool Turn();
  void Looked(Job::Clock::time_point now);
  void Between();
  bool Leaves(int64_t span);
  bool EndIfDue(Job* job, Job::Clock::time_point now);
  bool EndAndCollect();
  void DrawAll();
  void BuildStep();
  bool CanRun(Job* job);
  bool AddDecode(int64_t most_rows);
  void AddSpan(JobList::iterator it, int64_t most_rows);
  void AddRows(Job* job, int64_t begin, int64_t* end);
  void AddPrefill(int64_t budget);
  void RunStep();
  void FinishSpan(Job* job, const StepSpan& span);
  void Finish(Job* job, DoneReason reason, absl::Status status);
  void FinishAll(const absl::Status& status);
  void PublishStats();

  std::unique_ptr<ThreadPool> threads_;
  Forward forward_;
  const SchedulerOptions options_;
  const Logger logger_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  JobList incoming_;    // guarded by mutex_, as all up to the driver's
  int64_t n_jobs_ = 0;  // admitted and not over, without those of synchronous calls
  int64_t submitted_ = 0, refused_ = 0;
  SchedulerStats stats_;  // a copy of now_, and the jobs that were taken since
  bool stop_ = false;
  bool work_ = false;    // a turn may find something to do
  bool driven_ = false;  // somebody is the driver
  Job::Clock::time_point wake_at_ = Job::Clock::time_point::max();  // the next deadline
  std::atomic<bool> closed_{false};
  std::atomic<bool> due_{false};  // a job may have to end that is not in the running step
  std::atomic<std::thread::id> driver_{};

  // ---- The driver's ----
  JobList active_;
  Step step_;
  std::vector<JobList::iterator> step_jobs_;  // of each span
  std::vector<Job*> drawing_;
  std::vector<Sampler> samplers_;  // of each thread
  static constexpr int kPriorities = 17;
  // Jobs of one priority that have prefill to do and can have it in this step.
  struct PriorityClass {
    int64_t n_jobs = 0, n_open = 0;  // all; those without deadline
    double served = 0;               // virtual time of the class: rows over weight
    double level = 0;                // virtual time of a job without deadline: rows over n_open
  };
  PriorityClass classes_[kPriorities];
  double clock_ = 0;               // virtual time of the class served last
  bool prefill_had_rows_ = false;  // in the last step
  Job::Clock::time_point looked_;  // for jobs that should end
  Job::Clock::time_point next_deadline_ = Job::Clock::time_point::max();
  SchedulerStats now_;
};

absl::Status QueueFullError(int64_t max_jobs);
bool IsQueueFullError(const absl::Status& status);

}  // namespace scout

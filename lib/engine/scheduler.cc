#include "lib/engine/scheduler.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

namespace scout {
namespace {
constexpr char kQueueFull[] = "scout/queue_full";
// Synchronous calls whose tokens are drawn at once; more of them wait for the next turn.
constexpr int64_t kSyncCallers = 1024;
}  // namespace

absl::Status QueueFullError(int64_t max_jobs) {
  absl::Status status = CapacityError(
      absl::StrCat("the engine has its max_jobs of ", max_jobs, " jobs queued or running"));
  status.SetPayload(kQueueFull, absl::Cord("1"));
  return status;
}
bool IsQueueFullError(const absl::Status& status) {
  return status.GetPayload(kQueueFull).has_value();
}

Scheduler::Scheduler(std::shared_ptr<const Model> model, const kernels::Backend* backend,
                     std::unique_ptr<ThreadPool> threads, const ForwardOptions& forward,
                     int64_t page_tokens, const SchedulerOptions& options, const Logger& logger)
    : threads_(std::move(threads)),
      forward_(std::move(model), backend, threads_.get(), forward, page_tokens),
      options_(options),
      logger_(logger),
      samplers_(static_cast<size_t>(threads_->n_threads())) {
  const size_t rows = static_cast<size_t>(options_.max_step_rows);
  step_.tokens.reserve(rows);
  step_.spans.reserve(rows);
  step_.wanted.reserve(rows);
  step_.between = [this] { Between(); };
  step_.leaves = [this](int64_t span) { return Leaves(span); };
  step_jobs_.reserve(rows);
  drawing_.reserve(static_cast<size_t>(options_.max_jobs + kSyncCallers));
}

absl::StatusOr<std::thread> Scheduler::Start() {
  return StartThread("the engine's thread", [self = shared_from_this()] { self->Loop(); });
}

void Scheduler::Stop(std::thread thread) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  // The last reference to an engine may go with its last job, on the thread itself.
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();
  } else {
    thread.join();
  }
}

Scheduler::Place::~Place() {
  if (scheduler_ == nullptr || job_.front()->direct_) return;
  std::lock_guard<std::mutex> lock(scheduler_->mutex_);
  --scheduler_->n_jobs_;
}

absl::StatusOr<Scheduler::Place> Scheduler::Admit(std::shared_ptr<Job> job) {
  const bool direct = job->direct_;
  if (direct) SCOUT_RETURN_IF_ERROR(CheckMayWait());
  Place place(std::move(job));
  if (!direct) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_.load()) return absl::FailedPreconditionError("the engine was closed");
    if (n_jobs_ >= options_.max_jobs) {
      ++refused_;
      return QueueFullError(options_.max_jobs);
    }
    ++n_jobs_;
  }
  place.scheduler_ = this;
  return place;
}

void Scheduler::Enqueue(Place* place, bool wake) {
  Job& job = *place->job_.front();
  job.state_->busy.store(true, std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(job.link_mutex_);
    job.scheduler_ = shared_from_this();
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!job.direct_) ++submitted_;
    // A step that runs now does not know of it.
    if (job.deadline_ != Job::Clock::time_point::max()) due_.store(true);
    incoming_.splice(incoming_.end(), place->job_);
    work_ = true;
  }
  place->scheduler_ = nullptr;
  if (wake) wake_.notify_one();
}

void Scheduler::Submit(Place place) { Enqueue(&place, true); }

JobEvent Scheduler::Run(Place place, const Progress& progress) {
  // A callback may free the session and its engine.
  const std::shared_ptr<Scheduler> self = shared_from_this();
  const std::shared_ptr<Job> job = place.job_.front();
  Enqueue(&place, false);
  JobEvent event;
  for (;;) {
    Drive(job.get());
    job->queue_.Pop(-1, &event);
    if (event.final()) return event;
    if (!progress(event.done, event.total)) {
      job->cancelled_.store(true, std::memory_order_relaxed);
      due_.store(true);
    }
    if (job->queue_.Release()) {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = true;
    }
  }
}

// Makes turns until the job has an event or somebody else makes them.
void Scheduler::Drive(Job* job) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!driven_ && work_ && !job->queue_.HasEvent()) TurnUnlocked(&lock);
  // What is left to do is for the scheduler's own thread.
  const bool hand_over = !driven_ && (work_ || wake_at_ != Job::Clock::time_point::max());
  lock.unlock();
  if (hand_over) wake_.notify_one();
}

void Scheduler::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    if (work_ && !driven_) {
      TurnUnlocked(&lock);
    } else if (driven_ || wake_at_ == Job::Clock::time_point::max()) {
      wake_.wait(lock);  // a driver that stops says so where something is left
    } else if (wake_.wait_until(lock, wake_at_) == std::cv_status::timeout && !driven_) {
      work_ = true;  // a deadline has passed
    }
  }
}

void Scheduler::TurnUnlocked(std::unique_lock<std::mutex>* lock) {
  driven_ = true;
  work_ = false;
  TakeIncoming();
  driver_.store(std::this_thread::get_id());
  lock->unlock();
  bool more = true;
  try {
    more = Turn();
  } catch (const std::bad_alloc&) {
    FinishAll(NoMemoryError());
  } catch (const std::exception& e) {
    FinishAll(absl::InternalError(e.what()));
  }
  active_.remove_if([](const std::shared_ptr<Job>& job) { return job->over_; });
  more = more && !active_.empty();
  driver_.store(std::thread::id());
  lock->lock();
  driven_ = false;
  wake_at_ = next_deadline_;
  if (more) work_ = true;
}

void Scheduler::TakeIncoming() {
  stats_.jobs_queued += static_cast<int64_t>(incoming_.size());
  active_.splice(active_.end(), incoming_);
}

void Scheduler::Close() {
  closed_.store(true);
  Poke(true);
}

void Scheduler::Poke(bool ends) {
  if (ends) due_.store(true);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    work_ = true;
  }
  wake_.notify_one();
}

absl::Status Scheduler::CheckMayWait() const {
  if (driver_.load() != std::this_thread::get_id()) return absl::OkStatus();
  return ReentrantError("called from a callback on the engine's own thread, where it cannot wait");
}

SchedulerStats Scheduler::Stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  SchedulerStats stats = stats_;
  stats.jobs_queued += static_cast<int64_t>(incoming_.size());
  stats.submitted = submitted_;
  stats.refused = refused_;
  return stats;
}

void Scheduler::PublishStats() {
  now_.jobs_queued = now_.jobs_running = now_.jobs_paused = 0;
  for (const std::shared_ptr<Job>& job : active_) {
    if (job->over_) continue;
    const JobPhase phase = job->phase();
    if (phase == JobPhase::kQueued) ++now_.jobs_queued;
    if (phase == JobPhase::kPrefill || phase == JobPhase::kDecode) ++now_.jobs_running;
    if (phase == JobPhase::kPaused) ++now_.jobs_paused;
  }
  now_.forward = forward_.stats();
  std::lock_guard<std::mutex> lock(mutex_);
  stats_ = now_;
}

}  // namespace scout

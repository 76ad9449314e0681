// One turn of the scheduler: end what is due, draw tokens, build a step, run it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "lib/engine/scheduler.h"

namespace scout {

bool Scheduler::Turn() {
  looked_ = Job::Clock::now();
  const bool ended = EndAndCollect();
  const bool drew = !drawing_.empty();
  if (drew) DrawAll();
  BuildStep();
  const bool ran = !step_.spans.empty();
  if (ran) RunStep();
  Looked(Job::Clock::now());
  PublishStats();
  return ended || drew || ran;
}

// Jobs that should end are looked for now.
void Scheduler::Looked(Job::Clock::time_point now) {
  now_.longest_look =
      std::max(now_.longest_look, std::chrono::duration<double>(now - looked_).count());
  looked_ = now;
}

bool Scheduler::EndIfDue(Job* job, Job::Clock::time_point now) {
  const bool closing = !job->direct_ && closed_.load(std::memory_order_relaxed);
  if (!closing && !job->ShouldEnd(now)) return false;
  const bool cancelled = closing || job->cancelled_.load(std::memory_order_relaxed);
  Finish(job, cancelled ? DoneReason::kCancelled : DoneReason::kDeadline, absl::OkStatus());
  return true;
}

// Between layers: a job that is over leaves the step, and its session is free at once.
bool Scheduler::Leaves(int64_t span) {
  return EndIfDue(step_jobs_[static_cast<size_t>(span)]->get(), looked_);
}

// Between layers: jobs that are not in the step end too, those that came in the meantime included.
void Scheduler::Between() {
  if (options_.between_layers) options_.between_layers();
  Looked(Job::Clock::now());
  if (!due_.exchange(false) && looked_ < next_deadline_) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    TakeIncoming();
  }
  next_deadline_ = Job::Clock::time_point::max();
  for (const std::shared_ptr<Job>& job : active_) {
    if (job->over_ || (!job->has_span_ && EndIfDue(job.get(), looked_))) continue;
    // One that is over is asked for its span at once.
    if (job->deadline_ > looked_) next_deadline_ = std::min(next_deadline_, job->deadline_);
  }
}

// Ends jobs that have nothing left to do, and collects those that may draw. Whether one ended.
bool Scheduler::EndAndCollect() {
  const Job::Clock::time_point now = Job::Clock::now();
  bool ended = false;
  drawing_.clear();
  next_deadline_ = Job::Clock::time_point::max();
  for (const std::shared_ptr<Job>& pointer : active_) {
    Job& job = *pointer;
    if (EndIfDue(&job, now)) {
      ended = true;
      continue;
    }
    next_deadline_ = std::min(next_deadline_, job.deadline_);
    SessionState& s = *job.state_;
    const int64_t n = s.n_tokens();
    if (n > 0 && s.kv->length() == n && job.PendingRows() > 0 && !s.kv->Holds(n - 1)) {
      // Behind a chunk border the chunked layers are empty: the chunk before it is computed again.
      if (absl::Status status = s.kv->Truncate(n - 1); !status.ok()) {
        Finish(&job, DoneReason::kNone, std::move(status));
        ended = true;
        continue;
      }
      job.first_ = std::min(job.first_, s.kv->length());
      job.counts_.kept = std::min(job.counts_.kept, s.kv->length());
    }
    if (job.PendingRows() > 0 || !job.queue_.HasRoom(0)) continue;
    if (!job.MayDraw() || n >= s.max_tokens) {
      Finish(&job, job.MayDraw() ? DoneReason::kCapacity : DoneReason::kMaxTokens,
             absl::OkStatus());
      ended = true;
    } else if (!job.direct_ && !job.queue_.HasRoom(1)) {
      job.SetPhase(JobPhase::kPaused);
    } else if (drawing_.size() < drawing_.capacity()) {  // never allocates
      if (job.started_ == Job::Clock::time_point()) job.started_ = now;
      job.SetPhase(JobPhase::kDecode);
      drawing_.push_back(&job);
    }
  }
  return ended;
}

void Scheduler::DrawAll() {
  const Job::Clock::time_point begin = Job::Clock::now();
  auto draw = [this](int64_t i, int worker) {
    Job& job = *drawing_[static_cast<size_t>(i)];
    try {
      job.Draw(&samplers_[static_cast<size_t>(worker)]);
    } catch (const std::bad_alloc&) {
      job.draw_status_ = NoMemoryError();
    }
  };
  threads_->Run(static_cast<int64_t>(drawing_.size()), std::ref(draw));
  for (Job* job : drawing_) {
    absl::StatusOr<DoneReason> reason = DoneReason::kNone;
    try {
      reason = job->Accept();
    } catch (const std::bad_alloc&) {
      reason = NoMemoryError();
    }
    if (!reason.ok()) {
      Finish(job, DoneReason::kNone, reason.status());
      continue;
    }
    ++now_.tokens_decoded;
    if (*reason != DoneReason::kNone) Finish(job, *reason, absl::OkStatus());
  }
  now_.sampling += std::chrono::duration<double>(Job::Clock::now() - begin).count();
}

// First one row of everybody who decodes, then prefill, then those who decode and were left out.
void Scheduler::BuildStep() {
  step_.tokens.clear();
  step_.spans.clear();
  step_.wanted.clear();
  step_jobs_.clear();
  bool prefill = false;
  for (const std::shared_ptr<Job>& job : active_) {
    job->has_span_ = false;
    job->in_step_ = job->over_ || !CanRun(job.get());
    prefill = prefill || (!job->in_step_ && job->PendingRows() > 1);
  }
  // However many decode, an eighth of the rows is for prefill; of steps of one row every other.
  const int64_t most = options_.max_step_rows;
  const bool first = prefill && (most > 1 || !prefill_had_rows_);
  AddDecode(first ? most - std::max<int64_t>(1, most / 8) : most);
  const int64_t decode = static_cast<int64_t>(step_.tokens.size());
  AddPrefill(decode > 0 ? std::min(most - decode, options_.max_mixed_rows) : most);
  prefill_had_rows_ = static_cast<int64_t>(step_.tokens.size()) > decode;
  if (AddDecode(most)) return;
  // The next step begins with those who found no place.
  for (JobList::iterator it : step_jobs_) active_.splice(active_.end(), active_, it);
}

// Whether the job has rows that a step can take now. One that waits for its reader has to wait, and
// so has one whose caller is in its callback.
bool Scheduler::CanRun(Job* job) {
  if (job->PendingRows() == 0) return false;
  const bool next_is_wanted =
      job->next_row_ < job->n_rows_ && job->rows_[job->next_row_] == job->state_->kv->length();
  const bool no_buffer = !job->direct_ && next_is_wanted && !job->queue_.HasRowBuffer();
  if (no_buffer) {
    job->SetPhase(JobPhase::kPaused);
  } else if (job->phase() == JobPhase::kPaused) {
    job->SetPhase(job->counts_.generated > 0 ? JobPhase::kDecode : JobPhase::kPrefill);
  }
  if (!no_buffer && job->queue_.HasRoom(0)) return true;
  job->away_ = true;
  return false;
}

// A row of everybody who decodes, up to most_rows in the step. False where somebody found no place.
bool Scheduler::AddDecode(int64_t most_rows) {
  for (auto it = active_.begin(); it != active_.end(); ++it) {
    if ((*it)->in_step_ || (*it)->PendingRows() != 1) continue;
    if (static_cast<int64_t>(step_.tokens.size()) >= most_rows) return false;
    AddSpan(it, 1);
  }
  return true;
}

// Shares `budget` rows among those who can run: between priorities by weight, within one by
// deadline, then by rows served.
void Scheduler::AddPrefill(int64_t budget) {
  auto waits = [](const Job& job) { return !job.in_step_ && job.PendingRows() > 1; };
  auto class_of = [this](const Job& job) -> PriorityClass& {
    return classes_[job.options_.priority + kPriorities / 2];
  };
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double least[kPriorities];  // served_ of those without deadline who were there before
  std::fill(least, least + kPriorities, kNone);
  for (PriorityClass& c : classes_) c.n_jobs = c.n_open = 0;
  for (const std::shared_ptr<Job>& job : active_) {
    if (!waits(*job)) continue;
    PriorityClass& c = class_of(*job);
    // Who comes anew begins where the others are, and brings no claim from the past.
    if (++c.n_jobs == 1) c.served = std::max(c.served, clock_);
    if (job->HasDeadline()) continue;
    ++c.n_open;
    double& l = least[&c - classes_];
    if (!job->away_) l = std::min(l, job->served_);
  }
  // Nobody can come in ahead of all who are there (Bennett and Zhang 1996, WF2Q+).
  for (int i = 0; i < kPriorities; ++i) {
    if (least[i] != kNone) classes_[i].level = std::max(classes_[i].level, least[i]);
  }
  for (const std::shared_ptr<Job>& job : active_) {
    if (!waits(*job) || !std::exchange(job->away_, false)) continue;
    job->served_ = std::max(job->served_, class_of(*job).level);
  }
  auto before = [&](const Job& a, const Job& b) {
    if (a.options_.priority != b.options_.priority) {
      const double x = class_of(a).served, y = class_of(b).served;
      return x < y || (x == y && a.options_.priority > b.options_.priority);
    }
    if (a.deadline_ != b.deadline_) return a.deadline_ < b.deadline_;
    if (a.served_ != b.served_) return a.served_ < b.served_;
    return a.started_ == Job::Clock::time_point() && b.started_ != Job::Clock::time_point();
  };
  while (budget > 0) {
    auto best = active_.end();
    for (auto it = active_.begin(); it != active_.end(); ++it) {
      if (waits(**it) && (best == active_.end() || before(**it, **best))) best = it;
    }
    if (best == active_.end()) return;
    Job& job = **best;
    AddSpan(best, budget);
    const auto rows = static_cast<double>(step_.spans.back().n_rows);
    budget -= step_.spans.back().n_rows;
    PriorityClass& c = class_of(job);
    clock_ = c.served;
    c.served += std::ldexp(rows, -job.options_.priority) / static_cast<double>(c.n_jobs);
    job.served_ += rows;
    if (!job.HasDeadline()) c.level += rows / static_cast<double>(c.n_open);
  }
}

// At most most_rows of the next rows of a job that can run.
void Scheduler::AddSpan(JobList::iterator it, int64_t most_rows) {
  Job& job = **it;
  SessionState& s = *job.state_;
  job.in_step_ = true;
  const int64_t n = s.n_tokens();
  StepSpan span;
  span.kv = s.kv.get();
  span.stored = s.kv->length() == n;  // the last row once more, for its logits alone
  span.position = span.stored ? n - 1 : s.kv->length();
  span.wanted_begin = static_cast<int64_t>(step_.wanted.size());
  int64_t end = n;
  if (!span.stored) {
    const KvLayout& layout = s.kv->layout();
    end = std::min({n, span.position + most_rows, layout.ChunkStart(span.position) + layout.chunk});
    AddRows(&job, span.position, &end);
  }
  span.n_rows = end - span.position;
  if (end == n) {
    const bool wanted = static_cast<int64_t>(step_.wanted.size()) > span.wanted_begin &&
                        step_.wanted.back().row == span.n_rows - 1;
    if (!wanted) step_.wanted.push_back({span.n_rows - 1, s.logits.data()});
    s.logits_tokens = -1;  // they are being written
  }
  span.n_wanted = static_cast<int64_t>(step_.wanted.size()) - span.wanted_begin;
  if (!span.stored) s.kv->PrepareAppend(span.n_rows);
  step_.tokens.insert(step_.tokens.end(), s.tokens.begin() + span.position, s.tokens.begin() + end);
  step_.spans.push_back(span);
  step_jobs_.push_back(it);
  job.has_span_ = true;
  if (job.started_ == Job::Clock::time_point()) job.started_ = Job::Clock::now();
  job.SetPhase(job.counts_.generated > 0 ? JobPhase::kDecode : JobPhase::kPrefill);
}

// The wanted rows of [begin, *end). A row that has no buffer yet ends the piece before it.
void Scheduler::AddRows(Job* job, int64_t begin, int64_t* end) {
  const int64_t vocab = static_cast<int64_t>(job->state_->logits.size());
  for (; job->next_row_ < job->n_rows_ && job->rows_[job->next_row_] < *end; ++job->next_row_) {
    const int64_t row = job->rows_[job->next_row_];
    float* const logits =
        job->direct_ ? job->direct_logits_ + job->next_row_ * vocab : job->queue_.TakeRowBuffer();
    if (logits == nullptr) {
      *end = row;
      return;
    }
    step_.wanted.push_back({row - begin, logits});
  }
}

void Scheduler::RunStep() {
  const int64_t n = static_cast<int64_t>(step_.tokens.size());
  int bucket = 0;
  while (bucket + 1 < SchedulerStats::kBuckets && (int64_t{1} << bucket) < n) ++bucket;
  ++now_.steps;
  ++now_.steps_by_rows[bucket];
  PublishStats();  // what runs now is in the numbers that others see
  forward_.Run(&step_);
  for (size_t i = 0; i < step_.spans.size(); ++i) {
    if (step_.spans[i].n_rows > 0) FinishSpan(step_jobs_[i]->get(), step_.spans[i]);
  }
}

void Scheduler::FinishSpan(Job* job, const StepSpan& span) {
  SessionState& s = *job->state_;
  if (!span.stored) s.kv->FinishAppend(span.n_rows);
  const bool prompt = !span.stored && job->counts_.generated == 0 && !job->continues_;
  if (prompt) now_.tokens_prefilled += span.n_rows;
  const int64_t end = span.position + span.n_rows;
  const WantedRow* const wanted = step_.wanted.data() + span.wanted_begin;
  if (end == s.n_tokens()) {
    const float* const last = wanted[span.n_wanted - 1].logits;
    if (last != s.logits.data()) {
      std::memcpy(s.logits.data(), last, s.logits.size() * sizeof(float));
    }
    s.logits_tokens = end;
  }
  s.position.store(std::max(job->keep_, s.kv->length()), std::memory_order_relaxed);
  for (int64_t i = 0; !job->direct_ && i < span.n_wanted; ++i) {
    if (wanted[i].logits == s.logits.data()) continue;
    JobEvent& event = job->queue_.slot();
    event.kind = JobEvent::Kind::kRow;
    event.position = span.position + wanted[i].row;
    event.logits = wanted[i].logits;
    event.text.clear();
    job->queue_.Push();
  }
  if (!prompt || !job->progress_) return;
  const int64_t done = s.kv->length() - job->first_, total = job->prompt_ - job->first_;
  const double seconds = std::chrono::duration<double>(Job::Clock::now() - job->started_).count();
  job->queue_.PushProgress(done, total, job->counts_.kept,
                           seconds * static_cast<double>(total - done) / static_cast<double>(done));
}

void Scheduler::Finish(Job* job, DoneReason reason, absl::Status status) {
  const bool ok = status.ok();
  job->FillFinal(reason, std::move(status), Job::Clock::now());
  const JobEvent& event = job->queue_.final_slot();
  job->over_ = true;
  if (!job->direct_) {
    ++(ok ? now_.done[static_cast<int>(reason)] : now_.failed);
    try {
      if (!ok && logger_.enabled(LogLevel::kWarning)) {
        logger_.Log(LogLevel::kWarning, absl::StrCat("a job failed after ", event.position,
                                                     " tokens: ", event.status.message()));
      }
      if (logger_.enabled(LogLevel::kDebug)) {
        logger_.Log(
            LogLevel::kDebug,
            absl::StrCat("job over: ", event.counts.kept, " tokens kept, ", event.counts.computed,
                         " computed in ", event.times.prefill, " s, ", event.counts.generated,
                         " drawn in ", event.times.decode, " s, queued for ", event.times.queued,
                         " s, reason ", static_cast<int>(reason)));
      }
    } catch (const std::bad_alloc&) {
      // The line is lost, the job's end is not.
    }
  }
  std::shared_ptr<SessionState> state = std::move(job->state_);
  std::shared_ptr<Scheduler> link;
  {
    std::lock_guard<std::mutex> lock(job->link_mutex_);
    link = std::move(job->scheduler_);
  }
  if (!job->direct_) {
    std::lock_guard<std::mutex> lock(mutex_);
    --n_jobs_;
  }
  PublishStats();
  state->busy.store(false, std::memory_order_release);
  // The session and its engine may end here. Before the event is seen, so that whoever sees it and
  // frees its handles then is the last to hold them.
  state.reset();
  job->queue_.PushFinal();
}

void Scheduler::FinishAll(const absl::Status& status) {
  for (const std::shared_ptr<Job>& job : active_) {
    if (!job->over_) Finish(job.get(), DoneReason::kNone, status);
  }
}

}  // namespace scout

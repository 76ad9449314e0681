#include "lib/engine/events.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace scout {

EventQueue::EventQueue(int64_t capacity, int64_t n_row_buffers, int64_t vocab, bool lockstep)
    : lockstep_(lockstep),
      ring_(static_cast<size_t>(capacity)),
      row_memory_(static_cast<size_t>(n_row_buffers * vocab)) {
  free_rows_.reserve(static_cast<size_t>(n_row_buffers));
  for (int64_t i = 0; i < n_row_buffers; ++i) {
    free_rows_.push_back(row_memory_.data() + i * vocab);
  }
}

bool EventQueue::HasRoom(size_t n) {
  std::lock_guard<std::mutex> lock(mutex_);
  const bool waits = lockstep_ && (progress_unread_ || progress_held_);
  if (!waits && count_ + rows_promised_ + n <= ring_.size()) return true;
  starved_ = true;
  return false;
}

bool EventQueue::HasRowBuffer() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (RowBufferFree()) return true;
  starved_ = true;
  return false;
}

float* EventQueue::TakeRowBuffer() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!RowBufferFree()) {
    starved_ = true;
    return nullptr;
  }
  ++rows_promised_;
  float* const buffer = free_rows_.back();
  free_rows_.pop_back();
  return buffer;
}

void EventQueue::Push() {
  const bool row = ring_[tail_].kind == JobEvent::Kind::kRow;
  tail_ = (tail_ + 1) % ring_.size();
  std::lock_guard<std::mutex> lock(mutex_);
  if (row) --rows_promised_;
  ++count_;
  ready_.notify_all();
}

void EventQueue::PushProgress(int64_t done, int64_t total, int64_t kept, double seconds_left) {
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.kind = JobEvent::Kind::kProgress;
  progress_.done = done;
  progress_.total = total;
  progress_.counts.kept = kept;
  progress_.seconds_left = seconds_left;
  progress_unread_ = true;
  ready_.notify_all();
}

void EventQueue::PushFinal() {
  std::lock_guard<std::mutex> lock(mutex_);
  end_ = kFinal;
  ready_.notify_all();
}

bool EventQueue::Release() {
  std::lock_guard<std::mutex> lock(mutex_);
  progress_held_ = false;
  if (held_row_ != nullptr) free_rows_.push_back(std::exchange(held_row_, nullptr));
  return std::exchange(starved_, false);
}

bool EventQueue::Pop(int64_t timeout_ms, JobEvent* event) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto unread = [this] { return Unread(); };
  if (timeout_ms < 0) {
    ready_.wait(lock, unread);
  } else {
    constexpr int64_t kMost = int64_t{1} << 40;  // 34 years; the clock counts on from it
    ready_.wait_for(lock, std::chrono::milliseconds(std::min(timeout_ms, kMost)), unread);
  }
  event->kind = JobEvent::Kind::kNone;
  if (progress_unread_) {
    progress_unread_ = false;
    progress_held_ = true;
    std::swap(*event, progress_);
    return false;
  }
  if (count_ > 0) {
    std::swap(*event, ring_[first_]);
    first_ = (first_ + 1) % ring_.size();
    --count_;
    if (event->kind == JobEvent::Kind::kRow) held_row_ = event->logits;
    return std::exchange(starved_, false);
  }
  if (end_ == kFinal) {
    end_ = kTaken;
    std::swap(*event, final_);
  }
  return false;
}

bool EventQueue::HasEvent() {
  std::lock_guard<std::mutex> lock(mutex_);
  return Unread();
}

bool EventQueue::final_taken() {
  std::lock_guard<std::mutex> lock(mutex_);
  return end_ == kTaken;
}

bool EventQueue::ended() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return end_ != kOpen;
}

}  // namespace scout

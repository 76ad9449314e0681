// What a job tells its reader, and the bounded queue between the two. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "lib/sample/sampler.h"
#include "lib/util/status.h"

namespace scout {

// Same numbers as SCOUT_DONE_* of scout.h.
enum class DoneReason : int32_t {
  kNone = 0,
  kEndToken = 1,    // a token that ends an answer
  kStopToken = 2,   // one of the job's stop tokens
  kStopString = 3,  // one of the job's stop strings
  kMaxTokens = 4,   // as many as were asked for
  kCapacity = 5,    // the session holds its max_tokens
  kCancelled = 6,
  kDeadline = 7,
};
inline constexpr int kDoneReasons = 8;

struct JobCounts {
  int64_t kept = 0;       // tokens whose KV was there already
  int64_t dropped = 0;    // tokens that the session held before and no longer
  int64_t computed = 0;   // prompt tokens that went through the model
  int64_t generated = 0;  // tokens drawn
};
struct JobTimes {      // seconds
  double queued = 0;   // from submission to the first rows
  double prefill = 0;  // from there to the first token, or the end
  double decode = 0;   // from there to the end
};

struct JobEvent {
  // Same numbers as SCOUT_EVENT_* of scout.h.
  enum class Kind : int32_t { kNone = 0, kProgress, kToken, kRow, kDone, kError };
  Kind kind = Kind::kNone;
  int32_t token = -1;
  float logprob = 0;
  int64_t position = 0;           // of the token, or of the row
  std::string text;               // of a token, or at the end what was held back; whole characters
  std::vector<TokenLogProb> top;  // of a token
  float* logits = nullptr;        // of a row, (vocab), owned by the queue
  int64_t done = 0, total = 0;    // progress, in prompt tokens that have to be computed
  double seconds_left = 0;        // progress: estimated, to the end of the prompt
  DoneReason reason = DoneReason::kNone;
  int32_t stop_index = -1;  // kStopToken, kStopString: which
  absl::Status status;      // kError
  JobCounts counts;         // progress (kept), kDone, kError
  JobTimes times;           // kDone, kError
  bool final() const { return kind == Kind::kDone || kind == Kind::kError; }
};

// One writer, one reader. Holds `capacity` token and row events, one progress event, of which the
// last replaces an unread one and which comes ahead of the others, and the final event. All its
// memory but that of texts is taken at creation. Where a writer found no room, the read that makes
// some says so.
class EventQueue {
 public:
  // n_row_buffers of (vocab) floats. lockstep: the writer waits until its progress event is read
  // and released.
  EventQueue(int64_t capacity, int64_t n_row_buffers, int64_t vocab, bool lockstep);

  // ---- The writer ----
  // Whether `n` token events fit; false also while lockstep waits. What is not there now is
  // remembered until the reader makes room.
  bool HasRoom(size_t n);
  // Whether TakeRowBuffer would give one now; remembered as for HasRoom.
  bool HasRowBuffer();
  // A row buffer of the queue, with room for its event, or null.
  float* TakeRowBuffer();
  // What the next Push adds; there must be room for it.
  JobEvent& slot() { return ring_[tail_]; }
  void Push();
  void PushProgress(int64_t done, int64_t total, int64_t kept, double seconds_left);
  JobEvent& final_slot() { return final_; }
  void PushFinal();

  // ---- The reader ----
  // Takes back what the last event gave out. True where the writer waits for room and there is
  // some.
  bool Release();
  // The next event into *event, kNone where none came in time (milliseconds; -1: no limit). True as
  // Release. What *event held before is lost.
  bool Pop(int64_t timeout_ms, JobEvent* event);
  bool HasEvent();
  bool final_taken();
  // Whether the final event can be read, or was.
  bool ended() const;

 private:
  bool RowBufferFree() const {
    return !free_rows_.empty() && count_ + rows_promised_ < ring_.size();
  }
  bool Unread() const { return progress_unread_ || count_ > 0 || end_ == kFinal; }

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  const bool lockstep_;
  std::vector<JobEvent> ring_;
  size_t first_ = 0, count_ = 0;  // unread events
  size_t tail_ = 0;               // the writer's alone
  std::vector<float> row_memory_;
  std::vector<float*> free_rows_;
  size_t rows_promised_ = 0;   // buffers taken and not pushed yet
  float* held_row_ = nullptr;  // of the event that the reader has
  bool starved_ = false;       // the writer found no room
  bool progress_unread_ = false, progress_held_ = false;
  JobEvent progress_, final_;
  enum { kOpen, kFinal, kTaken } end_ = kOpen;
};

}  // namespace scout

// What a person at the terminal sees and does: progress bars, Ctrl-C, checked output.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "tools/failure.h"

namespace scout::tool {

// From here on the first Ctrl-C (or SIGTERM) only sets a flag, the second ends the process; writing
// to a closed pipe is an error instead of a signal. Call again to forget an earlier Ctrl-C.
void CatchInterrupts();
bool Interrupted();

class Clock {
 public:
  Clock() : start_(std::chrono::steady_clock::now()) {}
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_;
};

// One line on stderr that is drawn over and over, only where stderr is a terminal; also the place
// where long calls learn of a Ctrl-C. Erased by the destructor.
class Progress {
 public:
  enum class Unit { kBytes, kTokens, kFiles, kLines };
  Progress(std::string what, Unit unit, bool shown = true);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  // A scout_progress_fn; `user` is a Progress.
  static int32_t Callback(void* user, int64_t done, int64_t total);
  // Where the work takes several calls: what earlier calls did, and the whole.
  void SetPart(int64_t before, int64_t whole) {
    before_ = before;
    whole_ = whole;
  }

 private:
  void Draw(int64_t done, int64_t total);
  std::string what_;
  Unit unit_;
  bool shown_;
  bool drawn_ = false;
  int64_t before_ = 0, whole_ = 0;
  double last_ = -1;  // seconds
  Clock clock_;
};

// Writes to stdout; a full disk or a closed pipe is a Failure. Out does not flush.
Failure Out(std::string_view text);
Failure FlushOut();

// A number with `decimals` digits behind the point.
std::string Fixed(double value, int decimals);
// "1.2 MiB"
std::string Bytes(int64_t n);
// Tokens per second, as text; "-" where nothing was measured.
std::string Rate(int64_t tokens, double seconds);

}  // namespace scout::tool

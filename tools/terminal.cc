// Terminal output and signals. SPDX-License-Identifier: Apache-2.0
#include "tools/terminal.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace scout::tool {
namespace {

// Set by the signal handler.
volatile sig_atomic_t interrupted = 0;

void OnInterrupt(int) { interrupted = 1; }

}  // namespace

void CatchInterrupts() {
  interrupted = 0;
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_handler = OnInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // without SA_RESTART: reads return
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  action.sa_flags = 0;
  sigaction(SIGPIPE, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }

Progress::Progress(std::string what, Unit unit, bool shown)
    : what_(std::move(what)), unit_(unit), shown_(shown && isatty(2)) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

int32_t Progress::Callback(void* user, int64_t done, int64_t total) {
  auto* self = static_cast<Progress*>(user);
  if (self->shown_) {
    self->Draw(self->before_ + done, self->whole_ > 0 ? self->whole_ : total);
  }
  return Interrupted() ? 1 : 0;
}

void Progress::Draw(int64_t done, int64_t total) {
  double now = clock_.Seconds();
  if (last_ >= 0 && now - last_ < 0.05 && done < total) return;
  last_ = now;
  drawn_ = true;
  if (unit_ == Unit::kFiles && total == 0) {  // how many there will be is not known yet
    std::fputs(("\r" + what_ + ": " + std::to_string(done) + " files\x1b[K").c_str(), stderr);
    return;
  }
  constexpr int kWidth = 30;
  double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
  int filled = static_cast<int>(share * kWidth);
  std::string line = "\r" + what_ + " [";
  for (int i = 0; i < kWidth; ++i) line += i < filled ? '#' : '.';
  line += "] " + Fixed(100 * share, 0) + " %  ";
  if (unit_ == Unit::kBytes) {
    line += Bytes(done) + " of " + Bytes(total);
  } else if (unit_ == Unit::kFiles) {
    line += std::to_string(done) + " of " + std::to_string(total) + " files";
  } else if (unit_ == Unit::kLines) {
    line += std::to_string(done) + " of " + std::to_string(total) + " lines";
    if (done > before_ && done < total) {
      const double left =
          now / static_cast<double>(done - before_) * static_cast<double>(total - done);
      line += ", " + Fixed(left, 0) + " s left";
    }
  } else {
    line += std::to_string(done) + " of " + std::to_string(total) + " tokens, " +
            Rate(done - before_, now) + " tokens/s";
  }
  line += "\x1b[K";
  std::fputs(line.c_str(), stderr);
}

Failure Out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size()) return Ok();
  return SystemFailure(kExitError, "standard output", errno);
}

Failure FlushOut() {
  if (std::fflush(stdout) == 0) return Ok();
  return SystemFailure(kExitError, "standard output", errno);
}

std::string Fixed(double value, int decimals) {
  char text[400];
  auto end = std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, decimals);
  return std::string(text, end.ptr);
}

std::string Bytes(int64_t n) {
  const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(n);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  return Fixed(value, unit == 0 ? 0 : 1) + " " + units[unit];
}

std::string Rate(int64_t tokens, double seconds) {
  if (tokens <= 0 || seconds <= 0) return "-";
  double rate = static_cast<double>(tokens) / seconds;
  return Fixed(rate, rate < 100 ? 1 : 0);
}

}  // namespace scout::tool

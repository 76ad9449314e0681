// Log lines go to a callback of the object that writes them; nothing is ever printed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace scout {

// Same numbers as SCOUT_LOG_* of scout.h.
enum class LogLevel : int32_t { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

class Logger {
 public:
  using Sink = void (*)(void* user, int32_t level, const char* message);
  using Release = void (*)(void* user);
  Logger() = default;
  Logger(Sink sink, void* user, int32_t level) : sink_(sink), user_(user), level_(level) {}

  // A logger whose last copy calls release(user), once Arm was called on any of them: no line comes
  // after that. Throws std::bad_alloc.
  Logger(Sink sink, void* user, int32_t level, Release release) : Logger(sink, user, level) {
    if (release == nullptr) return;
    owned_ = std::shared_ptr<Owned>(new Owned{release, user}, [](Owned* owned) {
      if (owned->armed) owned->release(owned->user);
      delete owned;
    });
  }
  void Arm() const {
    if (owned_ != nullptr) owned_->armed = true;
  }

  bool enabled(LogLevel level) const {
    return sink_ != nullptr && static_cast<int32_t>(level) <= level_;
  }
  void Log(LogLevel level, const std::string& message) const {
    if (enabled(level)) sink_(user_, static_cast<int32_t>(level), message.c_str());
  }

 private:
  struct Owned {
    Release release;
    void* user;
    bool armed = false;
  };
  Sink sink_ = nullptr;
  void* user_ = nullptr;
  int32_t level_ = 0;
  std::shared_ptr<Owned> owned_;
};

// Returns false to cancel. Counts are in the unit of the work at hand.
using Progress = std::function<bool(int64_t done, int64_t total)>;

}  // namespace scout

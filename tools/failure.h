// What went wrong in the command, with the exit code that says so; no exceptions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "scout.h"

namespace scout::tool {

// Documented in docs/command.md and in `scout --help`.
enum ExitCode {
  kExitOk = 0,
  kExitError = 1,      // failed while running
  kExitUsage = 2,      // a wrong option or argument
  kExitInput = 3,      // a file is missing, unreadable, corrupt or of an unsupported kind
  kExitCancelled = 4,  // Ctrl-C
  kExitLimit = 5,      // out of memory, threads, context or KV budget
  kExitErrors = 6,     // a batch is whole, and some of its lines are answered with an error
};

// Empty (false) means success.
struct [[nodiscard]] Failure {
  int code = kExitOk;
  std::string text;
  explicit operator bool() const { return code != kExitOk; }
};

inline Failure Ok() { return {}; }
inline Failure Usage(std::string text) { return {kExitUsage, std::move(text)}; }
inline Failure BadInput(std::string text) { return {kExitInput, std::move(text)}; }
inline Failure RunError(std::string text) { return {kExitError, std::move(text)}; }

// A failure of the operating system on a file: "PATH: No such file or directory".
Failure SystemFailure(int code, const std::string& path, int error_number);

// The library's result as a Failure; `error` stays the caller's.
Failure Describe(scout_status status, const scout_error* error);
// The same; takes and frees `error`.
Failure FromLibrary(scout_status status, scout_error* error);

// `text` with control characters escaped and cut after `limit` bytes: names in errors may come from
// an untrusted file.
std::string Printable(const std::string& text, size_t limit = 2000);

// One line on stderr: "scout: COMMAND: text".
void PrintFailure(const char* command, const Failure& failure);

}  // namespace scout::tool

#define TOOL_TRY(...)                                                                           \
  do {                                                                                          \
    if (::scout::tool::Failure tool_failure = (__VA_ARGS__); tool_failure) return tool_failure; \
  } while (0)

// Calls a library function whose last argument is scout_error **: TOOL_CALL(scout_x, a, b).
#define TOOL_CALL(function, ...)                                                                \
  do {                                                                                          \
    scout_error* tool_error = nullptr;                                                          \
    if (scout_status tool_status = function(__VA_ARGS__, &tool_error); tool_status != SCOUT_OK) \
      return ::scout::tool::FromLibrary(tool_status, tool_error);                               \
  } while (0)

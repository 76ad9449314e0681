// Errors inside the library: absl::Status, with the place (file, tensor, offset) as a payload.
// SPDX-License-Identifier: Apache-2.0
//
// Status codes and what they become at the C edge (lib/api/error.cc):
//   InvalidArgument    -> INVALID_ARGUMENT   NotFound          -> NOT_FOUND
//   DataLoss           -> CORRUPT            Unimplemented     -> UNSUPPORTED
//   Unavailable        -> IO                 ResourceExhausted -> CAPACITY
//   Cancelled          -> CANCELLED          Aborted           -> BUSY
//   FailedPrecondition -> INVALID_STATE      Internal          -> INTERNAL
//   OutOfRange         -> BUFFER_TOO_SMALL
//   std::bad_alloc     -> OUT_OF_MEMORY      IsNoThreadError() -> NO_THREAD
//   Unknown            -> OUT_OF_MEMORY (NoMemoryError)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace scout {

// Where an error lies. Empty strings and -1 where not known.
struct ErrorPlace {
  std::string file = {};
  std::string tensor = {};
  int64_t offset = -1;
};

// `status` with the parts of `place` that it does not have yet. OK stays OK.
absl::Status AtPlace(absl::Status status, const ErrorPlace& place);
ErrorPlace PlaceOf(const absl::Status& status);

// A distribution may build abseil with a string_view class of its own (Debian does): there the
// standard one does not convert by itself, neither as an argument nor as a key of a flat_hash_map.
inline absl::string_view AbslView(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

inline absl::Status CorruptError(std::string_view message) {
  return absl::DataLossError(AbslView(message));
}
inline absl::Status UnsupportedError(std::string_view message) {
  return absl::UnimplementedError(AbslView(message));
}
inline absl::Status IoError(std::string_view message) {
  return absl::UnavailableError(AbslView(message));
}
// For a failed allocation that another thread has to be told of. Itself it allocates nothing.
inline absl::Status NoMemoryError() { return absl::Status(absl::StatusCode::kUnknown, ""); }
inline bool IsNoMemoryError(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnknown;
}
// A call from inside a callback, where it would wait for itself (SCOUT_REENTRANT at the C edge).
inline absl::Status ReentrantError(std::string_view message) {
  absl::Status status = absl::FailedPreconditionError(AbslView(message));
  status.SetPayload("scout/reentrant", absl::Cord());
  return status;
}
inline absl::Status CapacityError(std::string_view message) {
  return absl::ResourceExhaustedError(AbslView(message));
}

}  // namespace scout

#define SCOUT_CONCAT_INNER(a, b) a##b
#define SCOUT_CONCAT(a, b) SCOUT_CONCAT_INNER(a, b)

// Returns from the enclosing function where the expression is an error.
#define SCOUT_RETURN_IF_ERROR(expr)                                                     \
  do {                                                                                  \
    if (absl::Status scout_status_ = (expr); !scout_status_.ok()) return scout_status_; \
  } while (0)

// SCOUT_ASSIGN_OR_RETURN(auto x, StatusOrExpression());
#define SCOUT_ASSIGN_OR_RETURN(lhs, expr) \
  SCOUT_ASSIGN_OR_RETURN_IMPL(SCOUT_CONCAT(scout_statusor_, __LINE__), lhs, expr)
#define SCOUT_ASSIGN_OR_RETURN_IMPL(var, lhs, expr) \
  auto var = (expr);                                \
  if (!var.ok()) return std::move(var).status();    \
  lhs = *std::move(var)

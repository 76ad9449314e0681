// Error objects and the mapping of absl::Status to scout_status.
#include <string>

#include "lib/api/edge.h"
#include "lib/engine/scheduler.h"
#include "lib/util/thread_pool.h"

struct scout_error {
  scout_status code = SCOUT_OK;
  std::string message, file, tensor;
  int64_t offset = -1;
};

namespace scout::api {
namespace {

// Handed out where no memory is left for an error object; scout_error_free knows it.
scout_error* OutOfMemoryObject() {
  static scout_error object{SCOUT_OUT_OF_MEMORY, "out of memory", "", "", -1};  // fits without heap
  return &object;
}

scout_status CodeOf(const absl::Status& status) {
  if (IsNoThreadError(status)) return SCOUT_NO_THREAD;
  if (IsQueueFullError(status)) return SCOUT_QUEUE_FULL;
  if (status.GetPayload("scout/forked")) return SCOUT_FORKED;
  if (status.GetPayload("scout/reentrant")) return SCOUT_REENTRANT;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return SCOUT_OK;
    case absl::StatusCode::kInvalidArgument:
      return SCOUT_INVALID_ARGUMENT;
    case absl::StatusCode::kNotFound:
      return SCOUT_NOT_FOUND;
    case absl::StatusCode::kDataLoss:
      return SCOUT_CORRUPT;
    case absl::StatusCode::kUnimplemented:
      return SCOUT_UNSUPPORTED;
    case absl::StatusCode::kUnavailable:
      return SCOUT_IO;
    case absl::StatusCode::kResourceExhausted:
      return SCOUT_CAPACITY;
    case absl::StatusCode::kCancelled:
      return SCOUT_CANCELLED;
    case absl::StatusCode::kAborted:
      return SCOUT_BUSY;
    case absl::StatusCode::kFailedPrecondition:
      return SCOUT_INVALID_STATE;
    case absl::StatusCode::kOutOfRange:
      return SCOUT_BUFFER_TOO_SMALL;
    case absl::StatusCode::kUnknown:
      return SCOUT_OUT_OF_MEMORY;
    default:
      return SCOUT_INTERNAL;
  }
}

}  // namespace

scout_status FailOutOfMemory(scout_error** error) noexcept {
  if (error != nullptr) *error = OutOfMemoryObject();
  return SCOUT_OUT_OF_MEMORY;
}

scout_status Fail(scout_error** error, scout_status code, const char* message) noexcept {
  if (error == nullptr) return code;
  try {
    auto object = std::make_unique<scout_error>();
    object->code = code;
    object->message = message;
    *error = object.release();
    return code;
  } catch (...) {
    return FailOutOfMemory(error);
  }
}

scout_status Fail(scout_error** error, const absl::Status& status) noexcept {
  if (IsNoMemoryError(status)) return FailOutOfMemory(error);
  try {
    const scout_status code = CodeOf(status);
    if (error == nullptr) return code;
    auto object = std::make_unique<scout_error>();
    object->code = code;
    object->message = std::string(status.message());
    ErrorPlace place = PlaceOf(status);
    object->file = std::move(place.file);
    object->tensor = std::move(place.tensor);
    object->offset = place.offset;
    *error = object.release();
    return code;
  } catch (...) {
    return FailOutOfMemory(error);
  }
}

absl::Status NullError(const char* argument) {
  return absl::InvalidArgumentError(absl::StrCat(argument, " is NULL"));
}

absl::Status ForkedError() {
  absl::Status status = absl::FailedPreconditionError(
      "the handle was made before fork(2); make a new one in this process");
  status.SetPayload("scout/forked", absl::Cord());
  return status;
}

absl::Status ReadOptions(const void* in, const char* name, size_t known, void* out) {
  if (in == nullptr) return absl::OkStatus();
  uint32_t size = 0;
  std::memcpy(&size, in, sizeof size);
  if (size < sizeof size || size % 4 != 0 || size > 4096) {
    return absl::InvalidArgumentError(absl::StrCat(name, ".struct_size is ", size, ", known is ",
                                                   known, ": was the struct initialised?"));
  }
  const auto* bytes = static_cast<const uint8_t*>(in);
  for (size_t i = known; i < size; ++i) {
    if (bytes[i] != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " comes from a newer header: it sets a field at byte ", i,
                       " that this library of ", known, " bytes does not know"));
    }
  }
  std::memcpy(out, in, size < known ? size : known);
  const auto full = static_cast<uint32_t>(known);
  std::memcpy(out, &full, sizeof full);
  return absl::OkStatus();
}

absl::Status CheckReserved(uint64_t value, const char* name) {
  if (value == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ".reserved is ", value, ", not 0"));
}

absl::Status CheckResult(const void* out, const char* name, size_t known) {
  if (out == nullptr) return NullError(name);
  uint32_t size = 0;
  std::memcpy(&size, out, sizeof size);
  if (size >= sizeof size && size % 4 == 0 && size <= 4096) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ".struct_size is ", size, ", known is ",
                                                 known, ": set it before the call"));
}

absl::Status WriteResult(const void* from, const char* name, size_t known, void* out) {
  SCOUT_RETURN_IF_ERROR(CheckResult(out, name, known));
  uint32_t size = 0;
  std::memcpy(&size, out, sizeof size);
  auto* to = static_cast<uint8_t*>(out);
  const size_t n = size < known ? size : known;
  std::memcpy(to + sizeof size, static_cast<const uint8_t*>(from) + sizeof size, n - sizeof size);
  std::memset(to + n, 0, size - n);
  return absl::OkStatus();
}

}  // namespace scout::api

extern "C" {

scout_status scout_error_code(const scout_error* error) { return error ? error->code : SCOUT_OK; }
const char* scout_error_message(const scout_error* error) {
  return error ? error->message.c_str() : "";
}
const char* scout_error_file(const scout_error* error) { return error ? error->file.c_str() : ""; }
const char* scout_error_tensor(const scout_error* error) {
  return error ? error->tensor.c_str() : "";
}
int64_t scout_error_offset(const scout_error* error) { return error ? error->offset : -1; }
void scout_error_free(scout_error* error) {
  if (error != scout::api::OutOfMemoryObject()) delete error;
}

const char* scout_status_name(scout_status status) {
  static constexpr const char* kNames[] = {
      "SCOUT_OK",       "SCOUT_INVALID_ARGUMENT", "SCOUT_NOT_FOUND",
      "SCOUT_CORRUPT",  "SCOUT_UNSUPPORTED",      "SCOUT_OUT_OF_MEMORY",
      "SCOUT_IO",       "SCOUT_CAPACITY",         "SCOUT_CANCELLED",
      "SCOUT_BUSY",     "SCOUT_INVALID_STATE",    "SCOUT_REENTRANT",
      "SCOUT_FORKED",   "SCOUT_NO_THREAD",        "SCOUT_BUFFER_TOO_SMALL",
      "SCOUT_INTERNAL", "SCOUT_QUEUE_FULL"};
  return status >= 0 && status < static_cast<int32_t>(std::size(kNames)) ? kNames[status]
                                                                         : "SCOUT_UNKNOWN";
}

uint32_t scout_version(void) {
  return SCOUT_VERSION_MAJOR * 1000000u + SCOUT_VERSION_MINOR * 1000u + SCOUT_VERSION_PATCH;
}
#define SCOUT_TEXT_INNER(x) #x
#define SCOUT_TEXT(x) SCOUT_TEXT_INNER(x)
const char* scout_version_string(void) {
  return SCOUT_TEXT(SCOUT_VERSION_MAJOR) "." SCOUT_TEXT(SCOUT_VERSION_MINOR) "." SCOUT_TEXT(
      SCOUT_VERSION_PATCH);
}

}  // extern "C"

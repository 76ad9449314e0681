// The C edge: handles, options, and the one place where exceptions stop. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "include/scout.h"
#include "lib/engine/engine.h"
#include "lib/engine/session.h"
#include "lib/model/model.h"
#include "lib/tokenizer/tokenizer.h"
#include "lib/tokenizer/tool_call.h"
#include "lib/util/status.h"

// What a handle knows of the process that made it: its objects' threads do not survive fork(2).
struct scout_handle {
  const pid_t pid = ::getpid();
  bool forked() const { return pid != ::getpid(); }
};
struct scout_model : scout_handle {
  std::shared_ptr<const scout::Model> impl;
};
struct scout_tokenizer : scout_handle {
  std::shared_ptr<const scout::Tokenizer> impl;
};
struct scout_detokenizer : scout_handle {
  std::unique_ptr<scout::Detokenizer> impl;
};
struct scout_tool_parser : scout_handle {
  std::unique_ptr<scout::ToolCallParser> impl;
  scout::ToolEvent event;  // the one taken last, whose strings the caller may read
};
struct scout_engine : scout_handle {
  std::shared_ptr<scout::Engine> impl;
};
// A session in use when it is freed (from its own callback) lives until that call returns.
struct scout_session_state {
  std::unique_ptr<scout::Session> session;
  std::atomic<std::thread::id> user{};  // the thread whose call is running; none: id()
};
struct scout_session : scout_handle {
  std::shared_ptr<scout_session_state> impl;
};
// The job and what its reader's last event points to.
struct scout_job_impl {
  ~scout_job_impl();
  void SetPointers();  // after a new event

  std::shared_ptr<scout::Job> job;
  std::atomic<std::thread::id> reader{};  // the thread whose poll is running; none: id()
  scout::JobEvent event;
  std::vector<int32_t> top_ids;
  std::vector<float> top_logprobs;
  scout_error* error = nullptr;  // of the final event
};
struct scout_job : scout_handle {
  std::shared_ptr<scout_job_impl> impl;
};

namespace scout::api {

// Makes *error (where error is not null) and returns the code. Never fails: without memory for the
// object, *error is a static one that says so.
scout_status Fail(scout_error** error, scout_status code, const char* message) noexcept;
scout_status Fail(scout_error** error, const absl::Status& status) noexcept;
scout_status FailOutOfMemory(scout_error** error) noexcept;

// Runs body, a callable that returns absl::Status, and turns what happened into a code.
template <typename Body>
scout_status Guard(scout_error** error, Body&& body) noexcept {
  if (error != nullptr) *error = nullptr;
  try {
    const absl::Status status = body();
    return status.ok() ? SCOUT_OK : Fail(error, status);
  } catch (const std::bad_alloc&) {
    return FailOutOfMemory(error);
  } catch (const std::exception& e) {
    return Fail(error, SCOUT_INTERNAL, e.what());
  } catch (...) {
    return Fail(error, SCOUT_INTERNAL, "an unknown exception reached the C edge");
  }
}

absl::Status NullError(const char* argument);
absl::Status ForkedError();
// OK where handle is usable in this process.
inline absl::Status CheckHandle(const scout_handle* handle, const char* name) {
  if (handle == nullptr) return NullError(name);
  return handle->forked() ? ForkedError() : absl::OkStatus();
}

// Reads an options struct of any known size over the defaults in *out. A struct of a newer header
// is accepted where all that this library does not know is zero.
absl::Status ReadOptions(const void* in, const char* name, size_t known, void* out);
// Whether a result struct's size makes sense, before anything is done for it.
absl::Status CheckResult(const void* out, const char* name, size_t known);
// Writes the first struct_size bytes of a result struct, struct_size itself excepted; what a newer
// header has beyond `known` becomes zero.
absl::Status WriteResult(const void* from, const char* name, size_t known, void* out);

// A field that must be zero until a later version gives it a meaning.
absl::Status CheckReserved(uint64_t value, const char* name);

// The caller's sampling options (NULL: greedy) as the library's own copy. Checks their form; values
// are checked by CheckSampling, which knows the vocabulary.
absl::StatusOr<SamplingOptions> ReadSampling(const scout_sampling_options* in);

// The caller's dialog as tokens.
absl::StatusOr<std::vector<int32_t>> EncodeChat(const Tokenizer& tokenizer,
                                                const scout_chat_options* in);

// Copies text or ids into the caller's buffer; OutOfRange (BUFFER_TOO_SMALL) where it is too small.
template <typename T>
absl::Status WriteArray(const T* data, int64_t n, const char* name, T* out, int64_t capacity,
                        int64_t* count) {
  if (count == nullptr) return NullError("the count");
  if (capacity < 0) {
    return absl::InvalidArgumentError(absl::StrCat("the capacity of ", name, " is ", capacity));
  }
  if (out == nullptr && capacity > 0) return NullError(name);
  const int64_t copied = n < capacity ? n : capacity;
  if (copied > 0) std::memcpy(out, data, static_cast<size_t>(copied) * sizeof(T));
  *count = n;
  if (n > capacity) {
    return absl::OutOfRangeError(absl::StrCat(name, " has room for ", capacity, ", needed ", n));
  }
  return absl::OkStatus();
}

// A session held for the length of one call. A second call finds it busy; one from a callback of
// the first, on the same thread, is told so.
class Use {
 public:
  explicit Use(const scout_session* handle) : state_(handle->impl) {
    std::thread::id none{};
    held_ = state_->user.compare_exchange_strong(none, std::this_thread::get_id());
    reentrant_ = !held_ && none == std::this_thread::get_id();
  }
  ~Use() {
    if (held_) state_->user.store(std::thread::id{});
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  absl::Status status() const {
    if (held_) return absl::OkStatus();
    if (!reentrant_) return absl::AbortedError("the session is in use by another call");
    return scout::ReentrantError("called from inside a callback of the same session");
  }
  scout::Session& session() const { return *state_->session; }

 private:
  std::shared_ptr<scout_session_state> state_;
  bool held_ = false, reentrant_ = false;
};

// The common frame of the calls on a session.
template <typename Body>
scout_status WithSession(const scout_session* handle, scout_error** error, Body&& body) noexcept {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(handle, "session"));
    Use use(handle);
    SCOUT_RETURN_IF_ERROR(use.status());
    SCOUT_RETURN_IF_ERROR(use.session().CheckIdle());
    return body(use.session());
  });
}

}  // namespace scout::api

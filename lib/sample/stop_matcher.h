// Finds stop strings in text that comes in pieces. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/util/status.h"

namespace scout {

// Bytes go in as they come; out comes what can no longer become part of a stop string. The match is
// the one that ends first; of those that end there, the one that begins first. What comes out and
// when a match is found depends on the bytes alone, not on how they are cut into pieces. Each byte
// costs amortised constant time (Aho & Corasick 1975). A copy goes on from the same state and
// shares the immutable automaton.
class StopMatcher {
 public:
  StopMatcher() = default;  // no stop strings: all text passes
  // Errors: InvalidArgument (an empty string; more than kMaxBytes in all).
  static absl::StatusOr<StopMatcher> Create(const std::vector<std::string>& strings);

  // Appends to *out what `text` releases, and returns the index of the stop string that was found,
  // or -1. The stop string and what follows it never come out; later calls release nothing more and
  // return the same index.
  int64_t Push(std::string_view text, std::string* out);
  // The text has ended without a match: appends what was held back and begins anew.
  void Flush(std::string* out);
  void Reset();
  // What was held back comes out, and the search goes on: a stop string that begins in it is still
  // found, and then only what follows it is kept back.
  void LetGo(std::string* out);

  int64_t held() const { return static_cast<int64_t>(held_.size() - begin_); }  // bytes held back
  int64_t found() const { return found_; }                                      // index, or -1

  static constexpr int64_t kMaxBytes = 1 << 20;

 private:
  void Release(int64_t end, std::string* out);

  struct Automaton;
  std::shared_ptr<const Automaton> automaton_;  // null: no stop strings
  int32_t state_ = 0;
  int64_t found_ = -1;
  // From begin_ on the longest end of the text that begins a stop string; released bytes before it
  // are cut off when they are the larger part.
  std::string held_;
  size_t begin_ = 0;
};

}  // namespace scout

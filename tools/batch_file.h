// The two files of a batch: lines of requests, lines of results. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/failure.h"

namespace scout::tool {

// FNV-1a (Fowler, Noll & Vo), 64 bits: tells a changed line, no defence against forgery.
constexpr uint64_t kDigestStart = 0xCBF29CE484222325u;
uint64_t Digest(std::string_view bytes, uint64_t before = kDigestStart);
std::string Hex(uint64_t digest);  // 16 lower-case digits

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void Reset(int fd);
  void Swap(Descriptor* other) { std::swap(fd_, other->fd_); }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

struct BatchLine {
  int64_t number;  // in the file, from 1
  int64_t offset, size;
  uint64_t digest;
  bool answered = false;
};

// The lines of a JSONL file that are not blank. The file must not change while it is read.
class BatchInput {
 public:
  Failure Open(const std::string& path);
  Failure Read(const BatchLine& line, std::string* text) const;
  std::vector<BatchLine>& lines() { return lines_; }
  const std::vector<BatchLine>& lines() const { return lines_; }
  BatchLine* Find(int64_t number);  // null where there is none

 private:
  std::string path_;
  Descriptor file_;
  std::vector<BatchLine> lines_;
};

// The results, one line each, only ever appended to. A line counts once its newline is there.
class BatchOutput {
 public:
  // Opens or creates the file, locks it against another batch, marks in `input` what it answers,
  // and cuts off a last line without newline, which a killed batch left. `settings` tells a batch
  // with other options. Fails, the file unchanged, where a line is no result of these lines. With
  // `retry`, results that are errors are taken out of the file, in which their lines count as
  // missing: it is written anew beside the old one, which it then replaces.
  Failure Open(const std::string& path, const std::string& settings, bool sync, BatchInput* input,
               bool retry = false);
  // Writes text and a newline with one call; with `sync` it is on the disk when this returns. What
  // a failed write left is cut off again.
  Failure Append(std::string text);
  int64_t answered() const { return answered_; }  // before this run
  int64_t errors() const { return errors_; }      // of these
  int64_t torn() const { return torn_; }          // bytes of the line that was cut off
  int64_t retried() const { return retried_; }    // errors that were taken out

 private:
  struct Part {
    int64_t offset, size;
  };
  Failure OpenLocked();
  Failure Check(std::string_view line, int64_t number, const std::string& settings,
                BatchInput* input, BatchLine** answers, bool* is_error);
  Failure Keep(const std::vector<Part>& parts);
  std::string path_;
  Descriptor file_;
  bool sync_ = false;
  int64_t size_ = 0, answered_ = 0, errors_ = 0, torn_ = 0, retried_ = 0;
};

}  // namespace scout::tool

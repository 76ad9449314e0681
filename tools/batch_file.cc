// Reading, checking and appending of batch files. SPDX-License-Identifier: Apache-2.0
#include "tools/batch_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "tools/json_line.h"

namespace scout::tool {
namespace {

// Calls read, or pread where offset >= 0, until `size` bytes or the end; -1 on an error.
int64_t ReadFully(int fd, char* data, int64_t size, int64_t offset) {
  int64_t done = 0;
  while (done < size) {
    const auto wanted = static_cast<size_t>(size - done);
    const ssize_t n =
        offset < 0 ? read(fd, data + done, wanted) : pread(fd, data + done, wanted, offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += n;
  }
  return done;
}

// Calls body(line without newline, offset, whether a newline ended it) for each line of the file.
template <typename Body>
Failure ForEachLine(int fd, const std::string& path, Body&& body) {
  std::string buffer(1 << 16, '\0'), line;
  int64_t offset = 0;
  for (;;) {
    const int64_t n = ReadFully(fd, buffer.data(), static_cast<int64_t>(buffer.size()), -1);
    if (n < 0) return SystemFailure(kExitInput, path, errno);
    for (int64_t at = 0; at < n;) {
      const auto end = buffer.find('\n', static_cast<size_t>(at));
      const bool whole = end != std::string::npos && static_cast<int64_t>(end) < n;
      const int64_t stop = whole ? static_cast<int64_t>(end) : n;
      line.append(buffer, static_cast<size_t>(at), static_cast<size_t>(stop - at));
      at = stop + 1;
      if (!whole) break;
      TOOL_TRY(body(line, offset, true));
      offset += static_cast<int64_t>(line.size()) + 1;
      line.clear();
    }
    if (n < static_cast<int64_t>(buffer.size())) break;
  }
  return line.empty() ? Ok() : body(line, offset, false);
}

}  // namespace

uint64_t Digest(std::string_view bytes, uint64_t before) {
  for (const char c : bytes) before = (before ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return before;
}

std::string Hex(uint64_t digest) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; digest >>= 4) text[i] = "0123456789abcdef"[digest & 15];
  return text;
}

Descriptor::~Descriptor() { Reset(-1); }

void Descriptor::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Failure BatchInput::Open(const std::string& path) {
  path_ = path;
  file_.Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file_.get() < 0) return SystemFailure(kExitInput, path, errno);
  struct stat status;
  if (fstat(file_.get(), &status) != 0) return SystemFailure(kExitInput, path, errno);
  if (!S_ISREG(status.st_mode))
    return BadInput(path + ": not a regular file, which can be resumed");
  int64_t number = 0;
  return ForEachLine(file_.get(), path, [&](const std::string& line, int64_t offset, bool) {
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string::npos) {
      lines_.push_back({number, offset, static_cast<int64_t>(line.size()), Digest(line)});
    }
    return Ok();
  });
}

Failure BatchInput::Read(const BatchLine& line, std::string* text) const {
  text->resize(static_cast<size_t>(line.size));
  const int64_t n = ReadFully(file_.get(), text->data(), line.size, line.offset);
  if (n < 0) return SystemFailure(kExitInput, path_, errno);
  if (n == line.size && Digest(*text) == line.digest) return Ok();
  return BadInput(path_ + ": line " + std::to_string(line.number) + " changed while the batch ran");
}

BatchLine* BatchInput::Find(int64_t number) {
  auto at = std::lower_bound(lines_.begin(), lines_.end(), number,
                             [](const BatchLine& line, int64_t n) { return line.number < n; });
  return at == lines_.end() || at->number != number ? nullptr : &*at;
}

Failure BatchOutput::Check(std::string_view text, int64_t number, const std::string& settings,
                           BatchInput* input, BatchLine** answers, bool* is_error) {
  const std::string place = path_ + ": line " + std::to_string(number);
  nlohmann::json json;
  if (ParseJson(text, &json) || !json.is_object() || !json.contains("line") ||
      !json["line"].is_number_integer() || !json.contains("input") || !json["input"].is_string() ||
      !json.contains("settings") || !json["settings"].is_string()) {
    return BadInput(place + " is no result of scout batch; give a new file for the results");
  }
  const auto of = json["line"].get<int64_t>();
  BatchLine* line = input->Find(of);
  const std::string which = place + " answers line " + std::to_string(of) + " of the input";
  if (line == nullptr) {
    return BadInput(which + ", which has no such line: these are the results of another input");
  }
  if (json["input"] != Hex(line->digest)) {
    return BadInput(which + " with the digest " + Printable(json["input"].get<std::string>(), 40) +
                    ", now it is " + Hex(line->digest) +
                    ": the input changed; give a new file for the results");
  }
  if (json["settings"] != settings) {
    return BadInput(which + " under the settings " +
                    Printable(json["settings"].get<std::string>(), 40) + ", now they are " +
                    settings + ": the model, document or options changed; give a new file");
  }
  if (line->answered) return BadInput(which + " a second time");
  line->answered = true;
  *answers = line;
  *is_error = json.contains("error");
  return Ok();
}

// Whether a line without its end may be a result that was being written: its first bytes, or what a
// power failure leaves of a file that had grown.
static bool BeginsResult(std::string_view text) {
  constexpr std::string_view kBegin = R"({"line":)";
  const size_t n = std::min(text.size(), kBegin.size());
  return text.substr(0, n) == kBegin.substr(0, n) ||
         text.find_first_not_of('\0') == std::string_view::npos;
}

Failure BatchOutput::OpenLocked() {
  file_.Reset(open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (file_.get() < 0) return SystemFailure(kExitError, path_, errno);
  struct stat status, named;
  if (fstat(file_.get(), &status) != 0) return SystemFailure(kExitError, path_, errno);
  if (!S_ISREG(status.st_mode))
    return BadInput(path_ + ": not a regular file, which can be resumed");
  if (flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return RunError(path_ + ": another batch is writing to it");
    return SystemFailure(kExitError, path_, errno);
  }
  // Another batch may have put a new file in its place between open and lock.
  if (stat(path_.c_str(), &named) != 0 || named.st_ino != status.st_ino ||
      named.st_dev != status.st_dev) {
    return RunError(path_ + ": another batch is writing to it");
  }
  return Ok();
}

// Replaces the file by one that has these parts of it alone. Whatever stops this, one of the two is
// there, whole.
Failure BatchOutput::Keep(const std::vector<Part>& parts) {
  std::unique_ptr<char, decltype(&std::free)> real(realpath(path_.c_str(), nullptr), &std::free);
  if (real == nullptr) return SystemFailure(kExitError, path_, errno);
  const std::string next = std::string(real.get()) + ".retry";
  struct stat status;
  if (fstat(file_.get(), &status) != 0) return SystemFailure(kExitError, path_, errno);
  // Only who holds the lock of the results makes this file: an old one is what a kill has left.
  unlink(next.c_str());
  Descriptor file;
  file.Reset(open(next.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  const auto failed = [&next](int error) {
    unlink(next.c_str());
    return SystemFailure(kExitError, next, error);
  };
  if (file.get() < 0) return SystemFailure(kExitError, next, errno);
  if (fchmod(file.get(), status.st_mode & 07777) != 0) return failed(errno);
  std::string text;
  int64_t size = 0;
  for (const Part& part : parts) {
    text.resize(static_cast<size_t>(part.size));
    const int64_t n = ReadFully(file_.get(), text.data(), part.size, part.offset);
    if (n != part.size) return failed(n < 0 ? errno : EIO);
    for (size_t done = 0; done < text.size();) {
      const ssize_t written = write(file.get(), text.data() + done, text.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failed(errno);
      done += static_cast<size_t>(written);
    }
    size += part.size;
  }
  if (fsync(file.get()) != 0 || flock(file.get(), LOCK_EX | LOCK_NB) != 0 ||
      rename(next.c_str(), real.get()) != 0) {
    return failed(errno);
  }
  file_.Swap(&file);
  size_ = size;
  return Ok();
}

Failure BatchOutput::Open(const std::string& path, const std::string& settings, bool sync,
                          BatchInput* input, bool retry) {
  path_ = path;
  sync_ = sync;
  TOOL_TRY(OpenLocked());
  std::vector<BatchLine*> again;
  std::vector<Part> kept;
  int64_t number = 0;
  TOOL_TRY(ForEachLine(file_.get(), path, [&](const std::string& line, int64_t offset, bool whole) {
    if (!whole) {
      if (!BeginsResult(line)) {
        return BadInput(path_ +
                        ": the last line has no end and is not the beginning of a result of "
                        "scout batch; give a new file for the results");
      }
      torn_ = static_cast<int64_t>(line.size());
      size_ = offset;
      return Ok();
    }
    const auto size = static_cast<int64_t>(line.size()) + 1;
    size_ = offset + size;
    BatchLine* answers = nullptr;
    bool is_error = false;
    TOOL_TRY(Check(line, ++number, settings, input, &answers, &is_error));
    if (retry && is_error) {
      again.push_back(answers);
      return Ok();
    }
    ++answered_;
    errors_ += is_error;
    if (retry) kept.push_back({offset, size});
    return Ok();
  }));
  if (!again.empty()) {
    TOOL_TRY(Keep(kept));
    for (BatchLine* line : again) line->answered = false;
    retried_ = static_cast<int64_t>(again.size());
    return Ok();
  }
  if (torn_ > 0 && ftruncate(file_.get(), size_) != 0) {
    return SystemFailure(kExitError, path, errno);
  }
  return Ok();
}

Failure BatchOutput::Append(std::string text) {
  text += '\n';
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(file_.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      // Without this a later run cuts the rest off.
      if (ftruncate(file_.get(), size_) != 0) return SystemFailure(kExitError, path_, errno);
      return SystemFailure(kExitError, path_, error);
    }
    done += static_cast<size_t>(n);
  }
  size_ += static_cast<int64_t>(text.size());
  if (sync_ && fdatasync(file_.get()) != 0) return SystemFailure(kExitError, path_, errno);
  return Ok();
}

}  // namespace scout::tool

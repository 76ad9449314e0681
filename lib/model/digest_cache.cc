// The cache of digests: reading is strict, writing is atomic. SPDX-License-Identifier: Apache-2.0
#include "lib/model/digest_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "lib/format/file.h"
#include "lib/util/digest.h"

namespace scout {
namespace {

constexpr char kHead[] = "scout weights digest 1\n";
constexpr size_t kHexDigits = 32;
// File systems tell times apart by milliseconds to two seconds.
constexpr int64_t kSettledSeconds = 2;

bool IsHex(std::string_view text) {
  if (text.size() != kHexDigits) return false;
  for (char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

// All of the text, or false.
bool WriteAll(int fd, std::string_view text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

// Why a digest in the folder could be somebody else's word; "" where it could not, and where there
// is no such folder yet.
std::string FaultOf(const std::string& folder) {
  struct stat info;
  if (::stat(folder.c_str(), &info) != 0) return "";
  if (!S_ISDIR(info.st_mode)) return "is no folder";
  if (info.st_uid != ::geteuid()) {
    return absl::StrCat("belongs to the user ", info.st_uid, ", not to ", ::geteuid());
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "can be written to by other users";
  return "";
}

}  // namespace

DigestCache::DigestCache(const std::string& folder, const WeightPlan& plan) : folder_(folder) {
  if (folder_.empty()) return;
  fault_ = FaultOf(folder_);
  if (!fault_.empty()) {
    folder_.clear();
    return;
  }
  struct timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  for (const auto& file : plan.table().files) {
    settled_ = settled_ && file->changed_seconds() + kSettledSeconds < now.tv_sec;
    std::error_code error;
    const std::filesystem::path path = std::filesystem::absolute(file->path(), error);
    const std::string name = error ? file->path() : path.lexically_normal().string();
    // The length first: a path may hold anything, line breaks too.
    absl::StrAppend(&key_, name.size(), " ", name, " ", file->stamp(), "\n");
  }
  std::string tensors;
  for (const TensorEntry* entry : plan.bound()) absl::StrAppend(&tensors, entry->name, "\n");
  absl::StrAppend(&key_, "tensors ", Xxh3Hex(tensors), "\n");
  path_ = absl::StrCat(folder_, "/", Xxh3Hex(key_), ".digest");
}

std::string DigestCache::Text(const std::string& digest) const {
  const std::string body = absl::StrCat(kHead, key_, "weights ", digest, "\n");
  return absl::StrCat(body, "check ", Xxh3Hex(body), "\n");
}

std::string DigestCache::Find() const {
  if (folder_.empty()) return "";
  // Every byte but the digest's is known beforehand.
  const std::string shape = Text(std::string(kHexDigits, '0'));
  const auto file = File::Open(path_, /*follow_links=*/false);
  if (!file.ok() || (*file)->size() != static_cast<int64_t>(shape.size())) return "";
  std::string text(shape.size(), '\0');
  if (!(*file)->ReadAt(0, text.data(), (*file)->size()).ok()) return "";
  const size_t at = sizeof(kHead) - 1 + key_.size() + std::string_view("weights ").size();
  const std::string digest = text.substr(at, kHexDigits);
  return IsHex(digest) && text == Text(digest) ? digest : "";
}

bool DigestCache::Store(const std::string& digest) const {
  if (folder_.empty() || !settled_) return true;
  const std::string text = Text(digest);
  std::string temporary = absl::StrCat(path_, ".XXXXXX");
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return false;
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600, a name of its own
  if (fd < 0) return false;
  const bool written = WriteAll(fd, text) && ::fsync(fd) == 0;
  const bool closed = ::close(fd) == 0;
  if (written && closed && ::rename(temporary.c_str(), path_.c_str()) == 0) return true;
  ::unlink(temporary.c_str());
  return false;
}

}  // namespace scout

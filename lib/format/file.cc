// Reading of regular files with pread: owned memory only, never a mapping (a mapped file that
// shrinks would kill the host by SIGBUS).
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/util/checked.h"

namespace scout {
namespace {

// The system's words for an error number, untranslated and safe from any thread.
std::string ErrnoText(int error) {
  const char* text = strerrordesc_np(error);
  return text != nullptr ? std::string(text) : absl::StrCat("error ", error);
}

absl::Status OpenError(const std::string& path, int error) {
  const std::string message = absl::StrCat("cannot open ", path, ": ", ErrnoText(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  return IoError(message);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const File>> File::Open(const std::string& path, bool follow_links) {
  const ErrorPlace place{.file = path};
  if (path.empty()) return absl::InvalidArgumentError("the path is empty");
  // Memory first: nothing may fail between open() and the owner of the descriptor.
  std::shared_ptr<File> file(new File(path, -1, 0));
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It changes nothing for regular files.
  do {
    file->fd_ =
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow_links ? 0 : O_NOFOLLOW));
  } while (file->fd_ < 0 && errno == EINTR);
  if (file->fd_ < 0) return AtPlace(OpenError(path, errno), place);
  struct stat info;
  if (::fstat(file->fd_, &info) != 0) {
    return AtPlace(IoError(absl::StrCat("cannot stat ", path, ": ", ErrnoText(errno))), place);
  }
  if (!S_ISREG(info.st_mode)) {
    const char* what = S_ISDIR(info.st_mode) ? "a directory" : "not a regular file";
    return AtPlace(absl::InvalidArgumentError(absl::StrCat(path, " is ", what)), place);
  }
  file->size_ = info.st_size;
  file->changed_seconds_ = info.st_mtim.tv_sec;
  file->stamp_ =
      absl::StrCat("size ", info.st_size, " mtime ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec,
                   " ctime ", info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec, " inode ",
                   info.st_ino, " device ", info.st_dev);
  return std::shared_ptr<const File>(std::move(file));
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status File::ReadAt(int64_t offset, void* dst, int64_t n) const {
  if (!RangeFits(offset, n, size_)) {
    return AtPlace(CorruptError(absl::StrCat("read of ", n, " bytes at ", offset,
                                             " is outside the file of ", size_, " bytes")),
                   {.file = path_, .offset = offset});
  }
  // Linux reads at most 2 GiB less a page in one call; smaller pieces are as fast.
  constexpr int64_t kPiece = int64_t{1} << 30;
  char* out = static_cast<char*>(dst);
  int64_t done = 0;
  while (done < n) {
    const ssize_t got =
        ::pread(fd_, out + done, static_cast<size_t>(std::min(n - done, kPiece)), offset + done);
    if (got > 0) {
      done += got;
    } else if (got == 0) {
      return AtPlace(CorruptError(absl::StrCat("the file was cut short while open: it ended at ",
                                               offset + done, ", ", n - done, " bytes missing")),
                     {.file = path_, .offset = offset + done});
    } else if (errno != EINTR) {
      const int error = errno;
      return AtPlace(IoError(absl::StrCat("read failed: ", ErrnoText(error))),
                     {.file = path_, .offset = offset + done});
    }
  }
  return absl::OkStatus();
}

void File::DropCache(int64_t offset, int64_t n) const {
  ::posix_fadvise(fd_, offset, n, POSIX_FADV_DONTNEED);
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, int64_t max_bytes) {
  SCOUT_ASSIGN_OR_RETURN(auto file, File::Open(path));
  if (file->size() > max_bytes) {
    return AtPlace(UnsupportedError(absl::StrCat("the file has ", file->size(),
                                                 " bytes, more than the limit of ", max_bytes)),
                   {.file = path});
  }
  std::string text(static_cast<size_t>(file->size()), '\0');
  SCOUT_RETURN_IF_ERROR(file->ReadAt(0, text.data(), file->size()));
  return text;
}

}  // namespace scout

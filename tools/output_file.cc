// Writing under a temporary name. SPDX-License-Identifier: Apache-2.0
#include "tools/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace scout::tool {

OutputFile::~OutputFile() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Failure OutputFile::System(int error_number) const {
  return SystemFailure(kExitError, asked_ == "-" ? "standard output" : asked_, error_number);
}

Failure OutputFile::Open(const std::string& path) {
  asked_ = path_ = path;
  struct stat info;
  bool exists = stat(path.c_str(), &info) == 0;
  if (path == "-") {
    file_ = stdout;
    return Ok();
  }
  if (exists && S_ISDIR(info.st_mode)) return System(EISDIR);
  bool special = exists && !S_ISREG(info.st_mode);
  if (exists && !special) {  // what a symbolic link points to is replaced, not the link
    std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), std::free);
    if (real != nullptr) path_ = real.get();
  }
  std::string name = special ? path : path_ + ".tmp" + std::to_string(getpid());
  int fd = open(name.c_str(), O_WRONLY | O_CLOEXEC | (special ? 0 : O_CREAT | O_EXCL), 0666);
  if (fd < 0) return System(errno);
  if (!special) temporary_ = name;
  file_ = fdopen(fd, "wb");
  if (file_ == nullptr) {
    int error = errno;
    close(fd);
    return System(error);
  }
  return Ok();
}

Failure OutputFile::Write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) return Ok();
  return System(errno);
}

Failure OutputFile::Finish() {
  if (std::fflush(file_) != 0) return System(errno);
  if (file_ == stdout) return Ok();
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0) return System(errno);
  if (!temporary_.empty() && rename(temporary_.c_str(), path_.c_str()) != 0) return System(errno);
  temporary_.clear();
  return Ok();
}

}  // namespace scout::tool

// Walking trees without recursion and without following links. SPDX-License-Identifier: Apache-2.0
#include "tools/pack_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "tools/ignore.h"
#include "tools/pack_text.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

std::string Explain(int error_number) { return std::generic_category().message(error_number); }

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ > 2) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// open(2) that also takes paths longer than PATH_MAX, in steps of whole folders.
int OpenPath(const std::string& path, int flags) {
  constexpr size_t kStep = PATH_MAX - 96;
  int at = AT_FDCWD;
  size_t begin = 0;
  while (path.size() - begin > kStep) {
    size_t slash = path.rfind('/', begin + kStep);
    if (slash == std::string::npos || slash <= begin) {
      errno = ENAMETOOLONG;
      break;
    }
    int next =
        openat(at, path.substr(begin, slash - begin).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    if (at >= 0) close(at);
    if (next < 0) {
      errno = error;
      return -1;
    }
    at = next;
    begin = slash + 1;
  }
  int fd = path.size() - begin > kStep ? -1 : openat(at, path.c_str() + begin, flags | O_CLOEXEC);
  int error = errno;
  if (at >= 0) close(at);
  errno = error;
  return fd;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

bool SameState(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

struct Folder {
  Entry entry;
  std::string full;      // absolute, for the ignore files
  std::string relative;  // to the root, "" for the root itself
  IgnoreChain ignore;    // of the folders above
  dev_t device = 0;
  ino_t number = 0;  // with `device` the identity of the file or folder
  bool only_included = false;
};

class Walker {
 public:
  Walker(const WalkOptions& options, bool quiet, std::vector<Entry>* entries);

  Failure Root(const std::string& path);
  void Done();

 private:
  Failure Open(Folder folder);
  void NoteSeen(const Folder& folder, Entry* entry);
  bool LeftOut(const Folder& folder, const std::string& name, const std::string& relative,
               bool is_folder, const IgnoreChain& ignore, Entry* entry, bool* only_included) const;
  void Add(Entry entry) { entries_->push_back(std::move(entry)); }

  const WalkOptions& options_;
  std::vector<Entry>* entries_;
  std::vector<Folder> stack_;  // folders and files still to come, the next at the end
  std::map<std::pair<dev_t, ino_t>, std::string> seen_;
  std::vector<std::string> troubles_;
  Progress progress_;
};

Walker::Walker(const WalkOptions& options, bool quiet, std::vector<Entry>* entries)
    : options_(options), entries_(entries), progress_("looking", Progress::Unit::kFiles, !quiet) {
  struct stat info;
  bool file = !options.output.empty() && options.output != "-";
  int result = file ? stat(options.output.c_str(), &info) : fstat(1, &info);
  if (result == 0 && S_ISREG(info.st_mode)) seen_[{info.st_dev, info.st_ino}] = "the output";
}

Failure Walker::Root(const std::string& given) {
  Entry entry;
  entry.path = given;
  entry.named = true;
  if (given == "-") {
    entry.shown = "stdin";
    Add(std::move(entry));
    return Ok();
  }
  if (given.empty()) return Usage("a PATH is empty");
  std::string shown = given;
  while (shown.size() > 1 && shown.back() == '/') shown.pop_back();
  while (shown.compare(0, 2, "./") == 0 && shown.size() > 2) {
    shown.erase(0, 2);
    while (shown.size() > 1 && shown[0] == '/') shown.erase(0, 1);
  }
  struct stat info;
  if (stat(given.c_str(), &info) != 0) return SystemFailure(kExitInput, given, errno);
  Folder folder;
  folder.device = info.st_dev;
  folder.number = info.st_ino;
  if (!S_ISDIR(info.st_mode)) {
    entry.shown = shown;
    entry.bytes = info.st_size;
    if (S_ISREG(info.st_mode)) NoteSeen(folder, &entry);
    Add(std::move(entry));
    return Ok();
  }
  entry.folder = true;
  entry.shown = shown == "." ? "" : shown == "/" ? "/" : shown + "/";
  while (entry.path.size() > 1 && entry.path.back() == '/') entry.path.pop_back();
  std::unique_ptr<char, decltype(&std::free)> real(realpath(given.c_str(), nullptr), std::free);
  if (real == nullptr) return SystemFailure(kExitInput, given, errno);
  folder.full = real.get();
  if (options_.ignore_files) folder.ignore = ReadIgnoreFilesAbove(folder.full, &troubles_);
  folder.entry = std::move(entry);
  stack_.push_back(std::move(folder));
  while (!stack_.empty()) {
    Folder next = std::move(stack_.back());
    stack_.pop_back();
    // The stack is emptied in the order of the output, so the first of several is the one that
    // stays.
    if (next.entry.why == Why::kPacked) NoteSeen(next, &next.entry);
    if (!next.entry.folder || next.entry.why != Why::kPacked) {
      Add(std::move(next.entry));
    } else {
      TOOL_TRY(Open(std::move(next)));
    }
  }
  return Ok();
}

void Walker::NoteSeen(const Folder& folder, Entry* entry) {
  auto [it, is_new] = seen_.try_emplace({folder.device, folder.number}, entry->shown);
  if (is_new) return;
  entry->why = Why::kRepeated;
  entry->detail = "the same as " + ShownPath(it->second.empty() ? "." : it->second);
}

// Whether rules leave this name out, with the reason in *entry. A folder in which --include names
// something is entered all the same, for that alone.
bool Walker::LeftOut(const Folder& folder, const std::string& name, const std::string& relative,
                     bool is_folder, const IgnoreChain& ignore, Entry* entry,
                     bool* only_included) const {
  bool below = false;
  for (const Glob& glob : options_.include) {
    if (glob.Matches(relative, is_folder)) return false;
    below = below || (is_folder && glob.MayMatchBelow(relative));
  }
  auto out = [&](Why why, std::string detail) {
    *only_included = below;
    entry->why = why;
    entry->detail = std::move(detail);
    return !below;
  };
  if (folder.only_included) return out(Why::kSkipped, "only what --include names is taken here");
  for (const Glob& glob : options_.exclude) {
    if (glob.Matches(relative, is_folder)) return out(Why::kIgnored, "--exclude " + glob.text());
  }
  if (IsVersionControl(name) && (is_folder || name == ".git")) {
    return out(Why::kSkipped, "version control");
  }
  std::string why;
  Verdict verdict =
      Judge(ignore, folder.full + (folder.full == "/" ? "" : "/") + name, is_folder, &why);
  if (verdict == Verdict::kIgnored) return out(Why::kIgnored, why);
  if (is_folder && verdict == Verdict::kNothing && IsDependencyFolder(name)) {
    return out(Why::kSkipped, "dependencies or build output");
  }
  return false;
}

Failure Walker::Open(Folder folder) {
  if (Progress::Callback(&progress_, static_cast<int64_t>(entries_->size()), 0) != 0) {
    return {kExitCancelled, "cancelled"};
  }
  Entry& own = folder.entry;
  int flags = O_RDONLY | O_DIRECTORY | (own.named || options_.follow ? 0 : O_NOFOLLOW);
  File file(OpenPath(own.path, flags));
  DIR* opened = file.get() < 0 ? nullptr : fdopendir(file.get());
  if (opened == nullptr) {
    if (own.named) return SystemFailure(kExitInput, own.path, errno);
    own.why = Why::kUnreadable;
    own.detail = Explain(errno);
    Add(std::move(own));
    return Ok();
  }
  file.release();
  std::unique_ptr<DIR, CloseFolder> directory(opened);
  IgnoreChain ignore = folder.ignore;
  if (options_.ignore_files) {
    size_t base = folder.full.size() + (folder.full == "/" ? 0 : 1);
    ignore = ReadIgnoreFiles(ignore, own.path, own.shown, base, &troubles_);
  }
  std::vector<Folder> found;
  for (;;) {
    errno = 0;
    const dirent* at = readdir(directory.get());
    if (at == nullptr) break;
    std::string name = at->d_name;
    if (name == "." || name == "..") continue;
    Folder child;
    Entry& entry = child.entry;
    entry.path = (own.path == "/" ? "" : own.path) + "/" + name;
    entry.shown = own.shown + name;
    child.relative = folder.relative.empty() ? name : folder.relative + "/" + name;
    child.full = folder.full + (folder.full == "/" ? "" : "/") + name;
    child.ignore = ignore;
    struct stat info;
    if (fstatat(dirfd(opened), name.c_str(), &info, options_.follow ? 0 : AT_SYMLINK_NOFOLLOW) !=
        0) {
      entry.why = Why::kUnreadable;
      entry.detail = Explain(errno);
      // A link to nothing, or to itself.
      if (options_.follow &&
          fstatat(dirfd(opened), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISLNK(info.st_mode)) {
        entry.why = Why::kLink;
      }
    } else {
      child.device = info.st_dev;
      child.number = info.st_ino;
      entry.folder = S_ISDIR(info.st_mode);
      entry.bytes = entry.folder ? 0 : info.st_size;
      if (entry.folder) entry.shown += '/';
      if (!LeftOut(folder, name, child.relative, entry.folder, ignore, &entry,
                   &child.only_included)) {
        entry.why = Why::kPacked;
        if (S_ISLNK(info.st_mode)) {
          entry.why = Why::kLink;
          entry.detail = "a symbolic link (--follow takes it)";
        } else if (!entry.folder && !S_ISREG(info.st_mode)) {
          entry.why = Why::kLink;
          entry.detail = "not a regular file";
        }
      }
    }
    found.push_back(std::move(child));
  }
  if (errno != 0) troubles_.push_back(own.shown + ": " + Explain(errno));
  // Shown names of folders end in a slash, so this is the order of the whole paths' bytes.
  std::sort(found.begin(), found.end(), [](const Folder& a, const Folder& b) {
    return a.entry.shown > b.entry.shown;  // the stack is taken from its end
  });
  for (Folder& child : found) stack_.push_back(std::move(child));
  return Ok();
}

void Walker::Done() {
  for (std::string& trouble : troubles_) {
    Entry entry;
    entry.shown = std::move(trouble);
    entry.why = Why::kUnreadable;
    Add(std::move(entry));
  }
}

}  // namespace

ReadBytes ReadFileBytes(const std::string& path, int64_t most, Accept accept) {
  ReadBytes result;
  auto fail = [&result](int error) {
    result.missing = error == ENOENT || error == ENOTDIR;
    result.error = Explain(error);
    return std::move(result);
  };
  bool special = accept == Accept::kAll, standard = special && path == "-";
  // O_NONBLOCK: a pipe that took the file's place must not stop the walk; it does nothing to files.
  int flags = O_RDONLY | O_NOCTTY | (special ? 0 : O_NONBLOCK) |
              (accept == Accept::kPlain ? O_NOFOLLOW : 0);
  File file(standard ? 0 : OpenPath(path, flags));
  struct stat before, after;
  if (file.get() < 0 || fstat(file.get(), &before) != 0) return fail(errno);
  bool regular = S_ISREG(before.st_mode);
  if (S_ISDIR(before.st_mode)) return fail(EISDIR);
  if (!regular && !special) {
    result.error = "not a regular file";
    return result;
  }
  // Files of /proc say 0 and hold more.
  bool sized = regular && before.st_size > 0;
  if (sized && before.st_size > most) {
    result.too_large = true;
    result.error = "larger than " + std::to_string(most) + " bytes";
    return result;
  }
  size_t wanted = sized ? static_cast<size_t>(before.st_size) : static_cast<size_t>(most);
  while (result.bytes.size() < wanted) {
    size_t have = result.bytes.size();
    size_t step = std::min(wanted - have, sized ? wanted : size_t{1} << 16);
    result.bytes.resize(have + step);
    ssize_t n = read(file.get(), result.bytes.data() + have, step);
    result.bytes.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0) {
      if (errno == EINTR && !Interrupted()) continue;
      return fail(errno);
    }
    if (n == 0) break;
  }
  char more;
  if (!sized && result.bytes.size() == wanted && read(file.get(), &more, 1) > 0) {
    result.too_large = true;
    result.error = "larger than " + std::to_string(most) + " bytes";
    return result;
  }
  result.changed = sized && (result.bytes.size() != wanted || fstat(file.get(), &after) != 0 ||
                             !SameState(before, after));
  return result;
}

Failure Walk(const std::vector<std::string>& roots, const WalkOptions& options, bool quiet,
             std::vector<Entry>* entries) {
  Walker walker(options, quiet, entries);
  for (const std::string& root : roots) TOOL_TRY(walker.Root(root));
  walker.Done();
  return Ok();
}

}  // namespace scout::tool

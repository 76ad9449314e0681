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
#include <set>
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

  void Name(const std::string& path);  // before the first Root
  Failure Root(const std::string& path);
  void Done(std::vector<std::string>* notes);

 private:
  Failure Open(Folder folder);
  void NoteSeen(const Folder& folder, Entry* entry);
  bool LeftOut(const Folder& folder, const std::string& name, const std::string& relative,
               bool is_folder, const IgnoreChain& ignore, Entry* entry, bool* only_included) const;
  void Add(Entry entry) { entries_->push_back(std::move(entry)); }

  const WalkOptions& options_;
  std::vector<Entry>* entries_;
  std::vector<Folder> stack_;  // folders and files still to come, the next at the end
  using Identity = std::pair<dev_t, ino_t>;
  std::map<Identity, std::string> seen_;
  std::map<Identity, std::string> partly_seen_;  // folders below this root, for --include alone
  std::set<Identity> named_;                     // files that are arguments
  IgnoreRemarks remarks_;
  Progress progress_;
};

Walker::Walker(const WalkOptions& options, bool quiet, std::vector<Entry>* entries)
    : options_(options), entries_(entries), progress_("looking", Progress::Unit::kFiles, !quiet) {
  struct stat info;
  bool file = !options.output.empty() && options.output != "-";
  int result = file ? stat(options.output.c_str(), &info) : fstat(1, &info);
  if (result == 0 && S_ISREG(info.st_mode)) seen_[{info.st_dev, info.st_ino}] = "the output";
}

void Walker::Name(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
    named_.insert({info.st_dev, info.st_ino});
  }
}

Failure Walker::Root(const std::string& given) {
  Entry entry;
  entry.path = given;
  entry.named = true;
  entry.cut = true;
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
  if (options_.ignore_files) folder.ignore = ReadIgnoreFilesAbove(folder.full, &remarks_);
  folder.entry = std::move(entry);
  stack_.push_back(std::move(folder));
  partly_seen_.clear();
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
  const Identity identity{folder.device, folder.number};
  // A folder that is entered only for what --include names in it may still come whole; coming in
  // part once more is a repetition.
  auto seen = seen_.find(identity);
  auto& map = seen == seen_.end() && folder.only_included ? partly_seen_ : seen_;
  auto [it, is_new] = map.try_emplace(identity, entry->shown);
  if (is_new) {
    entry->cut = entry->cut || named_.count(identity) > 0;
    return;
  }
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
    ignore = ReadIgnoreFiles(ignore, own.path, own.shown, base, &remarks_);
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
  if (errno != 0) remarks_.troubles.push_back(own.shown + ": " + Explain(errno));
  // Shown names of folders end in a slash, so this is the order of the whole paths' bytes.
  std::sort(found.begin(), found.end(), [](const Folder& a, const Folder& b) {
    return a.entry.shown > b.entry.shown;  // the stack is taken from its end
  });
  for (Folder& child : found) stack_.push_back(std::move(child));
  return Ok();
}

void Walker::Done(std::vector<std::string>* notes) {
  std::set<std::string> known;  // several roots may lie below one folder
  for (std::string& note : remarks_.notes) {
    if (known.insert(note).second) notes->push_back(std::move(note));
  }
  for (std::string& trouble : remarks_.troubles) {
    Entry entry;
    entry.shown = std::move(trouble);
    entry.why = Why::kUnreadable;
    Add(std::move(entry));
  }
}

// Appends what read, or pread where offset >= 0, gives, until that is `size` bytes or the file
// ends; false, with errno, on an error or a Ctrl-C.
bool ReadMore(int fd, size_t size, off_t offset, std::string* bytes) {
  const size_t before = bytes->size();
  while (bytes->size() - before < size) {
    if (Interrupted()) {
      errno = EINTR;
      return false;
    }
    const size_t have = bytes->size();
    const size_t step = std::min(size - (have - before), size_t{1} << 20);
    bytes->resize(have + step);
    const ssize_t n = offset < 0 ? read(fd, bytes->data() + have, step)
                                 : pread(fd, bytes->data() + have, step,
                                         offset + static_cast<off_t>(have - before));
    bytes->resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno != EINTR) return false;
    if (n == 0) break;
  }
  return true;
}

const char kUtf16[] = ": UTF-16 of this size is not cut";
bool IsUtf16(std::string_view bytes) {
  return bytes.substr(0, 2) == "\xff\xfe" || bytes.substr(0, 2) == "\xfe\xff";
}

// The slices of what comes from a pipe, of which *result has the first bytes, `next` those behind.
bool ReadSlices(int fd, std::string next, CutStyle style, ReadBytes* result) {
  std::string first = std::move(result->bytes), last;
  result->bytes.clear();
  const size_t most = first.size();
  const size_t head = style == CutStyle::kTail   ? 0
                      : style == CutStyle::kHead ? most
                                                 : most - most / 2;
  const size_t tail = most - head, block = std::max(tail, size_t{1} << 16);
  bool binary = first.find('\0') != std::string::npos;
  last = first.substr(head);
  first.resize(head);
  result->size = static_cast<int64_t>(most);
  while (!next.empty()) {
    binary = binary || next.find('\0') != std::string::npos;
    result->size += static_cast<int64_t>(next.size());
    last += next;
    if (binary) break;  // nothing of it will be shown
    if (last.size() >= tail + block) last.erase(0, last.size() - tail);
    next.clear();
    if (!ReadMore(fd, size_t{1} << 16, -1, &next)) return false;
  }
  if (binary) {
    last.assign(1, '\0');
  } else if (last.size() > tail) {
    last.erase(0, last.size() - tail);
  }
  const auto offset = result->size - static_cast<int64_t>(last.size());
  if (head > 0) result->slices.push_back(MakeSlice(0, std::move(first), true));
  if (!last.empty()) result->slices.push_back(MakeSlice(offset, std::move(last), false));
  return true;
}

}  // namespace

ReadBytes ReadFileBytes(const std::string& path, int64_t most, Accept accept,
                        const CutStyle* slices) {
  ReadBytes result;
  auto fail = [&result](int error) {
    result.missing = error == ENOENT || error == ENOTDIR;
    result.no_file = error == ELOOP || error == EISDIR || error == ENXIO;
    result.error = Explain(error);
    return std::move(result);
  };
  auto too_large = [&result, most](const char* why = "") {
    result.too_large = true;
    result.error = "larger than " + std::to_string(most) + " bytes" + why;
    result.bytes.clear();
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
    result.no_file = true;
    result.error = "not a regular file";
    return result;
  }
  // Files of /proc say 0 and hold more.
  bool sized = regular && before.st_size > 0;
  // Standard input may be a file of which somebody has read a part.
  const off_t start = sized && standard ? std::max<off_t>(lseek(0, 0, SEEK_CUR), 0) : 0;
  const off_t size = sized ? std::max<off_t>(before.st_size - start, 0) : 0;
  if (sized && size > most) {
    if (slices == nullptr) return too_large();
    std::string mark;
    if (!ReadMore(file.get(), 2, start, &mark)) return fail(errno);
    if (IsUtf16(mark)) return too_large(kUtf16);
    for (const Piece& p :
         PlacePieces(static_cast<size_t>(size), *slices, static_cast<size_t>(most))) {
      std::string bytes;
      const auto offset = static_cast<off_t>(p.begin);
      if (!ReadMore(file.get(), p.end - p.begin, start + offset, &bytes)) return fail(errno);
      const bool last = p.begin + bytes.size() == static_cast<size_t>(size);
      result.slices.push_back(MakeSlice(offset, std::move(bytes), !last));
    }
    result.size = size;
  } else {
    const auto wanted = static_cast<size_t>(sized ? size : most);
    if (!ReadMore(file.get(), wanted, -1, &result.bytes)) return fail(errno);
    std::string more;
    if (!sized && result.bytes.size() == wanted) {
      if (!ReadMore(file.get(), 1, -1, &more)) return fail(errno);
      if (!more.empty()) {
        if (slices == nullptr) return too_large();
        if (IsUtf16(result.bytes)) return too_large(kUtf16);
        if (*slices == CutStyle::kSpread) return too_large(": --cut spread needs a file");
        if (!ReadSlices(file.get(), std::move(more), *slices, &result)) return fail(errno);
      }
    }
    if (sized && result.bytes.size() != wanted) result.changed = true;
  }
  result.changed =
      result.changed || (sized && (fstat(file.get(), &after) != 0 || !SameState(before, after)));
  return result;
}

Failure Walk(const std::vector<std::string>& roots, const WalkOptions& options, bool quiet,
             std::vector<Entry>* entries, std::vector<std::string>* notes) {
  Walker walker(options, quiet, entries);
  for (const std::string& root : roots) walker.Name(root);
  for (const std::string& root : roots) TOOL_TRY(walker.Root(root));
  walker.Done(notes);
  return Ok();
}

}  // namespace scout::tool

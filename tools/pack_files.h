// Finding and reading the files of `scout pack`. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/args.h"
#include "tools/failure.h"
#include "tools/glob.h"
#include "tools/pack_text.h"

namespace scout::tool {

struct ReadBytes {
  std::string bytes;
  std::string error;     // what went wrong; "" where nothing did
  bool missing = false;  // the error is that there is no such file
  bool no_file = false;  // the error is that it is a link, folder, pipe or device
  bool too_large = false;
  bool changed = false;       // size or time of change moved while it was read
  std::vector<Slice> slices;  // in place of `bytes`, where asked for
  int64_t size = 0;           // of the file, where there are slices
};
// What ReadFileBytes accepts beside regular files.
enum class Accept {
  kPlain,  // nothing
  kLinks,  // symbolic links to them
  kAll,    // links, pipes and devices; "-" is standard input
};
// The file at `path`, which may be longer than the system's limit on paths. Where it has more than
// `most` bytes: an error, or with `slices` the parts in which that way of cutting begins, ends or
// goes on, together at most `most` bytes. (There are none of a pipe for kSpread, which needs the
// length at first.) A growing file is read up to the size it had at first.
ReadBytes ReadFileBytes(const std::string& path, int64_t most, Accept accept,
                        const CutStyle* slices = nullptr);

enum class Why {
  kPacked,
  kCut,       // packed in part
  kBudget,    // does not fit any more
  kTooLarge,  // of bytes
  kBinary,    // by content
  kIgnored,   // by an ignore file, a rule of --exclude
  kSkipped,   // version control, dependencies, build output
  kLink,      // a symbolic link, or a pipe, socket or device in a tree
  kRepeated,  // the same file or folder came before
  kUnreadable,
};

struct Entry {
  std::string path;    // to open
  std::string shown;   // in headers and reports; a folder's ends in '/'
  bool named = false;  // an argument itself
  bool cut = false;    // to what the budget has left: an argument, or the same file as one
  bool folder = false;
  Why why = Why::kPacked;
  std::string detail;   // of `why`
  int64_t bytes = 0;    // as the file system says
  int64_t tokens = -1;  // of its section, -1 where not counted
};

struct WalkOptions {
  std::vector<Glob> include, exclude;
  bool ignore_files = true;
  bool follow = false;
  std::string output;  // the file that will be written, "" or "-" for standard output: left out
};

// Everything under the roots, files and the folders that were left out: roots as given, in each the
// files by the bytes of their paths. Fails where a root cannot be opened or at a Ctrl-C. *notes are
// lines for the report.
Failure Walk(const std::vector<std::string>& roots, const WalkOptions& options, bool quiet,
             std::vector<Entry>* entries, std::vector<std::string>* notes);

}  // namespace scout::tool

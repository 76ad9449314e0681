// A GGUF model in one file or in parts NAME-00001-of-00003.gguf. SPDX-License-Identifier:
// Apache-2.0
//
// Every part is a GGUF file of its own, with keys split.no (counted from 0), split.count and
// split.tensors.count (of the whole model). The first part has the model's metadata, the others as
// a rule nothing but these three keys.
#include <utility>

#include "lib/format/gguf.h"
#include "lib/format/tensor_check.h"

namespace scout {
namespace {

constexpr int64_t kMaxParts = 1024;  // each keeps a file descriptor
constexpr size_t kDigits = 5;
constexpr std::string_view kCount = "split.count", kNumber = "split.no",
                           kTensors = "split.tensors.count";

// What a part says of itself; -1 where it says nothing.
struct SplitKeys {
  int64_t count = 1, number = -1, tensors = -1;
};

absl::Status ReadKey(const Gguf& gguf, std::string_view key, int64_t low, int64_t high,
                     int64_t* out) {
  if (!gguf.metadata.contains(key)) return absl::OkStatus();
  const ErrorPlace place{.tensor = std::string(key)};
  const int64_t* value = gguf.find_int(key);
  if (value == nullptr) {
    return AtPlace(CorruptError(absl::StrCat("metadata key ", AbslView(key), " is no integer")),
                   place);
  }
  if (*value < low || *value > high) {
    return AtPlace(CorruptError(absl::StrCat("metadata key ", AbslView(key), " is ", *value,
                                             ", outside [", low, ", ", high, "]")),
                   place);
  }
  *out = *value;
  return absl::OkStatus();
}

absl::StatusOr<SplitKeys> ReadKeys(const Gguf& gguf) {
  SplitKeys keys;
  // 0 stands for a model that is not split.
  SCOUT_RETURN_IF_ERROR(ReadKey(gguf, kCount, 0, int64_t{1} << 31, &keys.count));
  if (keys.count == 0) keys.count = 1;
  if (keys.count > kMaxParts) {
    return AtPlace(
        UnsupportedError(absl::StrCat("a model in ", keys.count, " parts, more than ", kMaxParts)),
        {.tensor = std::string(kCount)});
  }
  SCOUT_RETURN_IF_ERROR(ReadKey(gguf, kNumber, 0, keys.count - 1, &keys.number));
  SCOUT_RETURN_IF_ERROR(ReadKey(gguf, kTensors, 0, int64_t{1} << 31, &keys.tensors));
  if (keys.count > 1 && (keys.number < 0 || keys.tensors < 0)) {
    return CorruptError(absl::StrCat("this is one of ", keys.count, " parts of a model, but ",
                                     keys.number < 0 ? AbslView(kNumber) : AbslView(kTensors),
                                     " is missing"));
  }
  return keys;
}

std::string FiveDigits(int64_t n) {
  const std::string text = absl::StrCat(n);
  return std::string(kDigits - std::min(kDigits, text.size()), '0') + text;
}

std::string PartEnd(int64_t number, int64_t count) {
  return absl::StrCat("-", FiveDigits(number + 1), "-of-", FiveDigits(count), ".gguf");
}

// A part without its file kept open.
absl::StatusOr<Gguf> ReadOne(const std::string& path) {
  SCOUT_ASSIGN_OR_RETURN(auto file, File::Open(path));
  absl::StatusOr<Gguf> gguf = ParseGguf(FileSource(*file));
  if (!gguf.ok()) return AtPlace(gguf.status(), {.file = path});
  gguf->table.files.push_back(std::move(file));
  return gguf;
}

absl::Status CheckPart(const Gguf& part, int64_t number, const SplitKeys& whole) {
  SCOUT_ASSIGN_OR_RETURN(const SplitKeys keys, ReadKeys(part));
  if (keys.count != whole.count) {
    return CorruptError(absl::StrCat("the part says that the model has ", keys.count,
                                     " parts, the first one says ", whole.count,
                                     ": they are of different models"));
  }
  if (keys.number != number) {
    return CorruptError(absl::StrCat("the file is named part ", number + 1, " of ", whole.count,
                                     ", but is part ", keys.number + 1));
  }
  if (keys.tensors != whole.tensors) {
    return CorruptError(absl::StrCat("the part says that the model has ", keys.tensors,
                                     " tensors, the first one says ", whole.tensors,
                                     ": they are of different models"));
  }
  return absl::OkStatus();
}

// Appends the tensors and the file of a part.
absl::Status AppendPart(Gguf part, TensorTable* table) {
  const int file = static_cast<int>(table->files.size());
  const std::string& path = part.table.files[0]->path();
  for (const TensorEntry& t : part.table.tensors) {
    if (const TensorEntry* other = table->find(t.name)) {
      return AtPlace(
          CorruptError(absl::StrCat("tensor ", t.name, " is in two parts, also in ",
                                    table->files[static_cast<size_t>(other->file)]->path())),
          {.file = path, .tensor = t.name, .offset = t.offset});
    }
  }
  const size_t first = table->tensors.size();
  table->files.push_back(std::move(part.table.files[0]));
  for (TensorEntry& t : part.table.tensors) {
    t.file = file;
    table->tensors.push_back(std::move(t));
  }
  return IndexTensors(first, table);
}

absl::Status CheckTensorCount(const TensorTable& table, const SplitKeys& keys) {
  const auto n = static_cast<int64_t>(table.tensors.size());
  if (keys.tensors < 0 || n == keys.tensors) return absl::OkStatus();
  return AtPlace(
      CorruptError(absl::StrCat("the model's ", keys.count, " parts have ", n, " tensors, ",
                                AbslView(kTensors), " says ", keys.tensors)),
      {.tensor = std::string(kTensors)});
}

// Every part beside `given`, found by its name. A value of the first part holds; a key that another
// part has too must say the same there.
absl::StatusOr<Gguf> ReadParts(const std::string& path, Gguf given, const SplitKeys& keys) {
  const std::string end = PartEnd(keys.number, keys.count);
  if (path.size() <= end.size() || path.compare(path.size() - end.size(), end.size(), end) != 0) {
    return CorruptError(absl::StrCat("this is part ", keys.number + 1, " of ", keys.count,
                                     " of a model, but its name does not end in \"", end,
                                     "\", so that the others cannot be found"));
  }
  const std::string stem = path.substr(0, path.size() - end.size());
  Gguf whole;
  for (int64_t number = 0; number < keys.count; ++number) {
    const std::string name = stem + PartEnd(number, keys.count);
    Gguf part;
    if (number == keys.number) {
      part = std::move(given);
    } else {
      absl::StatusOr<Gguf> read = ReadOne(name);
      if (absl::IsNotFound(read.status())) {
        return AtPlace(
            absl::NotFoundError(absl::StrCat("part ", number + 1, " of ", keys.count,
                                             " of the model is missing: ", Printable(name))),
            {.file = name});
      }
      if (!read.ok()) return read.status();
      part = *std::move(read);
    }
    if (absl::Status s = CheckPart(part, number, keys); !s.ok()) return AtPlace(s, {.file = name});
    if (number == 0) {
      whole.version = part.version;
      whole.alignment = part.alignment;
      whole.metadata = std::move(part.metadata);
    } else {
      for (const auto& [key, value] : part.metadata) {
        const auto first = whole.metadata.find(key);
        // These differ with the part or its layout.
        if (key == kNumber || key == "general.alignment") continue;
        if (first != whole.metadata.end() && first->second == value) continue;
        return AtPlace(CorruptError(absl::StrCat("metadata key ", key, " is not as in the first ",
                                                 "part: they are of different models")),
                       {.file = name, .tensor = key});
      }
    }
    SCOUT_RETURN_IF_ERROR(AppendPart(std::move(part), &whole.table));
  }
  return whole;
}

}  // namespace

absl::StatusOr<Gguf> ReadGguf(const std::string& path) {
  SCOUT_ASSIGN_OR_RETURN(Gguf gguf, ReadOne(path));
  const auto join = [&]() -> absl::StatusOr<Gguf> {
    SCOUT_ASSIGN_OR_RETURN(const SplitKeys keys, ReadKeys(gguf));
    if (keys.count > 1) {
      SCOUT_ASSIGN_OR_RETURN(gguf, ReadParts(path, std::move(gguf), keys));
    }
    SCOUT_RETURN_IF_ERROR(CheckTensorCount(gguf.table, keys));
    return std::move(gguf);
  };
  absl::StatusOr<Gguf> whole = join();
  if (!whole.ok()) return AtPlace(whole.status(), {.file = path});
  return whole;
}

}  // namespace scout

// Sizes, ranges, overlaps and unique names of a tensor table. SPDX-License-Identifier: Apache-2.0
#include "lib/format/tensor_check.h"

#include <algorithm>

#include "lib/util/checked.h"

namespace scout {

absl::StatusOr<int64_t> TensorBytes(const TensorEntry& entry, int64_t block_elems,
                                    int64_t block_bytes) {
  const int64_t row = entry.shape.empty() ? 1 : entry.shape.back();  // no dimension: one element
  if (row % block_elems != 0) {
    return AtPlace(CorruptError(absl::StrCat("tensor ", entry.name, ": rows of ", row,
                                             " elements are no multiple of ", block_elems,
                                             ", the block of ", entry.type_name)),
                   {.tensor = entry.name});
  }
  int64_t blocks = row / block_elems;
  bool fits = true;
  for (size_t i = 0; i + 1 < entry.shape.size(); ++i) {
    fits = fits && CheckedMul(blocks, entry.shape[i], &blocks);
  }
  int64_t bytes = 0;
  // The element count must fit as well: n_elements() multiplies without checks.
  int64_t elements = 0;
  fits =
      fits && CheckedMul(blocks, block_bytes, &bytes) && CheckedMul(blocks, block_elems, &elements);
  if (!fits) {
    return AtPlace(CorruptError(absl::StrCat("tensor ", entry.name, ": its size overflows")),
                   {.tensor = entry.name});
  }
  return bytes;
}

absl::Status CheckTensorRanges(int64_t data_start, int64_t file_size, bool no_holes, size_t first,
                               std::vector<TensorEntry>* tensors) {
  const auto begin = tensors->begin() + static_cast<ptrdiff_t>(first);
  std::sort(begin, tensors->end(), [](const TensorEntry& a, const TensorEntry& b) {
    if (a.offset != b.offset) return a.offset < b.offset;
    return a.nbytes < b.nbytes;
  });
  const auto at = [](const TensorEntry& t) {
    return ErrorPlace{.tensor = t.name, .offset = t.offset};
  };
  int64_t missing = 0;
  const TensorEntry* beyond = nullptr;  // the first tensor in the file that does not fit
  for (auto t = begin; t != tensors->end(); ++t) {
    int64_t end = 0;
    if (t->offset < data_start || !CheckedAdd(t->offset, t->nbytes, &end)) {
      return AtPlace(CorruptError(absl::StrCat("tensor ", t->name, ": its offset ", t->offset,
                                               " with ", t->nbytes, " bytes is out of range")),
                     at(*t));
    }
    if (end > file_size) {
      if (beyond == nullptr) beyond = &*t;
      missing = std::max(missing, end - file_size);
    }
  }
  if (beyond != nullptr) {
    return AtPlace(CorruptError(absl::StrCat("the file is cut short: tensor ", beyond->name, " of ",
                                             beyond->nbytes, " bytes at ", beyond->offset,
                                             " lies beyond its end; the file has ", file_size,
                                             " bytes, ", missing, " are missing")),
                   at(*beyond));
  }
  int64_t end = data_start;
  const TensorEntry* before = nullptr;
  for (auto t = begin; t != tensors->end(); ++t) {
    if (t->offset < end) {
      return AtPlace(
          CorruptError(absl::StrCat("tensor ", t->name, " at ", t->offset, " overlaps tensor ",
                                    before->name, ", which ends at ", end)),
          at(*t));
    }
    if (no_holes && t->offset != end) {
      return AtPlace(
          CorruptError(absl::StrCat("a hole of ", t->offset - end, " bytes lies before tensor ",
                                    t->name, "; the format allows none")),
          at(*t));
    }
    end = t->offset + t->nbytes;
    before = &*t;
  }
  if (no_holes && end != file_size) {
    return AtPlace(CorruptError(absl::StrCat(file_size - end, " bytes follow the last tensor; the ",
                                             "format allows none")),
                   {.offset = end});
  }
  return absl::OkStatus();
}

absl::Status IndexTensors(size_t first, TensorTable* table) {
  for (size_t i = first; i < table->tensors.size(); ++i) {
    const TensorEntry& t = table->tensors[i];
    if (!table->by_name.emplace(t.name, static_cast<int64_t>(i)).second) {
      return AtPlace(CorruptError(absl::StrCat("tensor ", t.name, " is there twice")),
                     {.tensor = t.name, .offset = t.offset});
    }
  }
  return absl::OkStatus();
}

}  // namespace scout

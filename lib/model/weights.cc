// Binding and reading of weight tensors. SPDX-License-Identifier: Apache-2.0
#include "lib/model/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/format/byte_source.h"

namespace scout {
namespace {

constexpr int64_t kPieceBytes = int64_t{8} << 20;  // between two looks at the progress callback
constexpr int64_t kLargeBytes = int64_t{1} << 20;  // from here on buffers are whole pages
constexpr int64_t kPage = 4096;

// Throws std::bad_alloc; the memory is not cleared.
Buffer Allocate(int64_t bytes) {
  const bool large = bytes >= kLargeBytes;
  const auto align = static_cast<std::align_val_t>(large ? kPage : 64);
  const int64_t rounded = large ? (bytes + kPage - 1) / kPage * kPage : bytes;
  auto* memory = static_cast<uint8_t*>(::operator new[](static_cast<size_t>(rounded), align));
  return Buffer(memory, BufferDelete{align});
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

// dst[r][first_col + c] = src[c][r] for r < rows, c < cols, in tiles that stay in the first cache.
template <typename T>
void TransposeTiles(const uint8_t* src, int64_t src_stride, uint8_t* dst, int64_t dst_stride,
                    int64_t rows, int64_t cols) {
  constexpr int64_t kTile = 32;
  for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
    for (int64_t c0 = 0; c0 < cols; c0 += kTile) {
      const int64_t r1 = std::min(rows, r0 + kTile);
      const int64_t c1 = std::min(cols, c0 + kTile);
      for (int64_t r = r0; r < r1; ++r) {
        for (int64_t c = c0; c < c1; ++c) {
          std::memcpy(dst + (r * dst_stride + c) * sizeof(T),
                      src + (c * src_stride + r) * sizeof(T), sizeof(T));
        }
      }
    }
  }
}

int64_t RowBytes(kernels::QuantType type, int64_t cols) {
  const kernels::QuantTraits& traits = kernels::quant_traits(type);
  return cols / traits.block_elems * traits.block_bytes;
}

}  // namespace

absl::StatusOr<const TensorEntry*> WeightPlan::Bind(const std::string& name, bool float_only,
                                                    const std::vector<int64_t>& shape) {
  const TensorEntry* entry = table_.find(name);
  if (entry == nullptr) {
    ErrorPlace place{.tensor = name};
    if (table_.files.size() == 1) place.file = table_.files[0]->path();
    return AtPlace(absl::NotFoundError(absl::StrCat("the model has no tensor ", name)), place);
  }
  const ErrorPlace place{table_.files[entry->file]->path(), name, entry->offset};
  if (entry->shape != shape) {
    return AtPlace(
        CorruptError(absl::StrCat("tensor ", name, " has shape ", ShapeText(entry->shape),
                                  ", the configuration asks for ", ShapeText(shape))),
        place);
  }
  if (!entry->supported) {
    return AtPlace(UnsupportedError(
                       absl::StrCat("tensor ", name, " is of type ", Printable(entry->type_name))),
                   place);
  }
  const kernels::QuantTraits& traits = kernels::quant_traits(entry->type);
  if (float_only && !traits.is_float) {
    return AtPlace(UnsupportedError(absl::StrCat("tensor ", name, " is of type ", traits.name,
                                                 ", where F32, F16 or BF16 is needed")),
                   place);
  }
  // The container's reader has compared bytes, shape and file: what follows rests on it.
  if (shape.back() % traits.block_elems != 0 ||
      entry->n_elements() / traits.block_elems * traits.block_bytes != entry->nbytes) {
    return AtPlace(
        CorruptError(absl::StrCat("tensor ", name, " has ", entry->nbytes, " bytes for shape ",
                                  ShapeText(shape), " in ", traits.name)),
        place);
  }
  if (!used_.insert(entry).second) {
    return AtPlace(absl::InternalError(absl::StrCat("tensor ", name, " was bound twice")), place);
  }
  return entry;
}

absl::Status WeightPlan::AddMatrix(const std::string& name, int64_t rows, int64_t cols,
                                   kernels::Matrix* target) {
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, false, {rows, cols}));
  *target = {nullptr, entry->type, rows, cols, RowBytes(entry->type, cols)};
  items_.push_back({entry, Kind::kRows, 1, {target}, nullptr});
  return absl::OkStatus();
}

absl::Status WeightPlan::AddStack(const std::string& name, int64_t rows, int64_t cols,
                                  const std::vector<kernels::Matrix*>& targets) {
  const int64_t n = static_cast<int64_t>(targets.size());
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, false, {n, rows, cols}));
  for (kernels::Matrix* target : targets) {
    *target = {nullptr, entry->type, rows, cols, RowBytes(entry->type, cols)};
  }
  items_.push_back({entry, Kind::kRows, 1, targets, nullptr});
  return absl::OkStatus();
}

absl::Status WeightPlan::AddTransposed(const std::string& name, int64_t groups, int64_t rows,
                                       int64_t cols, const std::vector<kernels::Matrix*>& targets) {
  const int64_t n = static_cast<int64_t>(targets.size()) / groups;
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, true, {n, cols, groups * rows}));
  for (kernels::Matrix* target : targets) {
    *target = {nullptr, entry->type, rows, cols, RowBytes(entry->type, cols)};
  }
  items_.push_back({entry, Kind::kTransposed, groups, targets, nullptr});
  return absl::OkStatus();
}

absl::Status WeightPlan::AddVector(const std::string& name, int64_t n, const float** target) {
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, true, {n}));
  items_.push_back({entry, Kind::kVector, 1, {}, target});
  return absl::OkStatus();
}

// Fills buffers piece by piece and reports each.
class WeightPlan::Reader {
 public:
  Reader(const TensorTable& table, const Progress& progress, int64_t total)
      : table_(table), progress_(progress), total_(total) {}

  absl::Status Report(int64_t bytes) {
    done_ += bytes;
    if (progress_ && !progress_(done_, total_)) {
      return absl::CancelledError("loading was cancelled");
    }
    return absl::OkStatus();
  }

  // The tensor's bytes as they are.
  absl::Status ReadRows(const TensorEntry& entry, uint8_t* dst) {
    for (int64_t at = 0; at < entry.nbytes; at += kPieceBytes) {
      const int64_t n = std::min(kPieceBytes, entry.nbytes - at);
      SCOUT_RETURN_IF_ERROR(ReadAt(entry, at, dst + at, n));
      SCOUT_RETURN_IF_ERROR(Report(n));
    }
    return absl::OkStatus();
  }

  // Targets one after another in dst; strips of the source's rows become columns of the targets.
  absl::Status ReadTransposed(const Item& item, uint8_t* dst) {
    const TensorEntry& entry = *item.entry;
    const int64_t rows = item.targets[0]->rows, cols = item.targets[0]->cols;
    const int64_t elem = kernels::quant_traits(entry.type).block_bytes;
    const int64_t src_row = item.groups * rows * elem;
    const int64_t strip = std::max<int64_t>(1, std::min(cols, kPieceBytes / src_row));
    if (static_cast<int64_t>(piece_.size()) < strip * src_row) piece_.resize(strip * src_row);
    const int64_t n = static_cast<int64_t>(item.targets.size()) / item.groups;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < cols; c += strip) {
        const int64_t height = std::min(strip, cols - c);
        SCOUT_RETURN_IF_ERROR(
            ReadAt(entry, (i * cols + c) * src_row, piece_.data(), height * src_row));
        for (int64_t g = 0; g < item.groups; ++g) {
          const uint8_t* src = piece_.data() + g * rows * elem;
          uint8_t* to = dst + ((i * item.groups + g) * rows * cols + c) * elem;
          if (elem == 2) {
            TransposeTiles<uint16_t>(src, item.groups * rows, to, cols, rows, height);
          } else {
            TransposeTiles<uint32_t>(src, item.groups * rows, to, cols, rows, height);
          }
        }
        SCOUT_RETURN_IF_ERROR(Report(height * src_row));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadVector(const TensorEntry& entry, float* dst) {
    std::vector<uint8_t> bytes(entry.nbytes);  // of a float type, at most the hidden size
    SCOUT_RETURN_IF_ERROR(ReadAt(entry, 0, bytes.data(), entry.nbytes));
    kernels::quant_traits(entry.type).decode(bytes.data(), dst, entry.n_elements());
    for (int64_t i = 0; i < entry.n_elements(); ++i) {
      if (std::isfinite(dst[i])) continue;
      return AtPlace(CorruptError(absl::StrCat("element ", i, " is not a finite number")),
                     {table_.files[entry.file]->path(), entry.name, entry.offset});
    }
    return Report(entry.nbytes);
  }

 private:
  absl::Status ReadAt(const TensorEntry& entry, int64_t at, uint8_t* dst, int64_t n) {
    const File& file = *table_.files[entry.file];
    return AtPlace(file.ReadAt(entry.offset + at, dst, n),
                   {file.path(), entry.name, entry.offset + at});
  }

  const TensorTable& table_;
  const Progress& progress_;
  int64_t total_, done_ = 0;
  std::vector<uint8_t> piece_;
};

absl::Status WeightPlan::Read(const Progress& progress, std::vector<Buffer>* storage,
                              int64_t* bytes_held) {
  std::vector<const Item*> order;
  int64_t total = 0;
  for (const Item& item : items_) {
    order.push_back(&item);
    total += item.entry->nbytes;  // distinct ranges of files: no overflow
  }
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::pair(a->entry->file, a->entry->offset) <
           std::pair(b->entry->file, b->entry->offset);
  });

  Reader reader(table_, progress, total);
  SCOUT_RETURN_IF_ERROR(reader.Report(0));
  std::vector<Buffer> buffers;
  buffers.reserve(order.size());
  int64_t held = 0;
  for (const Item* item : order) {
    const int64_t bytes = item->kind == Kind::kVector
                              ? item->entry->n_elements() * static_cast<int64_t>(sizeof(float))
                              : item->entry->nbytes;
    Buffer buffer = Allocate(bytes);
    switch (item->kind) {
      case Kind::kRows:
        SCOUT_RETURN_IF_ERROR(reader.ReadRows(*item->entry, buffer.get()));
        break;
      case Kind::kTransposed:
        SCOUT_RETURN_IF_ERROR(reader.ReadTransposed(*item, buffer.get()));
        break;
      case Kind::kVector:
        SCOUT_RETURN_IF_ERROR(
            reader.ReadVector(*item->entry, reinterpret_cast<float*>(buffer.get())));
        break;
    }
    held += bytes;
    buffers.push_back(std::move(buffer));
  }

  for (size_t i = 0; i < order.size(); ++i) {
    uint8_t* data = buffers[i].get();
    if (order[i]->kind == Kind::kVector) *order[i]->vector = reinterpret_cast<float*>(data);
    for (kernels::Matrix* target : order[i]->targets) {
      target->data = data;
      data += target->rows * target->row_bytes;
    }
  }
  *storage = std::move(buffers);
  *bytes_held = held;
  return absl::OkStatus();
}

std::string WeightPlan::TableText() const {
  std::vector<const TensorEntry*> entries = bound();
  std::sort(entries.begin(), entries.end(),
            [](const TensorEntry* a, const TensorEntry* b) { return a->name < b->name; });
  std::string text;
  for (const TensorEntry* entry : entries) {
    absl::StrAppend(&text, entry->name, " ", kernels::quant_traits(entry->type).name, " ",
                    ShapeText(entry->shape), "\n");
  }
  return text;
}

std::vector<const TensorEntry*> WeightPlan::bound() const {
  std::vector<const TensorEntry*> entries;
  for (const Item& item : items_) entries.push_back(item.entry);
  return entries;
}

std::vector<const TensorEntry*> WeightPlan::unbound() const {
  std::vector<const TensorEntry*> entries;
  for (const TensorEntry& entry : table_.tensors) {
    if (!used_.contains(&entry)) entries.push_back(&entry);
  }
  return entries;
}

}  // namespace scout

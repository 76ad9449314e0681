// Parallel reading of weights. SPDX-License-Identifier: Apache-2.0
#include "lib/model/weight_reader.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/quant/interleave.h"
#include "lib/model/repack.h"
#include "lib/util/cores.h"
#include "lib/util/digest.h"
#include "lib/util/thread_pool.h"

namespace scout {
namespace {

constexpr int64_t kSegmentBytes = int64_t{4} << 20;
constexpr int64_t kSegmentRows = 128;  // the largest block of elements that repacking fills
constexpr int64_t kLargeBytes = int64_t{1} << 20;  // from here on buffers are whole pages
constexpr int64_t kPage = 4096;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kHugeBytes = 32 * kHugePage;  // from here on a rounded-up end is worth it
constexpr int64_t kBytesPerThread = int64_t{16} << 20;
constexpr int64_t kMaxThreads = 16;  // more do not read faster

// Throws std::bad_alloc; the memory is not cleared. A large buffer lies in huge pages where the
// system has them: a quarter of the time of a load from the page cache is spent on page faults.
Buffer Allocate(int64_t bytes) {
  const bool huge = bytes >= kHugeBytes;
  const int64_t unit = huge ? kHugePage : bytes >= kLargeBytes ? kPage : 64;
  const auto align = static_cast<std::align_val_t>(unit);
  const int64_t rounded = (bytes + unit - 1) / unit * unit;
  auto* memory = static_cast<uint8_t*>(::operator new[](static_cast<size_t>(rounded), align));
  Buffer buffer(memory, BufferDelete{align});
  if (huge) ::madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE);  // a hint
  return buffer;
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

// One load or one digest. Tasks run in the order of the files, on any thread; the first error, by
// order of tasks, is the result.
class Job {
 public:
  Job(const WeightPlan& plan, const ReadOptions& options, bool keep)
      : table_(plan.table()), options_(options), keep_(keep), sources_(plan.bound()) {
    int64_t n_segments = 0;
    for (const TensorEntry* source : sources_) {
      first_digest_[source] = n_segments;
      n_segments += SegmentsOf(*source).count();
    }
    total_ = BytesToRead(plan);
    if (options.digest) digests_.resize(static_cast<size_t>(n_segments));
    // What the page cache keeps of files that do not fit in memory beside the weights pushes out
    // what is about to be read.
    const int64_t memory = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
    drop_cache_ = total_ > memory / 2;
    if (keep) {
      for (const WeightItem& item : plan.items()) {
        ChooseLayout(item);
        AddTasks(item);
      }
    } else {
      for (const TensorEntry* source : sources_) AddSegments(*source, nullptr);
    }
    std::sort(tasks_.begin(), tasks_.end(), [](const Task& a, const Task& b) {
      return std::tuple(a.entry->file, a.entry->offset, a.segment) <
             std::tuple(b.entry->file, b.entry->offset, b.segment);
    });
  }

  absl::Status Run() {
    SCOUT_RETURN_IF_ERROR(Report());
    if (keep_) {
      for (Task& task : tasks_) {
        if (task.segment <= 0) AllocateFor(*task.item);
      }
      for (Task& task : tasks_) task.data = buffers_[buffer_of_[task.item]].get();
    }
    int64_t n_threads = options_.n_threads;
    if (n_threads == 0) {
      n_threads = std::min<int64_t>({PhysicalCores(), kMaxThreads, total_ / kBytesPerThread + 1});
    }
    SCOUT_ASSIGN_OR_RETURN(auto pool, ThreadPool::Create(static_cast<int>(n_threads)));
    scratch_.resize(static_cast<size_t>(n_threads));
    pool->Run(static_cast<int64_t>(tasks_.size()), [this](int64_t i, int worker) {
      if (stop_.load(std::memory_order_relaxed)) return;
      absl::Status status = DoTask(tasks_[static_cast<size_t>(i)], worker);
      if (!status.ok()) Fail(i, std::move(status));
    });
    if (failed_task_ >= 0) return error_;
    return reported_ == total_ ? absl::OkStatus() : Report();
  }

  // After Run: gives the buffers away and sets the targets.
  void Finish(const WeightPlan& plan, ReadResult* result) {
    for (const WeightItem& item : plan.items()) {
      uint8_t* data = buffers_[buffer_of_[&item]].get();
      if (item.kind == WeightItem::Kind::kVector) *item.vector = reinterpret_cast<float*>(data);
      for (kernels::Matrix* target : item.targets) {
        target->data = data;
        data += MatrixBytes(*target);
      }
      if (item.kind == WeightItem::Kind::kFloat8) {
        item.targets[0]->row_scale = reinterpret_cast<const float*>(
            static_cast<const uint8_t*>(item.targets[0]->data) + item.row_scale_offset());
      }
      result->bytes_held += item.bytes_held();
    }
    result->storage = std::move(buffers_);
  }

  std::string Digest() const {
    if (digests_.empty()) return "";
    std::string text;
    for (const TensorEntry* source : sources_) {
      const int64_t n = SegmentsOf(*source).count();
      const Digest128* first = digests_.data() + first_digest_.at(source);
      const std::string_view bytes(reinterpret_cast<const char*>(first),
                                   static_cast<size_t>(n) * sizeof(Digest128));
      absl::StrAppend(&text, source->name, " ", source->type_name, " (",
                      absl::StrJoin(source->shape, ", "), ") ", Xxh3Hex(bytes), "\n");
    }
    return Xxh3Hex(text);
  }

 private:
  struct Task {
    const TensorEntry* entry = nullptr;
    const WeightItem* item = nullptr;  // null: its digest alone
    int64_t segment = 0;
    uint8_t* data = nullptr;  // the item's buffer
  };

  void ChooseLayout(const WeightItem& item) const {
    if (!options_.interleave || item.targets.empty()) return;
    const kernels::Matrix& first = *item.targets[0];
    if (&first == options_.in_rows || !kernels::can_interleave(first.type)) return;
    const bool is_int4 =
        item.kind == WeightItem::Kind::kPacked || item.kind == WeightItem::Kind::kAwq;
    if (item.kind != WeightItem::Kind::kRows && !is_int4) return;
    for (kernels::Matrix* target : item.targets) {
      target->layout = kernels::MatrixLayout::kInterleaved;
    }
  }

  void AddSegments(const TensorEntry& entry, const WeightItem* item) {
    for (int64_t i = 0; i < SegmentsOf(entry).count(); ++i) tasks_.push_back({&entry, item, i});
  }

  void AddTasks(const WeightItem& item) {
    // Quantised layers are one task each: every piece of one needs its scales.
    if (item.kind == WeightItem::Kind::kRows || item.kind == WeightItem::Kind::kTransposed) {
      AddSegments(*item.entry, &item);
    } else {
      tasks_.push_back({item.entry, &item, 0});
    }
  }

  void AllocateFor(const WeightItem& item) {
    buffer_of_[&item] = buffers_.size();
    buffers_.push_back(Allocate(item.bytes_held()));
  }

  // On the calling thread.
  absl::Status Report() {
    reported_ = done_.load(std::memory_order_relaxed);
    if (!options_.progress || options_.progress(reported_, total_)) return absl::OkStatus();
    return absl::CancelledError("loading was cancelled");
  }

  absl::Status Done(int64_t bytes, int worker) {
    done_.fetch_add(bytes, std::memory_order_relaxed);
    return worker == 0 ? Report() : absl::OkStatus();
  }

  void Fail(int64_t task, absl::Status status) {
    stop_.store(true, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failed_task_ >= 0 && failed_task_ < task) return;
    failed_task_ = task;
    error_ = std::move(status);
  }

  absl::Status ReadSegment(const TensorEntry& entry, int64_t segment, uint8_t* dst) {
    const Segments segments = SegmentsOf(entry);
    const int64_t at = entry.offset + segments.offset(segment), n = segments.bytes(segment);
    const File& file = *table_.files[static_cast<size_t>(entry.file)];
    SCOUT_RETURN_IF_ERROR(AtPlace(file.ReadAt(at, dst, n), {file.path(), entry.name, at}));
    if (drop_cache_) file.DropCache(at, n);
    if (!digests_.empty()) {
      digests_[static_cast<size_t>(first_digest_.find(&entry)->second + segment)] =
          Xxh3(dst, static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  // Room for a segment in the worker's own memory.
  uint8_t* Scratch(int worker, int64_t bytes) {
    std::vector<uint8_t>& scratch = scratch_[static_cast<size_t>(worker)].piece;
    if (static_cast<int64_t>(scratch.size()) < bytes) scratch.resize(static_cast<size_t>(bytes));
    return scratch.data();
  }

  absl::Status DoTask(const Task& task, int worker) {
    const TensorEntry& entry = *task.entry;
    const Segments segments = SegmentsOf(entry);
    const int64_t bytes = segments.bytes(task.segment);
    if (task.item == nullptr) {
      SCOUT_RETURN_IF_ERROR(ReadSegment(entry, task.segment, Scratch(worker, bytes)));
      return Done(bytes, worker);
    }
    switch (task.item->kind) {
      case WeightItem::Kind::kRows:
        if (task.item->targets[0]->layout == kernels::MatrixLayout::kInterleaved) {
          SCOUT_RETURN_IF_ERROR(ReadInterleaved(task, worker));
        } else {
          SCOUT_RETURN_IF_ERROR(
              ReadSegment(entry, task.segment, task.data + segments.offset(task.segment)));
        }
        break;
      case WeightItem::Kind::kTransposed:
        SCOUT_RETURN_IF_ERROR(ReadTransposed(task, worker));
        break;
      case WeightItem::Kind::kVector:
        SCOUT_RETURN_IF_ERROR(ReadVector(task, worker));
        break;
      case WeightItem::Kind::kPacked:
      case WeightItem::Kind::kAwq:
        return ReadInt4(task, worker);
      case WeightItem::Kind::kFloat8:
        return ReadFloat8(task, worker);
    }
    return Done(bytes, worker);
  }

  absl::Status ReadInterleaved(const Task& task, int worker) {
    const Segments segments = SegmentsOf(*task.entry);
    const kernels::Matrix& m = *task.item->targets[0];  // all of one shape
    uint8_t* piece = Scratch(worker, segments.bytes(task.segment));
    SCOUT_RETURN_IF_ERROR(ReadSegment(*task.entry, task.segment, piece));
    kernels::interleave_rows(m.type, piece, m.row_bytes, segments.first(task.segment),
                             segments.height(task.segment), m.cols,
                             task.data + segments.matrix(task.segment) * MatrixBytes(m));
    return absl::OkStatus();
  }

  // Rows of the source become columns of the targets.
  absl::Status ReadTransposed(const Task& task, int worker) {
    const WeightItem& item = *task.item;
    const Segments segments = SegmentsOf(*task.entry);
    const int64_t rows = item.targets[0]->rows, cols = item.targets[0]->cols;
    const int64_t elem = kernels::quant_traits(task.entry->type).block_bytes;
    const int64_t first = segments.first(task.segment), height = segments.height(task.segment);
    uint8_t* piece = Scratch(worker, segments.bytes(task.segment));
    SCOUT_RETURN_IF_ERROR(ReadSegment(*task.entry, task.segment, piece));
    for (int64_t g = 0; g < item.groups; ++g) {
      const int64_t matrix = segments.matrix(task.segment) * item.groups + g;
      const uint8_t* src = piece + g * rows * elem;
      uint8_t* to = task.data + (matrix * rows * cols + first) * elem;
      if (elem == 2) {
        TransposeTiles<uint16_t>(src, item.groups * rows, to, cols, rows, height);
      } else {
        TransposeTiles<uint32_t>(src, item.groups * rows, to, cols, rows, height);
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadVector(const Task& task, int worker) {
    const TensorEntry& entry = *task.entry;  // of a float type, at most the hidden size
    uint8_t* bytes = Scratch(worker, entry.nbytes);
    SCOUT_RETURN_IF_ERROR(ReadSegment(entry, 0, bytes));
    auto* dst = reinterpret_cast<float*>(task.data);
    kernels::quant_traits(entry.type).decode(bytes, dst, entry.n_elements());
    for (int64_t i = 0; i < entry.n_elements(); ++i) {
      if (std::isfinite(dst[i])) continue;
      return AtPlace(
          CorruptError(absl::StrCat("element ", i, " is not a finite number")),
          {table_.files[static_cast<size_t>(entry.file)]->path(), entry.name, entry.offset});
    }
    return absl::OkStatus();
  }

  // A whole tensor, to the worker's memory for parts.
  absl::Status ReadPart(const TensorEntry& entry, int worker, FloatBytes* out) {
    std::vector<uint8_t>& part = scratch_[static_cast<size_t>(worker)].part;
    part.resize(static_cast<size_t>(entry.nbytes));
    const Segments segments = SegmentsOf(entry);
    for (int64_t i = 0; i < segments.count(); ++i) {
      SCOUT_RETURN_IF_ERROR(ReadSegment(entry, i, part.data() + segments.offset(i)));
    }
    *out = {part.data(), entry.type, entry.n_elements()};
    return Done(entry.nbytes, worker);
  }

  ErrorPlace At(const TensorEntry& entry) const {
    return {table_.files[static_cast<size_t>(entry.file)]->path(), entry.name, entry.offset};
  }

  // weight_shape repeats what the configuration says, which decides.
  absl::Status CheckShape(const WeightItem& item, int worker) {
    if (item.shape == nullptr) return absl::OkStatus();
    FloatBytes bytes;
    SCOUT_RETURN_IF_ERROR(ReadPart(*item.shape, worker, &bytes));
    int64_t shape[2] = {};
    if (item.shape->nbytes == sizeof(shape)) {
      std::memcpy(shape, bytes.data, sizeof(shape));
    } else {
      int32_t narrow[2];
      std::memcpy(narrow, bytes.data, sizeof(narrow));
      shape[0] = narrow[0];
      shape[1] = narrow[1];
    }
    const kernels::Matrix& m = *item.targets[0];
    if (shape[0] == m.rows && shape[1] == m.cols) return absl::OkStatus();
    return AtPlace(
        CorruptError(absl::StrCat("tensor ", item.shape->name, " says (", shape[0], ", ", shape[1],
                                  "), the configuration asks for (", m.rows, ", ", m.cols, ")")),
        At(*item.shape));
  }

  absl::Status ReadGroupScales(const WeightItem& item, int worker, GroupScales* scales) {
    const kernels::Matrix& m = *item.targets[0];
    const bool awq = item.kind == WeightItem::Kind::kAwq;
    scales->group = item.group;
    scales->n_groups = m.cols / item.group;
    FloatBytes bytes;
    SCOUT_RETURN_IF_ERROR(ReadPart(*item.scales, worker, &bytes));
    SCOUT_RETURN_IF_ERROR(AtPlace(ReadScales(bytes, awq, m.rows, scales), At(*item.scales)));
    if (item.zeros == nullptr) {
      scales->zeros.assign(scales->bits.size(), 8);  // symmetric: the middle of 0 .. 15
      return absl::OkStatus();
    }
    SCOUT_RETURN_IF_ERROR(ReadPart(*item.zeros, worker, &bytes));
    if (awq) {
      ReadAwqZeros(bytes.data, m.rows, scales);
    } else if (item.zeros->type_name == "I32") {
      ReadPackedZeros(bytes.data, m.rows, scales);
    } else {
      return AtPlace(ReadInt8Zeros(bytes.data, m.rows, scales), At(*item.zeros));
    }
    return absl::OkStatus();
  }

  absl::Status ReadInt4(const Task& task, int worker) {
    const WeightItem& item = *task.item;
    const kernels::Matrix& m = *item.targets[0];
    GroupScales& scales = scratch_[static_cast<size_t>(worker)].scales;
    SCOUT_RETURN_IF_ERROR(CheckShape(item, worker));
    SCOUT_RETURN_IF_ERROR(ReadGroupScales(item, worker, &scales));
    const Segments segments = SegmentsOf(*task.entry);
    const bool interleaved = m.layout == kernels::MatrixLayout::kInterleaved;
    uint8_t* rows = task.data;
    if (interleaved) {
      std::vector<uint8_t>& part = scratch_[static_cast<size_t>(worker)].part;
      part.resize(static_cast<size_t>(m.rows * m.row_bytes));
      rows = part.data();
    }
    for (int64_t i = 0; i < segments.count(); ++i) {
      if (stop_.load(std::memory_order_relaxed)) return absl::OkStatus();
      uint8_t* piece = Scratch(worker, segments.bytes(i));
      SCOUT_RETURN_IF_ERROR(ReadSegment(*task.entry, i, piece));
      const int64_t first = segments.first(i), height = segments.height(i);
      if (item.kind == WeightItem::Kind::kPacked) {
        PackRows(piece, scales, m.type, first, height, rows + first * m.row_bytes);
      } else {
        PackAwqColumns(piece, scales, m.type, first, height, m.rows, m.cols, rows);
      }
      SCOUT_RETURN_IF_ERROR(Done(segments.bytes(i), worker));
    }
    if (interleaved) {
      kernels::interleave_rows(m.type, rows, m.row_bytes, 0, m.rows, m.cols, task.data);
    }
    return absl::OkStatus();
  }

  absl::Status ReadFloat8(const Task& task, int worker) {
    const WeightItem& item = *task.item;
    const int64_t rows = item.targets[0]->rows;
    FloatBytes bytes;
    SCOUT_RETURN_IF_ERROR(ReadPart(*item.scales, worker, &bytes));
    auto* scale = reinterpret_cast<float*>(task.data + item.row_scale_offset());
    kernels::quant_traits(bytes.type).decode(bytes.data, scale, bytes.n);
    for (int64_t i = 0; i < bytes.n; ++i) {
      if (std::isfinite(scale[i])) continue;
      return AtPlace(CorruptError(absl::StrCat("scale ", i, " is not a finite number")),
                     At(*item.scales));
    }
    for (int64_t i = bytes.n; i < rows; ++i) scale[i] = scale[0];  // one of the whole tensor
    const Segments segments = SegmentsOf(*task.entry);
    for (int64_t i = 0; i < segments.count(); ++i) {
      if (stop_.load(std::memory_order_relaxed)) return absl::OkStatus();
      SCOUT_RETURN_IF_ERROR(ReadSegment(*task.entry, i, task.data + segments.offset(i)));
      SCOUT_RETURN_IF_ERROR(Done(segments.bytes(i), worker));
    }
    return absl::OkStatus();
  }

  const TensorTable& table_;
  const ReadOptions& options_;
  const bool keep_;
  const std::vector<const TensorEntry*> sources_;  // by name
  std::unordered_map<const TensorEntry*, int64_t> first_digest_;
  std::vector<Digest128> digests_;  // of segments
  std::vector<Task> tasks_;
  bool drop_cache_ = false;
  int64_t total_ = 0, reported_ = 0;

  std::unordered_map<const WeightItem*, size_t> buffer_of_;
  std::vector<Buffer> buffers_;
  struct Worker {
    std::vector<uint8_t> piece, part;  // of the main tensor; of scales and the like
    GroupScales scales;
  };
  std::vector<Worker> scratch_;
  std::atomic<int64_t> done_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // of what follows
  int64_t failed_task_ = -1;
  absl::Status error_;
};

}  // namespace

Segments SegmentsOf(const TensorEntry& entry) {
  Segments s;
  const size_t n_dims = entry.shape.size();
  if (n_dims >= 2) s.rows = entry.shape[n_dims - 2];
  for (size_t i = 0; i + 2 < n_dims; ++i) s.n_matrices *= entry.shape[i];
  s.row_bytes = entry.nbytes / (s.n_matrices * s.rows);
  s.step = std::max<int64_t>(1, kSegmentBytes / s.row_bytes / kSegmentRows) * kSegmentRows;
  s.per_matrix = (s.rows + s.step - 1) / s.step;
  return s;
}

int64_t BytesToRead(const WeightPlan& plan) {
  int64_t total = 0;
  for (const TensorEntry* source : plan.bound()) total += source->nbytes;  // distinct: no overflow
  return total;
}

absl::StatusOr<ReadResult> ReadWeights(const WeightPlan& plan, const ReadOptions& options) {
  Job job(plan, options, true);
  SCOUT_RETURN_IF_ERROR(job.Run());
  ReadResult result;
  result.digest = job.Digest();
  job.Finish(plan, &result);
  return result;
}

absl::StatusOr<std::string> DigestWeights(const WeightPlan& plan, const ReadOptions& options) {
  Job job(plan, options, false);
  SCOUT_RETURN_IF_ERROR(job.Run());
  return job.Digest();
}

}  // namespace scout

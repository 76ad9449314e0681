// Binding and reading of weight tensors. SPDX-License-Identifier: Apache-2.0
#include "lib/model/weights.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/format/byte_source.h"

namespace scout {
namespace {

int64_t RowBytes(kernels::QuantType type, int64_t cols) {
  const kernels::QuantTraits& traits = kernels::quant_traits(type);
  return cols / traits.block_elems * traits.block_bytes;
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

absl::StatusOr<const TensorEntry*> WeightPlan::Find(const std::string& name) const {
  if (const TensorEntry* entry = table_.find(name)) return entry;
  ErrorPlace place{.tensor = name};
  if (table_.files.size() == 1) place.file = table_.files[0]->path();
  return AtPlace(absl::NotFoundError(absl::StrCat("the model has no tensor ", name)), place);
}

ErrorPlace WeightPlan::PlaceOfTensor(const TensorEntry& entry) const {
  return {table_.files[entry.file]->path(), entry.name, entry.offset};
}

absl::Status WeightPlan::Use(const TensorEntry* entry) {
  if (used_.insert(entry).second) return absl::OkStatus();
  return AtPlace(absl::InternalError(absl::StrCat("tensor ", entry->name, " was bound twice")),
                 PlaceOfTensor(*entry));
}

absl::StatusOr<const TensorEntry*> WeightPlan::Bind(const std::string& name, bool float_only,
                                                    const std::vector<int64_t>& shape) {
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Find(name));
  const ErrorPlace place = PlaceOfTensor(*entry);
  if (entry->shape != shape) {
    return AtPlace(
        CorruptError(absl::StrCat("tensor ", name, " has shape ", ShapeText(entry->shape),
                                  ", the configuration asks for ", ShapeText(shape))),
        place);
  }
  // A float of 8 bits means nothing without scales, which AddLinear binds.
  if (!entry->supported || entry->type == kernels::QuantType::kF8_E4M3) {
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
  SCOUT_RETURN_IF_ERROR(Use(entry));
  return entry;
}

absl::Status WeightPlan::AddMatrix(const std::string& name, int64_t rows, int64_t cols,
                                   kernels::Matrix* target) {
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, false, {rows, cols}));
  *target = {nullptr, entry->type, rows, cols, RowBytes(entry->type, cols), nullptr};
  items_.push_back({.entry = entry, .targets = {target}});
  return absl::OkStatus();
}

absl::Status WeightPlan::AddStack(const std::string& name, int64_t rows, int64_t cols,
                                  const std::vector<kernels::Matrix*>& targets) {
  const int64_t n = static_cast<int64_t>(targets.size());
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, false, {n, rows, cols}));
  for (kernels::Matrix* target : targets) {
    *target = {nullptr, entry->type, rows, cols, RowBytes(entry->type, cols), nullptr};
  }
  items_.push_back({.entry = entry, .targets = targets});
  return absl::OkStatus();
}

absl::Status WeightPlan::AddTransposed(const std::string& name, int64_t groups, int64_t rows,
                                       int64_t cols, const std::vector<kernels::Matrix*>& targets) {
  const int64_t n = static_cast<int64_t>(targets.size()) / groups;
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, true, {n, cols, groups * rows}));
  for (kernels::Matrix* target : targets) {
    *target = {nullptr, entry->type, rows, cols, RowBytes(entry->type, cols), nullptr};
  }
  items_.push_back({.entry = entry,
                    .kind = WeightItem::Kind::kTransposed,
                    .groups = groups,
                    .targets = targets});
  return absl::OkStatus();
}

absl::Status WeightPlan::AddVector(const std::string& name, int64_t n, const float** target) {
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Bind(name, true, {n}));
  items_.push_back({.entry = entry, .kind = WeightItem::Kind::kVector, .vector = target});
  return absl::OkStatus();
}

std::vector<const TensorEntry*> WeightPlan::bound() const {
  std::vector<const TensorEntry*> entries;
  for (const WeightItem& item : items_) {
    for (const TensorEntry* source : item.sources()) entries.push_back(source);
  }
  std::sort(entries.begin(), entries.end(),
            [](const TensorEntry* a, const TensorEntry* b) { return a->name < b->name; });
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

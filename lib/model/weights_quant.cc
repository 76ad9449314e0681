// Linear layers of quantised Hugging Face checkpoints. SPDX-License-Identifier: Apache-2.0
//
// Which layer is quantised, and how, its tensors say; the configuration must agree:
//   X.weight_packed I32 (out, in / 8)      compressed-tensors, int4: weight_scale (out, groups),
//   for
//                                          asymmetric schemes weight_zero_point, weight_shape (2)
//   X.qweight I32 (in, out / 8)            AutoAWQ: scales (groups, out), qzeros I32 (groups,
//   out/8) X.weight F8_E4M3 (out, in)             compressed-tensors: weight_scale per row or
//   tensor X.weight of a float type               not quantised
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/quant/interleave.h"
#include "lib/format/byte_source.h"
#include "lib/model/weights.h"

namespace scout {
namespace {

using kernels::QuantType;

constexpr int64_t kNibbles = 8;  // per 32-bit word
constexpr int64_t kAlign = 64;

absl::StatusOr<QuantType> BlocksOf(int64_t group) {
  if (group % 128 == 0) return QuantType::kI4_128;
  if (group % 32 == 0) return QuantType::kI4_32;
  return UnsupportedError(absl::StrCat("4-bit groups of ", group, " elements (multiples of 32)"));
}

// Elements per scale: what the configuration says, or the whole row.
absl::StatusOr<int64_t> GroupSizeOf(const QuantGroup& group, int64_t cols) {
  const int64_t size = group.group_size == 0 ? cols : group.group_size;
  if (cols % size == 0) return size;
  return UnsupportedError(
      absl::StrCat("groups of ", size, " elements in rows of ", cols, ", no multiple of it"));
}

kernels::Matrix MatrixOf(QuantType type, int64_t rows, int64_t cols) {
  const kernels::QuantTraits& traits = kernels::quant_traits(type);
  return {nullptr, type, rows, cols, cols / traits.block_elems * traits.block_bytes, nullptr};
}

}  // namespace

std::vector<const TensorEntry*> WeightItem::sources() const {
  std::vector<const TensorEntry*> all;
  for (const TensorEntry* part : {entry, scales, zeros, shape}) {
    if (part != nullptr) all.push_back(part);
  }
  return all;
}

int64_t WeightItem::row_scale_offset() const {
  return (entry->nbytes + kAlign - 1) / kAlign * kAlign;
}

int64_t MatrixBytes(const kernels::Matrix& m) {
  return m.layout == kernels::MatrixLayout::kRows
             ? m.rows * m.row_bytes
             : kernels::interleaved_bytes(m.type, m.rows, m.cols);
}

int64_t WeightItem::bytes_held() const {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  switch (kind) {
    case Kind::kRows: {
      int64_t bytes = 0;
      for (const kernels::Matrix* target : targets) bytes += MatrixBytes(*target);
      return bytes;
    }
    case Kind::kTransposed:
      return entry->nbytes;
    case Kind::kVector:
      return entry->n_elements() * kFloat;
    case Kind::kPacked:
    case Kind::kAwq:
      return MatrixBytes(*targets[0]);
    case Kind::kFloat8:
      return row_scale_offset() + targets[0]->rows * kFloat;
  }
  return 0;
}

absl::StatusOr<const TensorEntry*> WeightPlan::BindPart(
    const std::string& name, const std::vector<std::string_view>& types,
    const std::vector<std::vector<int64_t>>& shapes) {
  SCOUT_ASSIGN_OR_RETURN(const TensorEntry* entry, Find(name));
  const ErrorPlace place = PlaceOfTensor(*entry);
  if (std::find(shapes.begin(), shapes.end(), entry->shape) == shapes.end()) {
    return AtPlace(
        CorruptError(absl::StrCat("tensor ", name, " has shape ", ShapeText(entry->shape),
                                  ", the configuration asks for ", ShapeText(shapes[0]))),
        place);
  }
  if (std::find(types.begin(), types.end(), entry->type_name) == types.end()) {
    return AtPlace(UnsupportedError(
                       absl::StrCat("tensor ", name, " is of type ", Printable(entry->type_name))),
                   place);
  }
  SCOUT_RETURN_IF_ERROR(Use(entry));
  return entry;
}

absl::Status WeightPlan::AddLinear(const std::string& module, int64_t rows, int64_t cols,
                                   kernels::Matrix* target) {
  // What marks formats whose other tensors look like those that are run.
  for (const char* foreign :
       {".weight_g_idx", ".g_idx", ".weight_scale_inv", ".weight_global_scale", ".SCB",
        ".weight.absmax", ".weight_scale_2"}) {
    if (const TensorEntry* entry = table_.find(module + foreign)) {
      return AtPlace(
          UnsupportedError(absl::StrCat("quantised weights with a tensor ", entry->name)),
          PlaceOfTensor(*entry));
    }
  }
  const TensorEntry* plain = table_.find(module + ".weight");
  const bool packed = Has(module + ".weight_packed"), awq = Has(module + ".qweight");
  const bool float8 = plain != nullptr && plain->type_name == "F8_E4M3";
  if (packed + awq + (plain != nullptr) > 1) {
    return AtPlace(CorruptError(absl::StrCat(module, " has its weights in two forms")),
                   {.tensor = module});
  }
  if (!packed && !awq && !float8) return AddMatrix(module + ".weight", rows, cols, target);
  const std::string name = packed ? module + ".weight_packed"
                           : awq  ? module + ".qweight"
                                  : module + ".weight";
  const auto add = [&]() -> absl::Status {
    using Method = QuantConfig::Method;
    if (quant_.method != (awq ? Method::kAwq : Method::kCompressedTensors)) {
      return quant_.method == Method::kNone
                 ? CorruptError(absl::StrCat("tensor ", name, " is quantised, but the ",
                                             "configuration says nothing of it"))
                 : CorruptError(absl::StrCat("tensor ", name, " is of another quantisation ",
                                             "method than the configuration says"));
    }
    if (awq) return AddAwq(module, rows, cols, target);
    return packed ? AddPacked(module, rows, cols, target) : AddFloat8(module, rows, cols, target);
  };
  const absl::Status status = add();
  if (status.ok()) return status;
  return AtPlace(status, PlaceOfTensor(*table_.find(name)));
}

absl::Status WeightPlan::AddPacked(const std::string& module, int64_t rows, int64_t cols,
                                   kernels::Matrix* target) {
  SCOUT_ASSIGN_OR_RETURN(const QuantGroup* group, quant_.GroupOf(module));
  const std::string zero_point = module + ".weight_zero_point";
  if (group->float8) {
    return CorruptError(absl::StrCat(module, " has 4-bit integers, its group \"", group->name,
                                     "\" floats of 8 bits"));
  }
  WeightItem item{.kind = WeightItem::Kind::kPacked, .targets = {target}};
  SCOUT_ASSIGN_OR_RETURN(item.group, GroupSizeOf(*group, cols));
  SCOUT_ASSIGN_OR_RETURN(const QuantType type, BlocksOf(item.group));
  const int64_t n_groups = cols / item.group;
  SCOUT_ASSIGN_OR_RETURN(item.entry,
                         BindPart(module + ".weight_packed", {"I32"}, {{rows, cols / kNibbles}}));
  SCOUT_ASSIGN_OR_RETURN(
      item.scales, BindPart(module + ".weight_scale", {"BF16", "F16", "F32"}, {{rows, n_groups}}));
  if (!group->symmetric || Has(zero_point)) {
    const int64_t words = (rows + kNibbles - 1) / kNibbles;
    SCOUT_ASSIGN_OR_RETURN(
        item.zeros, BindPart(zero_point, {"I32", "I8"}, {{words, n_groups}, {rows, n_groups}}));
    if (item.zeros->shape[0] != (item.zeros->type_name == "I32" ? words : rows)) {
      return CorruptError(absl::StrCat("tensor ", zero_point, " has shape ",
                                       ShapeText(item.zeros->shape), " in ", item.zeros->type_name,
                                       " for ", rows, " rows"));
    }
  }
  if (Has(module + ".weight_shape")) {
    SCOUT_ASSIGN_OR_RETURN(item.shape, BindPart(module + ".weight_shape", {"I64", "I32"}, {{2}}));
  }
  *target = MatrixOf(type, rows, cols);
  items_.push_back(std::move(item));
  return absl::OkStatus();
}

absl::Status WeightPlan::AddAwq(const std::string& module, int64_t rows, int64_t cols,
                                kernels::Matrix* target) {
  SCOUT_ASSIGN_OR_RETURN(const QuantGroup* group, quant_.GroupOf(module));
  WeightItem item{.kind = WeightItem::Kind::kAwq, .targets = {target}};
  SCOUT_ASSIGN_OR_RETURN(item.group, GroupSizeOf(*group, cols));
  SCOUT_ASSIGN_OR_RETURN(const QuantType type, BlocksOf(item.group));
  const int64_t n_groups = cols / item.group;
  if (rows % kNibbles != 0) {
    return UnsupportedError(absl::StrCat(module, ": AWQ of ", rows, " rows, no multiple of 8"));
  }
  SCOUT_ASSIGN_OR_RETURN(item.entry,
                         BindPart(module + ".qweight", {"I32"}, {{cols, rows / kNibbles}}));
  SCOUT_ASSIGN_OR_RETURN(item.scales,
                         BindPart(module + ".scales", {"F16", "BF16", "F32"}, {{n_groups, rows}}));
  if (!group->symmetric || Has(module + ".qzeros")) {
    SCOUT_ASSIGN_OR_RETURN(item.zeros,
                           BindPart(module + ".qzeros", {"I32"}, {{n_groups, rows / kNibbles}}));
  }
  *target = MatrixOf(type, rows, cols);
  items_.push_back(std::move(item));
  return absl::OkStatus();
}

absl::Status WeightPlan::AddFloat8(const std::string& module, int64_t rows, int64_t cols,
                                   kernels::Matrix* target) {
  SCOUT_ASSIGN_OR_RETURN(const QuantGroup* group, quant_.GroupOf(module));
  if (!group->float8) {
    return CorruptError(absl::StrCat(module, " has floats of 8 bits, its group \"", group->name,
                                     "\" 4-bit integers"));
  }
  WeightItem item{.kind = WeightItem::Kind::kFloat8, .targets = {target}};
  SCOUT_ASSIGN_OR_RETURN(item.entry, BindPart(module + ".weight", {"F8_E4M3"}, {{rows, cols}}));
  using Shapes = std::vector<std::vector<int64_t>>;
  SCOUT_ASSIGN_OR_RETURN(item.scales, BindPart(module + ".weight_scale", {"BF16", "F16", "F32"},
                                               group->per_tensor ? Shapes{{1}, {}, {1, 1}}
                                                                 : Shapes{{rows, 1}, {rows}}));
  *target = MatrixOf(QuantType::kF8_E4M3, rows, cols);
  items_.push_back(std::move(item));
  return absl::OkStatus();
}

}  // namespace scout

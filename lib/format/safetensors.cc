// Reader of safetensors files: a length, a JSON header, then the data without holes.
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/safetensors.h"

#include <algorithm>
#include <utility>

#include "lib/format/json.h"
#include "lib/format/tensor_check.h"
#include "lib/util/checked.h"

namespace scout {
namespace {

constexpr int64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr int64_t kMaxNameBytes = 4096;
constexpr size_t kMaxDims = 8;
constexpr size_t kMaxDtypeBytes = 64;
// A header's text becomes a tree first. An entry has 7 values in 50 bytes or more, so that these
// limits hold back nothing but a header made to take memory.
constexpr int64_t kMaxValues = 8'000'000, kBytesPerValue = 6, kFreeValues = 4096;
constexpr int64_t kMaxArray = 64;  // a shape, or two offsets

struct Dtype {
  const char* name;
  int64_t bits;
  bool supported;
  kernels::QuantType type;
};
constexpr kernels::QuantType kNone = kernels::QuantType::kF32;
constexpr Dtype kDtypes[] = {
    {"F32", 32, true, kernels::QuantType::kF32},
    {"F16", 16, true, kernels::QuantType::kF16},
    {"BF16", 16, true, kernels::QuantType::kBF16},
    {"F64", 64, false, kNone},
    {"F8_E4M3", 8, true, kernels::QuantType::kF8_E4M3},
    {"F8_E5M2", 8, false, kNone},
    {"F8_E8M0", 8, false, kNone},
    {"F8_E4M3FNUZ", 8, false, kNone},
    {"F8_E5M2FNUZ", 8, false, kNone},
    {"F6_E2M3", 6, false, kNone},
    {"F6_E3M2", 6, false, kNone},
    {"F4", 4, false, kNone},
    {"I64", 64, false, kNone},
    {"I32", 32, false, kNone},
    {"I16", 16, false, kNone},
    {"I8", 8, false, kNone},
    {"U64", 64, false, kNone},
    {"U32", 32, false, kNone},
    {"U16", 16, false, kNone},
    {"U8", 8, false, kNone},
    {"BOOL", 8, false, kNone},
    {"C64", 64, false, kNone},
};

absl::Status TensorError(const std::string& name, std::string_view reason) {
  return AtPlace(CorruptError(absl::StrCat("tensor ", name, ": ", AbslView(reason))),
                 {.tensor = name});
}

absl::Status CheckMetadata(const Json& metadata) {
  if (!metadata.is_object()) return CorruptError("__metadata__ is no object");
  for (size_t i = 0; i < metadata.items().size(); ++i) {
    if (!metadata.items()[i].is_string()) {
      return CorruptError(absl::StrCat("__metadata__: the value of ",
                                       Printable(metadata.names()[i]), " is no string"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadShape(const Json& shape, TensorEntry* entry) {
  if (shape.items().size() > kMaxDims) {
    return AtPlace(UnsupportedError(absl::StrCat("tensor ", entry->name, ": ", shape.items().size(),
                                                 " dimensions, more than ", kMaxDims)),
                   {.tensor = entry->name});
  }
  for (const Json& dim : shape.items()) {
    if (!dim.is_int() || dim.as_int() < 0) {
      return TensorError(entry->name, "a dimension in its shape is no non-negative integer");
    }
    entry->shape.push_back(dim.as_int());
    // Legal, and no weight of a model: who asks for the tensor refuses its shape.
    if (dim.as_int() == 0) entry->supported = false;
  }
  return absl::OkStatus();
}

// What the shape needs in `bits` per element.
absl::StatusOr<int64_t> BytesNeeded(const TensorEntry& entry, int64_t bits) {
  if (std::count(entry.shape.begin(), entry.shape.end(), 0) != 0) return 0;
  if (bits % 8 == 0) return TensorBytes(entry, 1, bits / 8);
  SCOUT_ASSIGN_OR_RETURN(const int64_t elements, TensorBytes(entry, 1, 1));
  int64_t all = 0;
  if (!CheckedMul(elements, bits, &all)) return TensorError(entry.name, "its size overflows");
  if (all % 8 == 0) return all / 8;
  return TensorError(entry.name, absl::StrCat(elements, " elements of ", entry.type_name,
                                              " are no whole number of bytes"));
}

// One member of the header; offsets become those of the file.
absl::Status ReadEntry(const Json& json, int64_t data_start, TensorEntry* entry) {
  const std::string& name = entry->name;
  if (!json.is_object()) return TensorError(name, "its entry is no object");
  const Json* dtype = json.find("dtype");
  const Json* shape = json.find("shape");
  const Json* offsets = json.find("data_offsets");
  if (dtype == nullptr || !dtype->is_string()) return TensorError(name, "dtype is no string");
  if (shape == nullptr || !shape->is_array()) return TensorError(name, "shape is no array");
  if (offsets == nullptr || !offsets->is_array() || offsets->items().size() != 2 ||
      !offsets->items()[0].is_int() || !offsets->items()[1].is_int()) {
    return TensorError(name, "data_offsets is no pair of integers");
  }
  const Dtype* found = nullptr;
  for (const Dtype& known : kDtypes) {
    if (dtype->as_string() == known.name) found = &known;
  }
  if (!IsPlainName(dtype->as_string()) || dtype->as_string().size() > kMaxDtypeBytes) {
    return AtPlace(UnsupportedError(absl::StrCat("tensor ", name, ": dtype \"",
                                                 Printable(dtype->as_string()), "\" is unknown")),
                   {.tensor = name});
  }
  // An unknown type is refused where the tensor is asked for: what the model does not use may have
  // a type that is newer than this library.
  entry->type_name = dtype->as_string();
  entry->supported = found != nullptr && found->supported;
  if (found != nullptr) entry->type = found->type;
  SCOUT_RETURN_IF_ERROR(ReadShape(*shape, entry));
  const int64_t begin = offsets->items()[0].as_int(), end = offsets->items()[1].as_int();
  if (begin < 0 || end < begin) {
    return TensorError(name, absl::StrCat("data_offsets [", begin, ", ", end, "] are no range"));
  }
  entry->nbytes = end - begin;
  if (found != nullptr) {
    SCOUT_ASSIGN_OR_RETURN(const int64_t needed, BytesNeeded(*entry, found->bits));
    if (needed != entry->nbytes) {
      return TensorError(
          name, absl::StrCat("data_offsets span ", entry->nbytes, " bytes, but its shape needs ",
                             needed, " of ", found->name));
    }
  }
  if (!CheckedAdd(data_start, begin, &entry->offset)) {
    return TensorError(name, absl::StrCat("its offset ", begin, " overflows"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TensorEntry>> ParseSafetensors(const ByteSource& source, int file) {
  uint64_t length = 0;
  if (source.size() < static_cast<int64_t>(sizeof(length))) {
    return AtPlace(CorruptError(absl::StrCat("the file is cut short: ", source.size(),
                                             " bytes, the header's length alone takes 8")),
                   {.offset = 0});
  }
  SCOUT_RETURN_IF_ERROR(source.ReadAt(0, &length, sizeof(length)));
  const int64_t left = source.size() - static_cast<int64_t>(sizeof(length));
  if (length > static_cast<uint64_t>(left)) {
    return AtPlace(CorruptError(absl::StrCat("the header's length is ", length, " bytes, but only ",
                                             left, " follow: the file is cut short, or this is no ",
                                             "safetensors file")),
                   {.offset = 0});
  }
  if (length > static_cast<uint64_t>(kMaxHeaderBytes)) {
    return AtPlace(UnsupportedError(absl::StrCat(
                       "a header of ", length, " bytes, more than the limit of ", kMaxHeaderBytes)),
                   {.offset = 0});
  }
  const int64_t header_start = sizeof(length);
  const int64_t data_start = header_start + static_cast<int64_t>(length);
  std::string text(static_cast<size_t>(length), '\0');
  SCOUT_RETURN_IF_ERROR(source.ReadAt(header_start, text.data(), static_cast<int64_t>(length)));
  if (text.empty() || text[0] != '{') {
    return AtPlace(CorruptError("the header is no JSON object"), {.offset = header_start});
  }
  absl::StatusOr<Json> header =
      ParseJson(text, {.max_bytes = kMaxHeaderBytes,
                       .max_depth = 4,
                       .max_values = std::min(
                           kMaxValues, kFreeValues + static_cast<int64_t>(length) / kBytesPerValue),
                       .max_array = kMaxArray});
  if (!header.ok()) {
    ErrorPlace place = PlaceOf(header.status());
    if (place.offset >= 0) place.offset += header_start;
    return AtPlace(
        absl::Status(header.status().code(), absl::StrCat("header: ", header.status().message())),
        place);
  }
  std::vector<TensorEntry> tensors;
  for (size_t i = 0; i < header->items().size(); ++i) {
    const std::string& name = header->names()[i];
    if (name == "__metadata__") {
      SCOUT_RETURN_IF_ERROR(CheckMetadata(header->items()[i]));
      continue;
    }
    if (!IsPlainName(name) || static_cast<int64_t>(name.size()) > kMaxNameBytes) {
      return CorruptError(absl::StrCat("the tensor name \"", Printable(name),
                                       "\" is no plain text of up to ", kMaxNameBytes, " bytes"));
    }
    TensorEntry& entry = tensors.emplace_back();
    entry.name = name;
    entry.file = file;
    SCOUT_RETURN_IF_ERROR(ReadEntry(header->items()[i], data_start, &entry));
  }
  SCOUT_RETURN_IF_ERROR(CheckTensorRanges(data_start, source.size(), true, 0, &tensors));
  return tensors;
}

absl::Status AppendSafetensors(const std::string& path, TensorTable* table) {
  SCOUT_ASSIGN_OR_RETURN(auto file, File::Open(path));
  absl::StatusOr<std::vector<TensorEntry>> tensors =
      ParseSafetensors(FileSource(*file), static_cast<int>(table->files.size()));
  if (!tensors.ok()) return AtPlace(tensors.status(), {.file = path});
  for (const TensorEntry& t : *tensors) {
    if (const TensorEntry* other = table->find(t.name)) {
      return AtPlace(
          CorruptError(absl::StrCat("tensor ", t.name, " is in two files, also in ",
                                    table->files[static_cast<size_t>(other->file)]->path())),
          {.file = path, .tensor = t.name, .offset = t.offset});
    }
  }
  const size_t first = table->tensors.size();
  table->files.push_back(std::move(file));
  for (TensorEntry& t : *tensors) table->tensors.push_back(std::move(t));
  return IndexTensors(first, table);
}

}  // namespace scout

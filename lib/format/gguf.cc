// Reader of GGUF headers: everything in them is untrusted and checked here, once.
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/gguf.h"

#include <limits>
#include <utility>

#include "lib/format/header_reader.h"
#include "lib/format/tensor_check.h"
#include "lib/util/checked.h"

namespace scout {
namespace {

// Limits of this reader, far above what files have: Llama 4 has 50 keys, 200,000 vocabulary
// entries, 440,000 merges and 800 tensors in a header of 12 MB.
constexpr int64_t kMaxHeaderBytes = int64_t{256} << 20;
constexpr int64_t kMaxKeys = 65'536;
constexpr int64_t kMaxKeyBytes = 65'535;
constexpr int64_t kMaxStringBytes = int64_t{64} << 20;
constexpr int64_t kMaxArray = int64_t{16} << 20;  // elements of all arrays together
constexpr int64_t kMaxTensors = int64_t{1} << 20;
constexpr int64_t kMaxTensorNameBytes = 1024;
constexpr int64_t kMaxDims = 4;
constexpr int64_t kMaxAlignment = int64_t{1} << 20;

enum ValueType : uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

// Blocks of types that GGUF defines and this library does not compute with, so that their ranges
// can be checked as well.
struct ForeignBlock {
  uint32_t ggml_type;
  int16_t elems, bytes;
};
constexpr ForeignBlock kForeignBlocks[] = {
    {9, 32, 36},    {15, 256, 292}, {16, 256, 66}, {17, 256, 74}, {18, 256, 98}, {19, 256, 50},
    {21, 256, 110}, {22, 256, 82},  {24, 1, 1},    {25, 1, 2},    {26, 1, 4},    {27, 1, 8},
    {28, 1, 8},     {29, 256, 56},  {34, 256, 54}, {35, 256, 66},
};

// `status` with `prefix` before its message; the place stays.
absl::Status Prefixed(const std::string& prefix, const absl::Status& status) {
  return AtPlace(absl::Status(status.code(), absl::StrCat(prefix, ": ", status.message())),
                 PlaceOf(status));
}

class GgufParser {
 public:
  explicit GgufParser(const ByteSource& source)
      : source_(source), reader_(source, kMaxHeaderBytes) {}

  absl::StatusOr<Gguf> Parse() {
    SCOUT_RETURN_IF_ERROR(ReadHead());
    SCOUT_RETURN_IF_ERROR(ReadMetadata());
    SCOUT_RETURN_IF_ERROR(ReadAlignment());
    SCOUT_RETURN_IF_ERROR(ReadTensors());
    return std::move(gguf_);
  }

 private:
  absl::Status ReadHead() {
    char magic[4] = {};
    for (char& c : magic) {
      if (reader_.left() == 0) return NotGguf();
      SCOUT_RETURN_IF_ERROR(reader_.Read(&c));
    }
    if (std::string_view(magic, 4) != "GGUF") return NotGguf();
    uint32_t version = 0;
    SCOUT_RETURN_IF_ERROR(reader_.Read(&version));
    if (version != 0 && (version & 0xFFFF) == 0) {
      return reader_.Unsupported("a big-endian GGUF file; only little-endian files are read");
    }
    if (version != 2 && version != 3) {
      return reader_.Unsupported(absl::StrCat("GGUF version ", version, "; 2 and 3 are read"));
    }
    gguf_.version = version;
    uint64_t n_tensors = 0, n_keys = 0;
    SCOUT_RETURN_IF_ERROR(reader_.Read(&n_tensors));
    SCOUT_RETURN_IF_ERROR(reader_.Read(&n_keys));
    // The shortest tensor entry: name length, one byte, n_dims, type, offset. The shortest key: its
    // length, one byte, a type, a value of one byte.
    SCOUT_RETURN_IF_ERROR(
        reader_.CheckCount(n_tensors, 8 + 1 + 4 + 4 + 8, kMaxTensors, "tensors", &n_tensors_));
    return reader_.CheckCount(n_keys, 8 + 1 + 4 + 1, kMaxKeys, "metadata keys", &n_keys_);
  }

  absl::Status NotGguf() const {
    return AtPlace(CorruptError("not a GGUF file: it does not start with \"GGUF\" (a "
                                "Hugging Face model is given by its folder)"),
                   {.offset = 0});
  }

  absl::Status ReadMetadata() {
    for (int64_t i = 0; i < n_keys_; ++i) {
      const int64_t at = reader_.position();
      std::string key;
      if (absl::Status s = reader_.ReadString(kMaxKeyBytes, &key); !s.ok()) {
        return Prefixed(absl::StrCat("name of metadata key ", i), s);
      }
      if (!IsPlainName(key)) {
        return AtPlace(CorruptError(absl::StrCat("the name \"", Printable(key),
                                                 "\" of metadata key ", i, " is no plain text")),
                       {.offset = at});
      }
      GgufValue value;
      if (absl::Status s = ReadValue(&value); !s.ok()) {
        return Prefixed(absl::StrCat("metadata key ", Printable(key)), s);
      }
      const auto [it, added] = gguf_.metadata.try_emplace(std::move(key), std::move(value));
      if (!added) {
        return AtPlace(
            CorruptError(absl::StrCat("metadata key ", Printable(it->first), " is there twice")),
            {.offset = at});
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadValue(GgufValue* value) {
    uint32_t type = 0;
    SCOUT_RETURN_IF_ERROR(reader_.Read(&type));
    switch (type) {
      case kU8:
        return ReadScalar<uint8_t, int64_t>(value);
      case kI8:
        return ReadScalar<int8_t, int64_t>(value);
      case kU16:
        return ReadScalar<uint16_t, int64_t>(value);
      case kI16:
        return ReadScalar<int16_t, int64_t>(value);
      case kU32:
        return ReadScalar<uint32_t, int64_t>(value);
      case kI32:
        return ReadScalar<int32_t, int64_t>(value);
      case kU64:
        return ReadScalar<uint64_t, int64_t>(value);
      case kI64:
        return ReadScalar<int64_t, int64_t>(value);
      case kF32:
        return ReadScalar<float, double>(value);
      case kF64:
        return ReadScalar<double, double>(value);
      case kBool: {
        uint8_t bit = 0;
        SCOUT_RETURN_IF_ERROR(reader_.Read(&bit));
        SCOUT_RETURN_IF_ERROR(CheckBool(bit));
        *value = bit != 0;
        return absl::OkStatus();
      }
      case kString: {
        std::string text;
        SCOUT_RETURN_IF_ERROR(reader_.ReadString(kMaxStringBytes, &text));
        *value = std::move(text);
        return absl::OkStatus();
      }
      case kArray:
        return ReadArray(value);
      default:
        return reader_.Corrupt(absl::StrCat("value type ", type, " is not defined"));
    }
  }

  absl::Status CheckBool(uint8_t bit) const {
    if (bit <= 1) return absl::OkStatus();
    return reader_.Corrupt(absl::StrCat("a bool has the value ", bit));
  }

  // Widens a number. False where it is beyond int64.
  template <typename T, typename Wide>
  static bool Widen(T number, Wide* out) {
    if constexpr (std::is_same_v<T, uint64_t>) {
      return CheckedFromU64(number, out);
    } else {
      *out = static_cast<Wide>(number);
      return true;
    }
  }

  template <typename T, typename Wide>
  absl::Status ReadNumber(Wide* out) {
    T number{};
    SCOUT_RETURN_IF_ERROR(reader_.Read(&number));
    if (Widen(number, out)) return absl::OkStatus();
    return reader_.Unsupported(absl::StrCat("the number ", number, " is beyond 2^63 - 1"));
  }

  template <typename T, typename Wide>
  absl::Status ReadScalar(GgufValue* value) {
    Wide wide{};
    SCOUT_RETURN_IF_ERROR((ReadNumber<T, Wide>(&wide)));
    value->emplace<Wide>(wide);
    return absl::OkStatus();
  }

  absl::Status ReadArray(GgufValue* value) {
    uint32_t type = 0;
    uint64_t count = 0;
    SCOUT_RETURN_IF_ERROR(reader_.Read(&type));
    SCOUT_RETURN_IF_ERROR(reader_.Read(&count));
    switch (type) {
      case kU8:
        return ReadNumbers<uint8_t, int64_t>(count, value);
      case kI8:
        return ReadNumbers<int8_t, int64_t>(count, value);
      case kU16:
        return ReadNumbers<uint16_t, int64_t>(count, value);
      case kI16:
        return ReadNumbers<int16_t, int64_t>(count, value);
      case kU32:
        return ReadNumbers<uint32_t, int64_t>(count, value);
      case kI32:
        return ReadNumbers<int32_t, int64_t>(count, value);
      case kU64:
        return ReadNumbers<uint64_t, int64_t>(count, value);
      case kI64:
        return ReadNumbers<int64_t, int64_t>(count, value);
      case kF32:
        return ReadNumbers<float, double>(count, value);
      case kF64:
        return ReadNumbers<double, double>(count, value);
      case kBool: {
        SCOUT_RETURN_IF_ERROR((ReadNumbers<uint8_t, int64_t>(count, value)));
        for (int64_t bit : *std::get_if<std::vector<int64_t>>(value)) {
          SCOUT_RETURN_IF_ERROR(CheckBool(static_cast<uint8_t>(bit)));
        }
        return absl::OkStatus();
      }
      case kString:
        return ReadStrings(count, value);
      case kArray:
        return reader_.Unsupported("an array of arrays");
      default:
        return reader_.Corrupt(absl::StrCat("array type ", type, " is not defined"));
    }
  }

  // Elements take more memory than their bytes in the file (a byte becomes an int64), so that all
  // arrays have one limit together.
  absl::Status CheckElements(uint64_t count, int64_t item_bytes, const char* what, int64_t* n) {
    SCOUT_RETURN_IF_ERROR(reader_.CheckCount(count, item_bytes, kMaxArray, what, n));
    if (*n > kMaxArray - n_elements_) {
      return reader_.Unsupported(absl::StrCat(what, ": ", *n, " behind ", n_elements_,
                                              " of other arrays, together beyond the limit of ",
                                              kMaxArray));
    }
    n_elements_ += *n;
    return absl::OkStatus();
  }

  template <typename T, typename Wide>
  absl::Status ReadNumbers(uint64_t count, GgufValue* value) {
    int64_t n = 0;
    SCOUT_RETURN_IF_ERROR(CheckElements(count, sizeof(T), "array elements", &n));
    std::vector<Wide> numbers(static_cast<size_t>(n));
    for (Wide& number : numbers) SCOUT_RETURN_IF_ERROR((ReadNumber<T, Wide>(&number)));
    *value = std::move(numbers);
    return absl::OkStatus();
  }

  absl::Status ReadStrings(uint64_t count, GgufValue* value) {
    int64_t n = 0;
    SCOUT_RETURN_IF_ERROR(CheckElements(count, 8, "array of strings", &n));
    std::vector<std::string> strings(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      absl::Status s = reader_.ReadString(kMaxStringBytes, &strings[static_cast<size_t>(i)]);
      if (!s.ok()) return Prefixed(absl::StrCat("element ", i), s);
    }
    *value = std::move(strings);
    return absl::OkStatus();
  }

  absl::Status ReadAlignment() {
    if (auto it = gguf_.metadata.find("general.alignment"); it != gguf_.metadata.end()) {
      const int64_t* alignment = std::get_if<int64_t>(&it->second);
      if (alignment == nullptr) return CorruptError("metadata key general.alignment is no integer");
      if (*alignment < 1 || *alignment > kMaxAlignment || (*alignment & (*alignment - 1)) != 0) {
        return CorruptError(absl::StrCat("metadata key general.alignment: ", *alignment,
                                         " is no power of two up to ", kMaxAlignment));
      }
      gguf_.alignment = *alignment;
    }
    return absl::OkStatus();
  }

  absl::Status ReadTensors() {
    std::vector<TensorEntry>& tensors = gguf_.table.tensors;
    for (int64_t i = 0; i < n_tensors_; ++i) {
      TensorEntry& entry = tensors.emplace_back();
      const int64_t at = reader_.position();
      if (absl::Status s = reader_.ReadString(kMaxTensorNameBytes, &entry.name); !s.ok()) {
        return Prefixed(absl::StrCat("name of tensor ", i), s);
      }
      if (!IsPlainName(entry.name)) {
        return AtPlace(CorruptError(absl::StrCat("the name \"", Printable(entry.name),
                                                 "\" of tensor ", i, " is no plain text")),
                       {.offset = at});
      }
      if (absl::Status s = ReadTensor(&entry); !s.ok()) {
        return AtPlace(
            PlaceOf(s).tensor.empty() ? Prefixed(absl::StrCat("tensor ", entry.name), s) : s,
            {.tensor = entry.name, .offset = at});
      }
    }
    int64_t data_start = 0;
    if (!CheckedAdd(reader_.position(), gguf_.alignment - 1, &data_start)) {
      return reader_.Corrupt("the header's size overflows");
    }
    data_start -= data_start % gguf_.alignment;
    for (TensorEntry& entry : tensors) {
      if (!CheckedAdd(entry.offset, data_start, &entry.offset)) {
        return AtPlace(CorruptError(absl::StrCat("tensor ", entry.name, ": its offset overflows")),
                       {.tensor = entry.name});
      }
    }
    SCOUT_RETURN_IF_ERROR(CheckTensorRanges(data_start, source_.size(), false, 0, &tensors));
    return IndexTensors(0, &gguf_.table);
  }

  // The entry behind the name: dimensions, type, offset (kept relative to the data here).
  absl::Status ReadTensor(TensorEntry* entry) {
    uint32_t n_dims = 0;
    SCOUT_RETURN_IF_ERROR(reader_.Read(&n_dims));
    if (n_dims > kMaxDims) {
      return reader_.Corrupt(
          absl::StrCat(n_dims, " dimensions; the format has at most ", kMaxDims));
    }
    // The file has the innermost dimension first.
    entry->shape.resize(n_dims);
    for (size_t i = n_dims; i-- > 0;) {
      uint64_t dim = 0;
      SCOUT_RETURN_IF_ERROR(reader_.Read(&dim));
      if (dim == 0 || !CheckedFromU64(dim, &entry->shape[i])) {
        return reader_.Corrupt(absl::StrCat("a dimension of ", dim));
      }
    }
    uint32_t type = 0;
    uint64_t offset = 0;
    SCOUT_RETURN_IF_ERROR(reader_.Read(&type));
    SCOUT_RETURN_IF_ERROR(reader_.Read(&offset));
    const char* type_name = kernels::gguf_type_name(type);
    if (type_name == nullptr) {
      return reader_.Corrupt(absl::StrCat("type number ", type, " is not defined"));
    }
    entry->type_name = type_name;
    entry->supported = kernels::quant_type_from_gguf(type, &entry->type);
    int64_t elems = 1, bytes = 0;
    if (entry->supported) {
      const kernels::QuantTraits& traits = kernels::quant_traits(entry->type);
      elems = traits.block_elems;
      bytes = traits.block_bytes;
    } else {
      for (const ForeignBlock& block : kForeignBlocks) {
        if (block.ggml_type != type) continue;
        elems = block.elems;
        bytes = block.bytes;
      }
    }
    SCOUT_ASSIGN_OR_RETURN(entry->nbytes, TensorBytes(*entry, elems, bytes));
    if (!CheckedFromU64(offset, &entry->offset) || entry->offset % gguf_.alignment != 0) {
      return reader_.Corrupt(absl::StrCat("the offset ", offset,
                                          " is no multiple of the alignment ", gguf_.alignment));
    }
    return absl::OkStatus();
  }

  const ByteSource& source_;
  HeaderReader reader_;
  int64_t n_tensors_ = 0, n_keys_ = 0;
  int64_t n_elements_ = 0;  // of arrays, so far
  Gguf gguf_;
};

}  // namespace

absl::StatusOr<Gguf> ParseGguf(const ByteSource& source) { return GgufParser(source).Parse(); }

}  // namespace scout

// The .npy format: 6 bytes of magic, version, little-endian header length, a Python dictionary as
// text, then the values. SPDX-License-Identifier: Apache-2.0
#include "tools/npy.h"

#include <bit>
#include <cstring>
#include <limits>

#include "tools/args.h"

namespace scout::tool {
namespace {

static_assert(std::endian::native == std::endian::little, "values are written as they lie");

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;

// The text after 'key': in the dictionary, without leading blanks; empty where there is none.
std::string ValueOf(const std::string& dictionary, const std::string& key) {
  size_t at = dictionary.find("'" + key + "'");
  if (at == std::string::npos) return "";
  at = dictionary.find(':', at);
  if (at == std::string::npos) return "";
  at = dictionary.find_first_not_of(' ', at + 1);
  return at == std::string::npos ? "" : dictionary.substr(at);
}

template <typename T>
bool Convert(const char* bytes, int64_t count, std::vector<int64_t>* values) {
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    if constexpr (sizeof(T) == 8 && !std::numeric_limits<T>::is_signed) {
      if (value > static_cast<T>(INT64_MAX)) return false;
    }
    (*values)[i] = static_cast<int64_t>(value);
  }
  return true;
}

}  // namespace

std::string NpyHeader(int64_t rows, int64_t columns) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) +
                     ", " + std::to_string(columns) + "), }";
  size_t fixed = kMagicBytes + 4;
  size_t whole = (fixed + text.size() + 1 + 63) / 64 * 64;
  text.resize(whole - fixed - 1, ' ');
  text += '\n';
  std::string header(kMagic, kMagicBytes);
  header +=
      {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

Failure NpyWriter::Open(const std::string& path, int64_t rows, int64_t columns) {
  missing_ = rows * columns;
  TOOL_TRY(file_.Open(path));
  return file_.Write(NpyHeader(rows, columns));
}

Failure NpyWriter::Write(const float* values, int64_t count) {
  if (count > missing_) return RunError(file_.path() + ": more values than its header says");
  missing_ -= count;
  return file_.Write({reinterpret_cast<const char*>(values), count * sizeof(float)});
}

Failure NpyWriter::Finish() {
  if (missing_ != 0) return RunError(file_.path() + ": fewer values than its header says");
  return file_.Finish();
}

bool IsNpy(const std::string& bytes) { return bytes.compare(0, kMagicBytes, kMagic) == 0; }

Failure ReadNpyInts(const std::string& bytes, const std::string& path,
                    std::vector<int64_t>* values) {
  auto bad = [&path](const std::string& what) { return BadInput(path + ": .npy: " + what); };
  auto byte = [&bytes](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes[i])); };
  if (bytes.size() < 12) return bad("the file is cut");
  size_t major = byte(6), length = byte(8) | byte(9) << 8, start = 10;
  if (major < 1 || major > 3) return bad("version " + std::to_string(major) + " is not known");
  if (major > 1) {
    length |= byte(10) << 16 | byte(11) << 24;
    start = 12;
  }
  if (length > bytes.size() - start) return bad("the header is cut");
  std::string dictionary = bytes.substr(start, length);
  std::string shape = ValueOf(dictionary, "shape"), type = ValueOf(dictionary, "descr");
  // "(N,)" is the only shape of a list.
  size_t comma = shape.find(',');
  int64_t count = 0;
  if (comma == std::string::npos || shape[0] != '(' || shape.compare(comma, 2, ",)") != 0 ||
      !ParseInt(shape.substr(1, comma - 1), &count) || count < 0) {
    return bad("not a one-dimensional array");
  }
  if (type.size() < 5 || type[0] != '\'' || type[4] != '\'') return bad("not an array of integers");
  type = type.substr(1, 3);
  bool is_signed = type[1] == 'i';
  size_t width = static_cast<size_t>(type[2] - '0');
  if ((type[0] != '<' && type[0] != '|') || (!is_signed && type[1] != 'u') ||
      (width != 1 && width != 2 && width != 4 && width != 8)) {
    return bad("type " + type + " is not a little-endian integer");
  }
  size_t room = bytes.size() - start - length;
  if (static_cast<uint64_t>(count) != room / width || room % width != 0) {
    return bad("shape and size of the file do not agree");
  }
  values->resize(count);
  const char* data = bytes.data() + start + length;
  bool fits = true;
  switch (width) {
    case 1:
      fits =
          is_signed ? Convert<int8_t>(data, count, values) : Convert<uint8_t>(data, count, values);
      break;
    case 2:
      fits = is_signed ? Convert<int16_t>(data, count, values)
                       : Convert<uint16_t>(data, count, values);
      break;
    case 4:
      fits = is_signed ? Convert<int32_t>(data, count, values)
                       : Convert<uint32_t>(data, count, values);
      break;
    default:
      fits = is_signed ? Convert<int64_t>(data, count, values)
                       : Convert<uint64_t>(data, count, values);
  }
  return fits ? Ok() : bad("a number does not fit in 64 bits");
}

}  // namespace scout::tool

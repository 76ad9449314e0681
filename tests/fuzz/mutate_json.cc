// Mutations of JSON texts and safetensors files. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "lib/format/json.h"
#include "tests/fuzz/mutators.h"

namespace scout::test {
namespace {

struct Span {
  size_t begin, end;
  bool key;
};

// Strings, numbers, words, and whole arrays and objects of a text that may be broken anywhere.
std::vector<Span> Values(std::string_view text) {
  std::vector<Span> spans;
  std::vector<size_t> open;  // begins of arrays and objects not closed yet
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const size_t begin = at++;
    if (c == '"') {
      while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
      at = std::min(at + 1, text.size());
      const size_t next = text.find_first_not_of(" \t\r\n", at);
      spans.push_back({begin, at, next != text.npos && text[next] == ':'});
    } else if (c == '[' || c == '{') {
      open.push_back(begin);
    } else if (c == ']' || c == '}') {
      if (open.empty()) continue;
      spans.push_back({open.back(), at, false});
      open.pop_back();
    } else if (std::string_view(" \t\r\n,:").find(c) == std::string_view::npos) {
      while (at < text.size() && std::string_view(" \t\r\n,:[]{}\"").find(text[at]) == text.npos) {
        ++at;
      }
      spans.push_back({begin, at, false});
    }
  }
  return spans;
}

std::string Nested(Random& random) {
  static const std::vector<size_t> kDepths = {1, 4, 16, 63, 64, 65, 1000};
  const size_t depth = random.Of(kDepths);
  if (random.OneIn(2)) return std::string(depth, '[') + std::string(depth, ']');
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += "{\"a\":";
  return text + "1" + std::string(depth, '}');
}

std::string EdgeValue(Random& random) {
  static const std::vector<std::string> kValues = {"null",
                                                   "true",
                                                   "false",
                                                   "0",
                                                   "-0",
                                                   "-1",
                                                   "1",
                                                   "1.0",
                                                   "1e0",
                                                   "0.5",
                                                   "1e308",
                                                   "1e999",
                                                   "-1e999",
                                                   "1e-999",
                                                   "NaN",
                                                   "Infinity",
                                                   "9007199254740993",
                                                   "18446744073709551615",
                                                   "18446744073709551616",
                                                   "-9223372036854775808",
                                                   "-9223372036854775809",
                                                   "01",
                                                   "1.",
                                                   "0x10",
                                                   "\"\"",
                                                   "[]",
                                                   "{}",
                                                   "\"\\u0000\"",
                                                   "\"\\ud800\"",
                                                   "\"\\udc00\\ud800\"",
                                                   "\"1\"",
                                                   "'a'"};
  switch (random.Below(6)) {
    case 0:
      return std::to_string(static_cast<int64_t>(EdgeNumber(random)));
    case 1:
      return std::to_string(EdgeNumber(random));
    case 2: {
      const std::string name = EdgeName(random);
      return "\"" + name + "\"";
    }
    case 3:
      if (random.OneIn(8)) return Nested(random);
      [[fallthrough]];
    default:
      return random.Of(kValues);
  }
}

std::string Replaced(std::string_view text, const Span& span, std::string_view value) {
  std::string out(text.substr(0, span.begin));
  out += value;
  out += text.substr(span.end);
  return out;
}

std::string ChangeJson(std::string_view text, Random& random) {
  const std::vector<Span> spans = Values(text);
  if (spans.empty()) return EdgeValue(random);
  const Span span = random.Of(spans), other = random.Of(spans);
  const std::string_view value = text.substr(span.begin, span.end - span.begin);
  const std::string_view moved = text.substr(other.begin, other.end - other.begin);
  switch (random.Below(8)) {
    case 0:  // said twice: an element more, or a key's name as a value
      return Replaced(text, span, std::string(value) + "," + std::string(value));
    case 1:
      return Replaced(text, span, moved);
    case 2:
      return Replaced(text, span, "[" + std::string(value) + "]");
    case 3: {  // with what follows it, up to the next comma
      const size_t comma = text.find(',', span.end);
      return Replaced(text, {span.begin, comma == text.npos ? span.end : comma + 1, false}, "");
    }
    case 4:  // a member more
      return Replaced(text, span,
                      span.key ? std::string(value) + ":" + EdgeValue(random) + "," +
                                     std::string(random.OneIn(2) ? value : moved)
                               : EdgeValue(random));
    default:
      return Replaced(text, span, span.key ? "\"" + EdgeName(random) + "\"" : EdgeValue(random));
  }
}

std::string RawLength(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

struct Entry {
  std::string name, dtype;
  std::vector<std::string> shape;
  std::string begin, end;
};

int64_t DtypeBytes(const std::string& dtype) {
  for (const auto& [name, bytes] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"F64", 8},
                                                              {"F32", 4},
                                                              {"F16", 2},
                                                              {"BF16", 2},
                                                              {"I64", 8},
                                                              {"U64", 8},
                                                              {"I32", 4},
                                                              {"U32", 4},
                                                              {"I16", 2},
                                                              {"U16", 2}}) {
    if (dtype == name) return bytes;
  }
  return 1;
}

std::vector<Entry> ReadEntries(std::string_view header) {
  std::vector<Entry> entries;
  const auto json = ParseJson(header, {.max_bytes = 1 << 20, .max_depth = 16});
  if (!json.ok() || !json->is_object()) return entries;
  for (size_t i = 0; i < json->items().size(); ++i) {
    const Json& item = json->items()[i];
    const Json* dtype = item.find("dtype");
    const Json* shape = item.find("shape");
    const Json* offsets = item.find("data_offsets");
    if (dtype == nullptr || shape == nullptr || offsets == nullptr) continue;
    Entry entry{json->names()[i], dtype->as_string(), {}, "0", "0"};
    for (const Json& d : shape->items()) entry.shape.push_back(std::to_string(d.as_int()));
    if (offsets->items().size() == 2) {
      entry.begin = std::to_string(offsets->items()[0].as_int());
      entry.end = std::to_string(offsets->items()[1].as_int());
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

// Offsets of every tensor behind the one before. The bytes they need, or -1 beyond 64 KiB.
int64_t LayOut(std::vector<Entry>* entries) {
  int64_t at = 0;
  for (Entry& entry : *entries) {
    int64_t n = DtypeBytes(entry.dtype);
    for (const std::string& d : entry.shape) {
      if (d.empty() || d.size() > 5 || d.find_first_not_of("0123456789") != d.npos) return -1;
      n *= std::stoll(d);
      if (n > 65536) return -1;
    }
    entry.begin = std::to_string(at);
    entry.end = std::to_string(at += n);
    if (at > 65536) return -1;
  }
  return at;
}

std::string EdgeDim(Random& random) {
  return random.OneIn(2) ? std::to_string(random.Below(9)) : EdgeValue(random);
}

void ChangeEntries(std::vector<Entry>* entries, Random& random) {
  static const std::vector<std::string> kDtypes = {"F32",     "F16", "BF16", "F64",  "I8",
                                                   "U8",      "I32", "I64",  "BOOL", "F8_E4M3",
                                                   "F8_E5M2", "F4",  "f32",  ""};
  if (entries->empty() || random.OneIn(8)) {
    entries->push_back(
        {"t" + std::to_string(random.Below(100)), random.Of(kDtypes), {EdgeDim(random)}, "0", "0"});
    return;
  }
  const size_t at = random.Below(entries->size());
  Entry& entry = (*entries)[at];
  switch (random.Below(8)) {
    case 0:
      entry.dtype = random.Of(kDtypes);
      break;
    case 1:
      entry.name = random.OneIn(2) ? EdgeName(random) : random.Of(*entries).name;
      break;
    case 2:
      entry.shape.push_back(EdgeDim(random));
      break;
    case 3:
      entry.begin = EdgeValue(random);
      break;
    case 4:
      entry.end = EdgeValue(random);
      break;
    case 5:
      std::swap(entry.begin, random.Of(*entries).begin);
      break;
    case 6:
      entries->erase(entries->begin() + static_cast<ptrdiff_t>(at));
      break;
    default:
      if (!entry.shape.empty()) random.Of(entry.shape) = EdgeDim(random);
  }
}

std::string HeaderText(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& e : entries) {
    std::string dims;
    for (const std::string& d : e.shape) dims += (dims.empty() ? "" : ",") + d;
    text += (text.empty() ? "{\"" : ",\"") + e.name + "\":{\"dtype\":\"" + e.dtype +
            "\",\"shape\":[" + dims + "],\"data_offsets\":[" + e.begin + "," + e.end + "]}";
  }
  return text.empty() ? "{}" : text + "}";
}

}  // namespace

std::string MutateJson(std::string_view text, Random& random) {
  std::string out(text);
  for (size_t changes = 1 + random.Below(3); changes > 0; --changes) out = ChangeJson(out, random);
  return out;
}

std::string MutateSafetensors(std::string_view bytes, Random& random) {
  uint64_t length = 0;
  if (bytes.size() >= 8) std::memcpy(&length, bytes.data(), 8);
  bytes.remove_prefix(std::min<size_t>(8, bytes.size()));
  length = std::min<uint64_t>(length, bytes.size());
  std::string header(bytes.substr(0, length)), data(bytes.substr(length));
  std::vector<Entry> entries = ReadEntries(header);
  if (entries.empty() || random.OneIn(4)) {
    header = MutateJson(header, random);
  } else {
    for (size_t n = 1 + random.Below(3); n > 0; --n) ChangeEntries(&entries, random);
    if (random.OneIn(2)) {
      const int64_t needed = LayOut(&entries);
      if (needed >= 0) data.resize(static_cast<size_t>(needed), '\1');
    }
    header = HeaderText(entries);
    if (random.OneIn(8)) header.append(random.Below(16), ' ');
  }
  if (random.OneIn(16)) data.resize(data.size() / 2);
  return RawLength(random.OneIn(16) ? EdgeNumber(random) : header.size()) + header + data;
}

}  // namespace scout::test

// Sections of a packed prompt. SPDX-License-Identifier: Apache-2.0
#include "tools/pack_text.h"

#include <algorithm>
#include <cstring>

namespace scout::tool {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";
constexpr size_t kSpreadPieces = 8;

// Length of the UTF-8 character at `at`, or 0; then *bad is the length of the longest beginning of
// a character there, at least 1 (Unicode's "maximal subpart").
size_t Character(std::string_view s, size_t at, size_t* bad) {
  auto byte = [&](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  *bad = 1;
  unsigned c = byte(at);
  if (c < 0x80) return 1;
  if (c < 0xc2 || c > 0xf4) return 0;
  size_t length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < length; ++i) {
    unsigned next = byte(at + i);
    if (next < low || next > high) return 0;
    low = 0x80;
    high = 0xbf;
    *bad = i + 1;
  }
  return length;
}

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    *out += static_cast<char>(c);
  } else if (c < 0x800) {
    *out += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
  } else if (c < 0x10000) {
    *out += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
             static_cast<char>(0x80 | (c & 63))};
  } else {
    *out += {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
             static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
  }
}

// UTF-16 behind its mark; lone surrogates and an odd last byte become U+FFFD.
std::string FromUtf16(std::string_view s, bool big, int64_t* replaced) {
  std::string out;
  auto unit = [&](size_t i) {
    uint32_t a = static_cast<unsigned char>(s[i]), b = static_cast<unsigned char>(s[i + 1]);
    return big ? a << 8 | b : b << 8 | a;
  };
  size_t i = 0;
  for (; i + 1 < s.size(); i += 2) {
    uint32_t c = unit(i);
    if (c >= 0xd800 && c < 0xdc00 && i + 3 < s.size() && unit(i + 2) >> 10 == 0x37) {
      c = 0x10000 + ((c - 0xd800) << 10) + (unit(i + 2) - 0xdc00);
      i += 2;
    } else if (c >= 0xd800 && c < 0xe000) {
      c = 0xfffd;
      ++*replaced;
    }
    AppendUtf8(c, &out);
  }
  if (i < s.size()) {
    out += kReplacement;
    ++*replaced;
  }
  return out;
}

bool IsControl(unsigned char c) {
  return (c < 32 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\b' && c != 27) ||
         c == 127;
}

// With U+FFFD for what is not UTF-8. Adds the numbers of control characters, of bytes that are not
// UTF-8, and of what was replaced.
std::string CleanUtf8(std::string_view s, int64_t* control, int64_t* wrong, int64_t* replaced) {
  std::string clean;
  size_t copied = 0;
  for (size_t i = 0; i < s.size();) {
    auto c = static_cast<unsigned char>(s[i]);
    if (c < 0x80) {
      *control += IsControl(c);
      ++i;
      continue;
    }
    size_t bad = 1, length = Character(s, i, &bad);
    if (length == 0) {
      clean.append(s.substr(copied, i - copied));
      clean += kReplacement;
      ++*replaced;
      *wrong += static_cast<int64_t>(bad);
      length = bad;
      copied = i + bad;
    }
    i += length;
  }
  return clean.append(s.substr(copied));
}

// A place between two characters, at most `at`.
size_t CharacterStart(std::string_view text, size_t at) {
  at = std::min(at, text.size());
  for (int i = 0; i < 3 && at > 0 && at < text.size() && (text[at] & 0xc0) == 0x80; ++i) --at;
  return at;
}

// [begin, end) moved inwards to whole lines, where that leaves at least half of it.
Piece WholeLines(std::string_view text, size_t begin, size_t end) {
  begin = CharacterStart(text, begin);
  end = CharacterStart(text, end);
  size_t half = begin + (end - begin) / 2;
  if (begin > 0 && text[begin - 1] != '\n') {
    size_t line = text.find('\n', begin);
    if (line != std::string_view::npos && line + 1 <= half) begin = line + 1;
  }
  if (end < text.size() && end > begin && text[end - 1] != '\n') {
    size_t line = text.rfind('\n', end - 1);
    if (line != std::string_view::npos && line + 1 >= half && line >= begin) end = line + 1;
  }
  return {begin, end};
}

// Length of what ends a line at `at`, 0 where nothing does: LF, CR, VT, FF, and the Unicode ones.
size_t LineEnd(std::string_view s, size_t at) {
  char c = s[at];
  if (c == '\n' || c == '\r' || c == '\v' || c == '\f') return 1;
  if (c == '\xc2' && s.substr(at, 2) == "\xc2\x85") return 2;
  if (c == '\xe2' && (s.substr(at, 3) == "\xe2\x80\xa8" || s.substr(at, 3) == "\xe2\x80\xa9")) {
    return 3;
  }
  return 0;
}

bool LooksLikeHeader(std::string_view rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of('\\'), rest.size()));
  return rest.substr(0, 9) == "### FILE:" || rest.substr(0, 8) == "### CUT:";
}

void AppendEscaped(std::string_view text, std::string* out, int64_t* escaped) {
  size_t copied = 0;
  // A header needs "###": everything else goes over in large steps.
  for (size_t at = 0; (at = text.find("###", at)) != std::string_view::npos; at += 3) {
    size_t line = at;
    while (line > copied && text[line - 1] == '\\') --line;
    bool starts = line == 0;
    for (size_t back = 1; !starts && back <= 3 && back <= line; ++back) {
      starts = LineEnd(text, line - back) == back;
    }
    if (!starts || !LooksLikeHeader(text.substr(line))) continue;
    out->append(text.substr(copied, line - copied));
    *out += '\\';
    copied = line;
    if (escaped != nullptr) ++*escaped;
  }
  out->append(text.substr(copied));
}

std::string CutLine(std::string_view text, size_t begin, size_t end, int64_t lines_before,
                    int64_t lines_within, int64_t lines) {
  std::string line = "### CUT: bytes " + std::to_string(begin + 1) + "-" + std::to_string(end) +
                     " of " + std::to_string(text.size());
  int64_t first = lines_before + 1, last = lines_before + std::max<int64_t>(lines_within, 1);
  line += first == last ? " (line " + std::to_string(first)
                        : " (lines " + std::to_string(first) + "-" + std::to_string(last);
  return line + " of " + std::to_string(lines) + ") are left out\n";
}

int64_t CountLineBreaks(std::string_view text) {
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

PackText ReadableText(std::string bytes) {
  PackText result;
  std::string_view s = bytes;
  if (s.substr(0, 2) == "\xff\xfe" || s.substr(0, 2) == "\xfe\xff") {
    result.utf16 = true;
    result.text = FromUtf16(s.substr(2), s[0] == '\xfe', &result.replaced);
    bytes = std::move(result.text);
    result.text.clear();
    s = bytes;
  } else if (s.substr(0, 3) == "\xef\xbb\xbf") {
    s.remove_prefix(3);
  }
  if (std::memchr(s.data(), 0, s.size()) != nullptr) {
    result.why_not = "binary: holds a NUL byte";
    return result;
  }
  int64_t control = 0, wrong = 0;
  std::string clean = CleanUtf8(s, &control, &wrong, &result.replaced);
  if ((control + wrong) * 10 > static_cast<int64_t>(s.size())) {
    result.why_not = wrong > control ? "binary: not UTF-8" : "binary: control characters";
    return result;
  }
  result.text = std::move(clean);
  return result;
}

std::string ShownPath(const std::string& path) {
  bool plain = !path.empty() && path[0] != '"';
  for (size_t i = 0; i < path.size() && plain;) {
    auto c = static_cast<unsigned char>(path[i]);
    size_t bad = 1, length = Character(path, i, &bad);
    plain = length > 0 && c >= 32 && c != 127 && (c < 0x80 || LineEnd(path, i) == 0);
    i += std::max<size_t>(length, 1);
  }
  if (plain) return path;
  std::string out = "\"";
  for (unsigned char c : path) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '"' || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c < 32 || c >= 127) {
      out += {'\\', static_cast<char>('0' + (c >> 6)), static_cast<char>('0' + (c >> 3 & 7)),
              static_cast<char>('0' + (c & 7))};
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

std::vector<Piece> PlacePieces(size_t size, CutStyle style, size_t bytes) {
  if (bytes >= size) return {{0, size}};
  switch (style) {
    case CutStyle::kHead:
      return {{0, bytes}};
    case CutStyle::kTail:
      return {{size - bytes, size}};
    case CutStyle::kEnds:
      return {{0, bytes - bytes / 2}, {size - bytes / 2, size}};
    case CutStyle::kSpread:
      break;
  }
  std::vector<Piece> places;
  size_t each = bytes / kSpreadPieces;
  for (size_t i = 0; i < kSpreadPieces; ++i) {
    size_t begin = (size - each) / (kSpreadPieces - 1) * i;
    if (i + 1 == kSpreadPieces) begin = size - each;
    places.push_back({begin, begin + each});
  }
  return places;
}

std::vector<Piece> ChoosePieces(std::string_view text, CutStyle style, size_t bytes) {
  std::vector<Piece> pieces;
  for (const Piece& w : PlacePieces(text.size(), style, bytes)) {
    Piece p = WholeLines(text, w.begin, w.end);
    if (p.begin >= p.end) continue;
    if (!pieces.empty() && p.begin <= pieces.back().end) {
      pieces.back().end = std::max(pieces.back().end, p.end);
    } else {
      pieces.push_back(p);
    }
  }
  return pieces;
}

std::string Section(const std::string& shown_path, std::string_view text,
                    const std::vector<Piece>& pieces, int64_t* escaped) {
  std::string out = "### FILE: " + shown_path + "\n";
  bool cut = pieces.size() != 1 || pieces[0].begin != 0 || pieces[0].end != text.size();
  int64_t lines = 0, before = 0;
  if (cut) lines = CountLineBreaks(text) + (text.empty() || text.back() != '\n');
  size_t at = 0;
  auto leave_out = [&](size_t end) {
    if (end <= at) return;
    std::string_view gap = text.substr(at, end - at);
    int64_t breaks = CountLineBreaks(gap);
    // A gap that stops inside a line counts that line too.
    out += CutLine(text, at, end, before, breaks + (gap.back() != '\n'), lines);
    before += breaks;
    at = end;
  };
  for (const Piece& p : pieces) {
    leave_out(p.begin);
    std::string_view part = text.substr(p.begin, p.end - p.begin);
    AppendEscaped(part, &out, escaped);
    if (!part.empty() && part.back() != '\n') out += '\n';
    if (cut) before += CountLineBreaks(part);
    at = p.end;
  }
  if (cut) leave_out(text.size());
  return out + "\n";
}

Slice MakeSlice(int64_t offset, std::string bytes, bool goes_on) {
  const size_t size = bytes.size(), half = size / 2;
  auto within = [&bytes](size_t at) { return (bytes[at] & 0xc0) == 0x80; };
  size_t begin = 0, end = size;
  if (offset > 0) {
    const size_t line = bytes.find('\n');
    if (line < half) {
      begin = line + 1;
    } else {
      while (begin < std::min<size_t>(size, 3) && within(begin)) ++begin;
    }
  }
  if (goes_on) {
    const size_t line = bytes.rfind('\n');
    if (line != std::string::npos && line >= half) {
      end = line + 1;
    } else {
      // Back to the last first byte of a character; it may be whole, which is no loss.
      for (size_t back = 1; back <= std::min<size_t>(size, 3); ++back) {
        if ((bytes[size - back] & 0x80) == 0) break;
        if (within(size - back)) continue;
        end = size - back;
        break;
      }
    }
  }
  begin = std::min(begin, end);
  bytes.resize(end);
  bytes.erase(0, begin);
  return {offset + static_cast<int64_t>(begin), std::move(bytes)};
}

std::string SlicedSection(const std::string& shown_path, const std::vector<Slice>& slices,
                          int64_t size, CutStyle style, size_t bytes, int64_t* escaped) {
  std::string out = "### FILE: " + shown_path + "\n";
  int64_t at = 0;
  auto leave_out = [&](int64_t end) {
    if (end <= at) return;
    out += "### CUT: bytes " + std::to_string(at + 1) + "-" + std::to_string(end) + " of " +
           std::to_string(size) + " are left out\n";
    at = end;
  };
  const size_t n = slices.size();
  bool any = false;
  for (size_t i = 0; i < n; ++i) {
    const std::string& text = slices[i].bytes;
    // A share of each slice: of the first from its beginning, of the last up to its end.
    const size_t share = std::min(i == 0 ? bytes - bytes / n * (n - 1) : bytes / n, text.size());
    size_t begin = n > 1 ? (text.size() - share) / (n - 1) * i : 0;
    if (style == CutStyle::kTail || (n > 1 && i + 1 == n)) begin = text.size() - share;
    const Piece p = WholeLines(text, begin, begin + share);
    if (p.begin >= p.end) continue;
    any = true;
    leave_out(slices[i].offset + static_cast<int64_t>(p.begin));
    std::string_view part = std::string_view(text).substr(p.begin, p.end - p.begin);
    at += static_cast<int64_t>(part.size());
    if (at == static_cast<int64_t>(part.size()) && part.substr(0, 3) == "\xef\xbb\xbf") {
      part.remove_prefix(3);
    }
    int64_t ignored = 0;
    AppendEscaped(CleanUtf8(part, &ignored, &ignored, &ignored), &out, escaped);
    if (!part.empty() && part.back() != '\n') out += '\n';
  }
  leave_out(size);
  return any ? out + "\n" : "";
}

}  // namespace scout::tool

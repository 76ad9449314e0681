// Patterns compile to a list of tokens that is run as a nondeterministic automaton over the bytes
// of a path, so hostile patterns cost no more than others. SPDX-License-Identifier: Apache-2.0
#include "tools/glob.h"

#include <algorithm>

namespace scout::tool {
namespace {

// The POSIX classes, on bytes, of the C locale.
bool InClass(std::string_view name, unsigned char c, bool* known) {
  bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
  bool graph = c > 32 && c < 127;
  *known = true;
  if (name == "alnum") return upper || lower || digit;
  if (name == "alpha") return upper || lower;
  if (name == "blank") return c == ' ' || c == '\t';
  if (name == "cntrl") return c < 32 || c == 127;
  if (name == "digit") return digit;
  if (name == "graph") return graph;
  if (name == "lower") return lower;
  if (name == "print") return graph || c == ' ';
  if (name == "punct") return graph && !upper && !lower && !digit;
  if (name == "space") return c == ' ' || (c >= 9 && c <= 13);
  if (name == "upper") return upper;
  if (name == "xdigit") return digit || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  *known = false;
  return false;
}

}  // namespace

bool Glob::FromLine(std::string_view line, Glob* glob) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty() || line[0] == '#') return false;
  // Blanks at the end do not count unless a backslash stands before them.
  size_t keep = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      keep = ++i + 1;
    } else if (line[i] != ' ') {
      keep = i + 1;
    }
  }
  line = line.substr(0, keep);
  if (line.empty()) return false;
  *glob = Glob();
  glob->text_ = line;
  if (line[0] == '!') {
    glob->negated_ = true;
    line.remove_prefix(1);
  }
  if (line.empty()) return false;
  if (line.back() == '/') {
    glob->folders_only_ = true;
    line.remove_suffix(1);
  }
  glob->name_only_ = line.find('/') == std::string_view::npos;
  if (!line.empty() && line[0] == '/') line.remove_prefix(1);
  glob->Compile(line);
  return true;
}

void Glob::Compile(std::string_view p) {
  // git compares what stands before the first special byte apart and matches the rest as a pattern
  // of its own, so "**" there counts as at the beginning: a**/b matches ab.
  size_t prefix = p.find_first_of("*?[\\");
  literal_ = prefix == std::string_view::npos;
  for (size_t i = 0; i < p.size();) {
    auto c = static_cast<unsigned char>(p[i]);
    if (c == '\\') {
      if (i + 1 == p.size()) {
        tokens_.push_back({Kind::kNever});
        return;
      }
      tokens_.push_back({Kind::kByte, static_cast<unsigned char>(p[i + 1])});
      i += 2;
    } else if (c == '?') {
      tokens_.push_back({Kind::kOne});
      ++i;
    } else if (c == '[') {
      i = CompileSet(p, i);
      if (i == 0) return;
    } else if (c == '*') {
      size_t end = i;
      while (end < p.size() && p[end] == '*') ++end;
      bool begins = i == prefix || p[i - 1] == '/';
      if (end - i >= 2 && begins && end == p.size()) {
        tokens_.push_back({Kind::kDeep});
      } else if (end - i >= 2 && begins && p[end] == '/') {
        tokens_.push_back({Kind::kFoldersEntry});
        tokens_.push_back({Kind::kFolders});
        ++end;
      } else {
        tokens_.push_back({Kind::kStar});
      }
      i = end;
    } else {
      tokens_.push_back({Kind::kByte, c});
      ++i;
    }
  }
  if (literal_) plain_ = p;
}

// A set from '[' at `at`; the place behind its ']', or 0 where it is not closed or names an unknown
// class: such a pattern matches nothing.
size_t Glob::CompileSet(std::string_view p, size_t at) {
  auto never = [this] {
    tokens_.push_back({Kind::kNever});
    return size_t{0};
  };
  std::bitset<256> set;
  size_t i = at + 1;
  bool negate = i < p.size() && (p[i] == '!' || p[i] == '^');
  if (negate) ++i;
  int last = -1;  // the byte that a '-' would begin a range from
  for (bool first = true;; first = false) {
    if (i >= p.size()) return never();
    auto c = static_cast<unsigned char>(p[i]);
    if (c == ']' && !first) break;
    if (c == '-' && last >= 0 && i + 1 < p.size() && p[i + 1] != ']') {
      ++i;
      if (p[i] == '\\' && ++i >= p.size()) return never();
      for (int b = last; b <= static_cast<unsigned char>(p[i]); ++b) set.set(b);
      last = -1;
      ++i;
      continue;
    }
    if (c == '[' && i + 1 < p.size() && p[i + 1] == ':') {
      size_t close = p.find(']', i + 2);
      if (close == std::string_view::npos) return never();
      if (close > i + 2 && p[close - 1] == ':') {
        bool known = false;
        std::string_view name = p.substr(i + 2, close - 1 - (i + 2));
        for (int b = 0; b < 256; ++b) {
          if (InClass(name, static_cast<unsigned char>(b), &known)) set.set(b);
        }
        if (!known) return never();
        last = -1;
        i = close + 1;
        continue;
      }
    }
    if (c == '\\') {
      if (++i >= p.size()) return never();
      c = static_cast<unsigned char>(p[i]);
    }
    set.set(c);
    last = c;
    ++i;
  }
  if (negate) set.flip();
  set.reset('/');
  tokens_.push_back({Kind::kSet, 0, static_cast<uint32_t>(sets_.size())});
  sets_.push_back(set);
  return i + 1;
}

// Adds what is reached without a byte. Tokens only lead forward, so one pass is enough.
void Glob::Close(std::vector<char>* states) const {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (!(*states)[i]) continue;
    Kind kind = tokens_[i].kind;
    if (kind == Kind::kStar || kind == Kind::kDeep) (*states)[i + 1] = 1;
    if (kind == Kind::kFoldersEntry) (*states)[i + 1] = (*states)[i + 2] = 1;
  }
}

void Glob::Step(unsigned char c, const std::vector<char>& states, std::vector<char>* next) const {
  std::fill(next->begin(), next->end(), 0);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (!states[i]) continue;
    const Token& t = tokens_[i];
    switch (t.kind) {
      case Kind::kByte:
        if (c == t.byte) (*next)[i + 1] = 1;
        break;
      case Kind::kOne:
        if (c != '/') (*next)[i + 1] = 1;
        break;
      case Kind::kSet:
        if (sets_[t.set].test(c)) (*next)[i + 1] = 1;
        break;
      case Kind::kStar:
        if (c != '/') (*next)[i] = 1;
        break;
      case Kind::kDeep:
        (*next)[i] = 1;
        break;
      case Kind::kFolders:  // any bytes, and out of here behind a slash
        (*next)[i] = 1;
        if (c == '/') (*next)[i + 1] = 1;
        break;
      case Kind::kFoldersEntry:
      case Kind::kNever:
        break;
    }
  }
  Close(next);
}

bool Glob::Matches(std::string_view path, bool is_folder) const {
  if (folders_only_ && !is_folder) return false;
  if (name_only_) path = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  if (literal_) return path == plain_;
  std::vector<char> states(tokens_.size() + 1), next(tokens_.size() + 1);
  states[0] = 1;
  Close(&states);
  for (char c : path) {
    Step(static_cast<unsigned char>(c), states, &next);
    states.swap(next);
  }
  return states.back() != 0;
}

bool Glob::MayMatchBelow(std::string_view path) const {
  if (name_only_) return false;  // a bare name does not open folders that are left out
  std::vector<char> states(tokens_.size() + 1), next(tokens_.size() + 1);
  states[0] = 1;
  Close(&states);
  for (size_t i = 0; i <= path.size(); ++i) {
    Step(static_cast<unsigned char>(i < path.size() ? path[i] : '/'), states, &next);
    states.swap(next);
  }
  states.back() = 0;
  return std::find(states.begin(), states.end(), 1) != states.end();
}

}  // namespace scout::tool

// A small matcher of regular expressions by sets of states (Thompson 1968): no backtracking, no
// recursion. SPDX-License-Identifier: Apache-2.0
#include "lib/model/name_pattern.h"

#include <bitset>
#include <string>
#include <utility>
#include <vector>

#include "lib/format/byte_source.h"

namespace scout {
namespace {

constexpr size_t kMaxPattern = 512;
constexpr std::string_view kRegex = "re:";

using CharSet = std::bitset<256>;

struct State {
  enum Kind { kChar, kSplit, kStart, kEnd, kMatch } kind;
  CharSet set = {};
  int next[2] = {-1, -1};
};

// A piece of the machine: its first state and the arrows that lead nowhere yet.
struct Piece {
  int first = -1;
  std::vector<std::pair<int, int>> open;  // state, which arrow
};

class Machine {
 public:
  // False where the expression is of another kind.
  bool Compile(std::string_view text) {
    text_ = text;
    while (at_ < text_.size()) {
      if (!Next()) return false;
    }
    while (!operators_.empty()) {
      if (operators_.back() == '(' || !Apply()) return false;
    }
    if (pieces_.size() != 1) return false;
    Close(pieces_[0], Add({State::kMatch}));
    return true;
  }

  // Anchored at the start, not at the end.
  bool Matches(std::string_view name) {
    std::vector<int> now, after;
    Reach(pieces_[0].first, 0, name.size(), &now);
    for (size_t i = 0;; ++i) {
      for (int s : now) {
        if (states_[s].kind == State::kMatch) return true;
      }
      if (i == name.size()) return false;
      after.clear();
      marks_.assign(states_.size(), false);
      for (int s : now) {
        const State& state = states_[s];
        if (state.kind == State::kChar && state.set[static_cast<unsigned char>(name[i])]) {
          Reach(state.next[0], i + 1, name.size(), &after);
        }
      }
      now.swap(after);
    }
  }

 private:
  int Add(State state) {
    states_.push_back(std::move(state));
    marks_.push_back(false);
    return static_cast<int>(states_.size()) - 1;
  }

  void Close(const Piece& piece, int target) {
    for (const auto& [state, arrow] : piece.open) states_[state].next[arrow] = target;
  }

  // Binds weakest first: "|", then "." for one after the other.
  static int Strength(char op) { return op == '|' ? 1 : op == '.' ? 2 : 0; }

  bool Push(char op) {
    while (!operators_.empty() && Strength(operators_.back()) >= Strength(op)) {
      if (!Apply()) return false;
    }
    operators_.push_back(op);
    return true;
  }

  // The last operator with its two pieces.
  bool Apply() {
    const char op = operators_.back();
    operators_.pop_back();
    if (pieces_.size() < 2) return false;
    Piece right = std::move(pieces_.back());
    pieces_.pop_back();
    Piece& left = pieces_.back();
    if (op == '.') {
      Close(left, right.first);
      left.open = std::move(right.open);
    } else {
      State split{State::kSplit};
      split.next[0] = left.first;
      split.next[1] = right.first;
      left.first = Add(std::move(split));
      left.open.insert(left.open.end(), right.open.begin(), right.open.end());
    }
    return true;
  }

  // A piece of one state; joined to what stands before it.
  bool Atom(State state) {
    if (after_atom_ && !Push('.')) return false;
    const int s = Add(std::move(state));
    pieces_.push_back({s, {{s, 0}}});
    after_atom_ = true;
    return true;
  }

  bool Repeat(char op) {
    if (!after_atom_ || pieces_.empty()) return false;
    if (at_ < text_.size() && text_[at_] == '?') ++at_;  // lazy: the same names match
    Piece& piece = pieces_.back();
    State split{State::kSplit};
    split.next[0] = piece.first;
    const int s = Add(std::move(split));
    if (op != '?') {
      Close(piece, s);
      piece.open.clear();
    }
    piece.open.push_back({s, 1});
    if (op != '+') piece.first = s;
    return true;
  }

  static bool Escaped(char c, CharSet* set) {
    const auto range = [&](char a, char b) {
      for (int x = a; x <= b; ++x) set->set(static_cast<size_t>(x));
    };
    if (c == 'd' || c == 'w') {
      range('0', '9');
      if (c == 'd') return true;
      range('a', 'z');
      range('A', 'Z');
      set->set('_');
      return true;
    }
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alphanumeric) set->set(static_cast<unsigned char>(c));
    return !alphanumeric;
  }

  // Behind "[".
  bool Class(CharSet* set) {
    const bool inverted = at_ < text_.size() && text_[at_] == '^';
    if (inverted) ++at_;
    bool any = false;
    while (at_ < text_.size() && (text_[at_] != ']' || !any)) {
      const auto first = static_cast<unsigned char>(text_[at_++]);
      any = true;
      if (first == '\\') {
        if (at_ == text_.size() || !Escaped(text_[at_++], set)) return false;
      } else if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        const auto last = static_cast<unsigned char>(text_[at_ + 1]);
        at_ += 2;
        if (last == '\\' || last < first) return false;
        for (int c = first; c <= last; ++c) set->set(static_cast<size_t>(c));
      } else {
        set->set(first);
      }
    }
    if (at_ == text_.size()) return false;
    ++at_;
    if (inverted) set->flip();
    return true;
  }

  bool Next() {
    const char c = text_[at_++];
    State state{State::kChar};
    switch (c) {
      case '(':
        if (text_.substr(at_, 2) == "?:") at_ += 2;
        if (at_ < text_.size() && text_[at_] == '?') return false;  // looks around, names, flags
        if (after_atom_ && !Push('.')) return false;
        operators_.push_back('(');
        after_atom_ = false;
        return true;
      case ')':
        if (!after_atom_) return false;  // an empty alternative
        while (!operators_.empty() && operators_.back() != '(') {
          if (!Apply()) return false;
        }
        if (operators_.empty()) return false;
        operators_.pop_back();
        return true;
      case '|':
        if (!after_atom_) return false;
        after_atom_ = false;
        return Push('|');
      case '*':
      case '+':
      case '?':
        return Repeat(c);
      case '{':
      case '}':
        return false;
      case '^':
        state.kind = State::kStart;
        break;
      case '$':
        state.kind = State::kEnd;
        break;
      case '.':
        state.set.set();
        break;
      case '[':
        if (!Class(&state.set)) return false;
        break;
      case '\\':
        if (at_ == text_.size() || !Escaped(text_[at_++], &state.set)) return false;
        break;
      default:
        state.set.set(static_cast<unsigned char>(c));
    }
    return Atom(std::move(state));
  }

  // Adds `state` and what it leads to without a character, at position i of n.
  void Reach(int state, size_t i, size_t n, std::vector<int>* reached) {
    todo_.assign(1, state);
    while (!todo_.empty()) {
      const int s = todo_.back();
      todo_.pop_back();
      if (s < 0 || marks_[s]) continue;
      marks_[s] = true;
      const State& found = states_[s];
      if (found.kind == State::kSplit) {
        todo_.push_back(found.next[0]);
        todo_.push_back(found.next[1]);
      } else if ((found.kind == State::kStart && i == 0) || (found.kind == State::kEnd && i == n)) {
        todo_.push_back(found.next[0]);
      } else {
        reached->push_back(s);
      }
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  bool after_atom_ = false;
  std::vector<State> states_;
  std::vector<Piece> pieces_;
  std::vector<char> operators_;
  std::vector<bool> marks_;  // states reached at this position
  std::vector<int> todo_;
};

}  // namespace

absl::StatusOr<bool> NameMatches(std::string_view entry, std::string_view name) {
  if (!entry.starts_with(kRegex)) return entry == name;
  const std::string_view pattern = entry.substr(kRegex.size());
  Machine machine;
  if (pattern.empty() || pattern.size() > kMaxPattern || !machine.Compile(pattern)) {
    return UnsupportedError(
        absl::StrCat("the expression \"", Printable(pattern), "\" for names of modules"));
  }
  return machine.Matches(name);
}

}  // namespace scout

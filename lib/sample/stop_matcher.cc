#include "lib/sample/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace scout {

// A trie of the stop strings; state 0 is the empty text. A state stands for the longest end of the
// text that begins a stop string.
struct StopMatcher::Automaton {
  struct Node {
    std::vector<std::pair<uint8_t, int32_t>> children = {};  // by byte, ascending
    int32_t fail = 0;    // the longest proper end of this state that is a state
    int32_t depth = 0;   // bytes
    int64_t found = -1;  // the longest stop string that ends here, or -1
  };
  std::vector<Node> nodes = std::vector<Node>(1);
  std::vector<int64_t> sizes;  // bytes of each stop string

  int32_t Child(int32_t node, uint8_t byte) const {
    const auto& children = nodes[static_cast<size_t>(node)].children;
    auto at = std::lower_bound(children.begin(), children.end(), std::pair(byte, int32_t{0}));
    return at != children.end() && at->first == byte ? at->second : -1;
  }

  int32_t Next(int32_t node, uint8_t byte) const {
    for (;; node = nodes[static_cast<size_t>(node)].fail) {
      const int32_t child = Child(node, byte);
      if (child >= 0) return child;
      if (node == 0) return 0;
    }
  }

  void Add(std::string_view text, int64_t index) {
    int32_t node = 0;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      int32_t child = Child(node, byte);
      if (child < 0) {
        child = static_cast<int32_t>(nodes.size());
        nodes.push_back({.depth = nodes[static_cast<size_t>(node)].depth + 1});
        auto& children = nodes[static_cast<size_t>(node)].children;
        const std::pair<uint8_t, int32_t> entry(byte, child);
        children.insert(std::lower_bound(children.begin(), children.end(), entry), entry);
      }
      node = child;
    }
    int64_t& found = nodes[static_cast<size_t>(node)].found;
    if (found < 0) found = index;  // of equal strings the first
    sizes.push_back(static_cast<int64_t>(text.size()));
  }

  // Fail links breadth first, so that a link's target is complete when it is read.
  void Link() {
    std::vector<int32_t> queue{0};
    for (size_t at = 0; at < queue.size(); ++at) {
      const int32_t node = queue[at];
      for (const auto& [byte, child] : nodes[static_cast<size_t>(node)].children) {
        Node& to = nodes[static_cast<size_t>(child)];
        if (node != 0) to.fail = Next(nodes[static_cast<size_t>(node)].fail, byte);
        if (to.found < 0) to.found = nodes[static_cast<size_t>(to.fail)].found;
        queue.push_back(child);
      }
    }
  }
};

absl::StatusOr<StopMatcher> StopMatcher::Create(const std::vector<std::string>& strings) {
  StopMatcher matcher;
  if (strings.empty()) return matcher;
  auto automaton = std::make_shared<Automaton>();
  int64_t bytes = 0;
  for (size_t i = 0; i < strings.size(); ++i) {
    if (strings[i].empty()) {
      return absl::InvalidArgumentError(absl::StrCat("stop string ", i, " is empty"));
    }
    bytes += static_cast<int64_t>(strings[i].size());
    if (bytes > kMaxBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the stop strings up to number ", i, " have ",
                                                     bytes, " bytes, more than ", kMaxBytes));
    }
    automaton->Add(strings[i], static_cast<int64_t>(i));
  }
  automaton->Link();
  matcher.automaton_ = std::move(automaton);
  return matcher;
}

int64_t StopMatcher::Push(std::string_view text, std::string* out) {
  if (found_ >= 0) return found_;
  if (automaton_ == nullptr) {
    out->append(text);
    return -1;
  }
  const size_t before = held_.size();
  held_.append(text);
  for (size_t i = 0; i < text.size(); ++i) {
    state_ = automaton_->Next(state_, static_cast<uint8_t>(text[i]));
    const int64_t found = automaton_->nodes[static_cast<size_t>(state_)].found;
    if (found < 0) continue;
    const int64_t size = automaton_->sizes[static_cast<size_t>(found)];
    Release(static_cast<int64_t>(before + i + 1) - size, out);
    held_.clear();
    begin_ = 0;
    return found_ = found;
  }
  const int32_t depth = automaton_->nodes[static_cast<size_t>(state_)].depth;
  Release(static_cast<int64_t>(held_.size()) - depth, out);
  return -1;
}

// Appends held_[begin_, end) to *out; nothing where all before `end` is out.
void StopMatcher::Release(int64_t end, std::string* out) {
  if (end <= static_cast<int64_t>(begin_)) return;
  out->append(held_, begin_, static_cast<size_t>(end) - begin_);
  begin_ = static_cast<size_t>(end);
  if (begin_ * 2 < held_.size()) return;
  held_.erase(0, begin_);
  begin_ = 0;
}

void StopMatcher::LetGo(std::string* out) { Release(static_cast<int64_t>(held_.size()), out); }

void StopMatcher::Flush(std::string* out) {
  LetGo(out);
  Reset();
}

void StopMatcher::Reset() {
  held_.clear();
  begin_ = 0;
  state_ = 0;
  found_ = -1;
}

}  // namespace scout

// JSON text to a value tree over nlohmann::json's SAX parser, which is iterative and checks syntax
// and UTF-8. Depth, size, duplicate names and trailing bytes are checked here.
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/json.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "lib/format/byte_source.h"

namespace scout {
namespace {

// Below this many members a linear search is as fast as an index and takes no memory.
constexpr size_t kIndexFrom = 16;

// An iterator over the text that tells how far the parser has read, for the offset in errors.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *seen_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** seen_;
};

// What nlohmann says about a syntax error, without its prefix and without the text it read last
// (which can be as long as the file).
std::string SyntaxReason(std::string_view what) {
  if (size_t at = what.find("; last read:"); at != what.npos) what = what.substr(0, at);
  if (size_t at = what.find("syntax error"); at != what.npos) {
    what = what.substr(at);
  } else if (size_t bracket = what.find("] "); bracket != what.npos) {
    what = what.substr(bracket + 2);
  }
  return Printable(what);
}

}  // namespace

// The SAX handler. A false return stops the parser; status() then says why.
class JsonBuilder {
 public:
  JsonBuilder(std::string_view text, const JsonLimits& limits)
      : begin_(text.data()), seen_(text.data()), limits_(limits) {}

  const char** seen() { return &seen_; }
  absl::Status TakeStatus() { return std::move(status_); }
  Json TakeRoot() { return std::move(root_); }

  bool null() { return Add(Json()); }
  bool boolean(bool value) {
    Json v;
    v.kind_ = Json::Kind::kBool;
    v.int_ = value ? 1 : 0;
    return Add(std::move(v));
  }
  bool number_integer(int64_t value) {
    Json v;
    v.kind_ = Json::Kind::kInt;
    v.int_ = value;
    return Add(std::move(v));
  }
  bool number_unsigned(uint64_t value) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return AddDouble(static_cast<double>(value));
    }
    return number_integer(static_cast<int64_t>(value));
  }
  // `text` is the number as written, but with the locale's decimal point in place of '.'. It is
  // read again here, because the parser's own value depends on the locale.
  bool number_float(double, const std::string& text) {
    std::string plain = text;
    for (char& c : plain) {
      const bool part = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e' || c == 'E';
      if (!part) c = '.';
    }
    double value = 0;
    if (!absl::SimpleAtod(plain, &value) || !std::isfinite(value)) {
      return Fail(CorruptError("a number is out of range"));
    }
    return AddDouble(value);
  }
  bool string(std::string& value) {
    Json v;
    v.kind_ = Json::Kind::kString;
    v.string_ = value;  // a copy: the parser's buffer is larger than the text and is used again
    return Add(std::move(v));
  }
  bool binary(nlohmann::json::binary_t&) { return Fail(CorruptError("binary value in text")); }
  bool start_object(size_t) { return Open(Json::Kind::kObject); }
  bool start_array(size_t) { return Open(Json::Kind::kArray); }
  bool key(std::string& name) {
    open_.back().members->names.push_back(name);
    return true;
  }
  bool end_array() { return Close(); }
  bool end_object() {
    Json::Members& members = *open_.back().members;
    const std::vector<std::string>& names = members.names;
    if (names.size() <= kIndexFrom) {
      for (size_t i = 1; i < names.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (names[i] == names[j]) return FailDuplicate(names[i]);
        }
      }
    } else {
      SortNames(&members);
      for (size_t i = 1; i < members.sorted.size(); ++i) {
        const std::string& name = names[members.sorted[i]];
        if (name == names[members.sorted[i - 1]]) return FailDuplicate(name);
      }
    }
    return Close();
  }
  template <typename Exception>
  bool parse_error(size_t, const std::string&, const Exception& error) {
    return Fail(CorruptError(absl::StrCat("not valid JSON: ", SyntaxReason(error.what()))));
  }

 private:
  struct Container {
    Json value;
    std::shared_ptr<Json::Members> members;
  };

  bool Fail(absl::Status status) {
    const int64_t offset = seen_ - begin_;
    status_ = AtPlace(
        absl::Status(status.code(), absl::StrCat(status.message(), " (at byte ", offset, ")")),
        {.offset = offset});
    return false;
  }
  // The first bytes of a name decide nearly always, without a look at its text.
  static void SortNames(Json::Members* members) {
    const std::vector<std::string>& names = members->names;
    std::vector<std::pair<uint64_t, uint32_t>> order(names.size());
    for (uint32_t i = 0; i < names.size(); ++i) {
      uint64_t start = 0;
      for (size_t b = 0; b < sizeof(start); ++b) {
        start = start << 8 | (b < names[i].size() ? static_cast<uint8_t>(names[i][b]) : 0);
      }
      order[i] = {start, i};
    }
    std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : names[a.second] < names[b.second];
    });
    members->sorted.reserve(names.size());
    for (const auto& [start, i] : order) members->sorted.push_back(i);
  }
  bool FailDuplicate(const std::string& name) {
    return Fail(CorruptError(
        absl::StrCat("the object that ends here has the name \"", Printable(name), "\" twice")));
  }
  bool Count() {
    if (!HasRoom()) return false;
    if (++n_values_ <= limits_.max_values) return true;
    return Fail(
        UnsupportedError(absl::StrCat("JSON of more than ", limits_.max_values, " values")));
  }
  bool AddDouble(double value) {
    Json v;
    v.kind_ = Json::Kind::kDouble;
    v.int_ = std::bit_cast<int64_t>(value);
    return Add(std::move(v));
  }
  bool Add(Json value) {
    if (!Count()) return false;
    Put(std::move(value));
    return true;
  }
  void Put(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().value.items_.push_back(std::move(value));
    }
  }
  // Whether the innermost container takes another value.
  bool HasRoom() {
    if (open_.empty()) return true;
    const Json& container = open_.back().value;
    if (container.is_object() ||
        static_cast<int64_t>(container.items_.size()) < limits_.max_array) {
      return true;
    }
    return Fail(
        UnsupportedError(absl::StrCat("a JSON array of more than ", limits_.max_array, " values")));
  }
  bool Open(Json::Kind kind) {
    if (!Count()) return false;
    if (static_cast<int64_t>(open_.size()) >= limits_.max_depth) {
      return Fail(
          UnsupportedError(absl::StrCat("JSON nested deeper than ", limits_.max_depth, " levels")));
    }
    Container& container = open_.emplace_back();
    container.value.kind_ = kind;
    if (kind == Json::Kind::kObject) container.members = std::make_shared<Json::Members>();
    return true;
  }
  bool Close() {
    Container container = std::move(open_.back());
    open_.pop_back();
    container.value.members_ = std::move(container.members);
    Put(std::move(container.value));
    return true;
  }

  const char* begin_;
  const char* seen_;
  const JsonLimits limits_;
  int64_t n_values_ = 0;
  std::vector<Container> open_;  // outermost first
  Json root_;
  absl::Status status_;
};

const std::vector<std::string>& Json::names() const {
  static const std::vector<std::string> kNone;
  return members_ ? members_->names : kNone;
}

const Json* Json::find(std::string_view name) const {
  if (!members_) return nullptr;
  const std::vector<std::string>& names = members_->names;
  const std::vector<uint32_t>& sorted = members_->sorted;
  if (sorted.empty()) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) return &items_[i];
    }
    return nullptr;
  }
  auto it = std::lower_bound(sorted.begin(), sorted.end(), name,
                             [&](uint32_t i, std::string_view key) { return names[i] < key; });
  return it != sorted.end() && names[*it] == name ? &items_[*it] : nullptr;
}

absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.max_bytes) {
    return UnsupportedError(
        absl::StrCat("JSON of ", text.size(), " bytes, more than the limit of ", limits.max_bytes));
  }
  // nlohmann takes a NUL byte for the end of the text, and what follows would go unread.
  if (const void* nul = text.empty() ? nullptr : std::memchr(text.data(), 0, text.size())) {
    const int64_t offset = static_cast<const char*>(nul) - text.data();
    return AtPlace(CorruptError(absl::StrCat("not valid JSON: a NUL byte (at byte ", offset, ")")),
                   {.offset = offset});
  }
  JsonBuilder builder(text, limits);
  const bool ok = nlohmann::json::sax_parse(
      CountingIterator(text.data(), builder.seen()),
      CountingIterator(text.data() + text.size(), builder.seen()), &builder);
  absl::Status status = builder.TakeStatus();
  if (!status.ok()) return status;
  if (!ok) return CorruptError("not valid JSON");
  return builder.TakeRoot();
}

}  // namespace scout

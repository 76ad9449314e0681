// The parser of tool calls: a machine that takes one byte at a time. SPDX-License-Identifier:
// Apache-2.0
// A candidate begins at [ or {. Its bytes are held back until it is a group of calls, or cannot
// become one at some byte. A candidate that was no attempt to call is then text, and the search
// goes on at that byte. A call must not come out of a string: nothing begins between double quotes
// or backticks of the text, and after a broken attempt all of the message is text, since what
// follows may be inside a string of the broken call.
#include "lib/tokenizer/tool_call.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/format/json.h"
#include "lib/tokenizer/shown.h"

namespace scout {
namespace {

constexpr std::array<std::string_view, 2> kMarkers = {"<|python_start|>", "<|python_end|>"};
constexpr std::array<std::string_view, 4> kKeys = {"name", "parameters", "arguments", "type"};
constexpr std::string_view kType = "\"function\"";

bool IsPrefix(std::string_view text, std::string_view of) {
  return of.substr(0, text.size()) == text;
}

std::string_view ToolName(const Json& tool) {
  const Json* function = tool.find("function");
  const Json* name = (function != nullptr && function->is_object() ? *function : tool).find("name");
  return name != nullptr && name->is_string() ? std::string_view(name->as_string())
                                              : std::string_view();
}

}  // namespace

ToolCallParser::ToolCallParser(ToolCallOptions options) : options_(std::move(options)) {
  if (options_.names) std::sort(options_.names->begin(), options_.names->end());
}

absl::Status ToolCallParser::Push(std::string_view text) {
  if (broken_) return absl::FailedPreconditionError("an earlier call ran out of memory");
  broken_ = true;
  for (const char c : text) Take(c);
  FlushArguments();
  FlushText();
  broken_ = false;
  return absl::OkStatus();
}

absl::Status ToolCallParser::Finish() {
  if (broken_) return absl::FailedPreconditionError("an earlier call ran out of memory");
  broken_ = true;
  if (state_ == State::kMarker) {
    for (const char w : word_) AddText(w);
  } else if (state_ != State::kText) {
    why_ = "the message ends inside the call";
    FailCandidate();
  }
  FlushText();
  state_ = State::kText;
  text_only_ = said_ = said_before_ = false;
  quote_ = last_ = 0;
  next_index_ = 0;
  broken_ = false;
  return absl::OkStatus();
}

ToolEvent ToolCallParser::Next() {
  ToolEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void ToolCallParser::Emit(ToolEvent event) {
  FlushText();
  events_.push_back(std::move(event));
}

void ToolCallParser::FlushText() {
  if (text_.empty()) return;
  events_.push_back({.kind = ToolEvent::Kind::kText, .text = std::exchange(text_, {})});
}

void ToolCallParser::FlushArguments() {
  if (calls_.empty() || calls_.back().index < 0) return;
  const Call& call = calls_.back();
  if (call.arguments.size() == sent_) return;
  Emit({.kind = ToolEvent::Kind::kArguments,
        .index = call.index,
        .text = call.arguments.substr(sent_)});
  sent_ = call.arguments.size();
}

bool ToolCallParser::Declared(std::string_view name) const {
  return !options_.names ||
         std::binary_search(options_.names->begin(), options_.names->end(), name);
}

bool ToolCallParser::Refuse(std::string_view why) {
  why_ = why;
  return false;
}

void ToolCallParser::Take(char c) {
  if (state_ == State::kText) return TakeText(c);
  if (state_ == State::kMarker) {
    word_.push_back(c);
    for (const std::string_view marker : kMarkers) {
      if (word_ == marker) {
        Emit({.kind = ToolEvent::Kind::kMarker, .text = word_});
        state_ = State::kText;
        quote_ = last_ = 0;
        if (marker == kMarkers[0]) {
          said_before_ = said_;
        } else {
          said_ = said_before_;
        }
      }
      if (IsPrefix(word_, marker)) return;
    }
    word_.pop_back();
    for (const char w : word_) AddText(w);
    state_ = State::kText;
    return TakeText(c);
  }
  if (static_cast<int64_t>(source_.size()) >= options_.max_group_bytes) {
    why_ = absl::StrCat("the calls are longer than ", options_.max_group_bytes, " bytes");
  } else {
    source_.push_back(c);
    if (TakeCandidate(c)) return;
    source_.pop_back();
  }
  FailCandidate();
  TakeText(c);
}

void ToolCallParser::TakeText(char c) {
  const bool may_call = !text_only_ && quote_ == 0 && !(options_.only_at_start && said_);
  if (may_call && (c == '[' || c == '{')) return BeginCandidate(c);
  if (c == '<') {
    state_ = State::kMarker;
    word_.assign(1, c);
    return;
  }
  AddText(c);
}

void ToolCallParser::AddText(char c) {
  said_ = said_ || !IsLiteralSpace(c);
  if (quote_ == 0 && (c == '"' || c == '`')) {
    quote_ = c;
  } else if (c == quote_ && last_ != '\\') {
    quote_ = 0;
  }
  last_ = last_ == '\\' ? 0 : c;  // a backslash that is itself escaped escapes nothing
  text_.push_back(c);
}

void ToolCallParser::BeginCandidate(char c) {
  source_.assign(1, c);
  if (c == '[') {
    state_ = State::kListOpen;
  } else {
    StartObject();
  }
}

void ToolCallParser::EndCandidate() {
  state_ = State::kText;
  source_.clear();
  calls_.clear();
  reader_.reset();
  undeclared_.clear();
  attempt_ = in_list_ = false;
}

void ToolCallParser::FailCandidate() {
  if (attempt_) {
    FlushArguments();
    Emit({.kind = ToolEvent::Kind::kRejected, .text = source_, .reason = why_});
    text_only_ = said_ = true;
  } else {
    for (const char c : source_) AddText(c);
  }
  EndCandidate();
}

bool ToolCallParser::EndGroup() {
  FlushArguments();
  if (!undeclared_.empty()) {
    Emit({.kind = ToolEvent::Kind::kRejected,
          .text = source_,
          .reason = absl::StrCat("no tool has the name \"", Shown(undeclared_), "\"")});
    said_ = true;
  } else {
    for (Call& call : calls_) {
      Emit({.kind = ToolEvent::Kind::kCall,
            .index = call.index,
            .name = std::move(call.name),
            .text = std::move(call.arguments)});
    }
    Emit({.kind = ToolEvent::Kind::kSource, .text = source_});
  }
  EndCandidate();
  return true;
}

void ToolCallParser::StartCall() {
  calls_.emplace_back();
  keywords_.clear();
  sent_ = 0;
}

void ToolCallParser::StartObject() {
  StartCall();
  has_name_ = has_arguments_ = has_type_ = false;
  state_ = State::kFirstKey;
}

void ToolCallParser::Attempt() {
  attempt_ = true;
  const std::string& name = calls_.back().name;
  if (undeclared_.empty() && !Declared(name)) undeclared_ = name;
}

void ToolCallParser::Announce() {
  Call& call = calls_.back();
  if (!undeclared_.empty() || call.index >= 0) return;
  call.index = next_index_++;
  Emit({.kind = ToolEvent::Kind::kBegin, .index = call.index, .name = call.name});
}

bool ToolCallParser::TakeCandidate(char c) {
  return state_ >= State::kFirstKey ? TakeJson(c) : TakePython(c);
}

bool ToolCallParser::TakeReader(char c, State next) {
  switch (reader_->Push(c)) {
    case LiteralReader::Step::kMore:
      return true;
    case LiteralReader::Step::kDone:
      state_ = next;
      return true;
    case LiteralReader::Step::kBefore:
      state_ = next;
      return TakeCandidate(c);  // once: this state reads no value
    case LiteralReader::Step::kError:
      break;
  }
  return Refuse(reader_->error());
}

bool ToolCallParser::TakePython(char c) {
  const bool space = IsLiteralSpace(c);
  switch (state_) {
    case State::kListOpen:
    case State::kNextCall:
      if (space) return true;
      if (state_ == State::kNextCall && c == ']') return EndGroup();
      if (state_ == State::kListOpen && c == '{') {
        in_list_ = true;
        StartObject();
        return true;
      }
      if (!IsIdentifierStart(c)) return Refuse("a call was expected");
      StartCall();
      calls_.back().name.push_back(c);
      state_ = State::kName;
      return true;
    case State::kName: {
      std::string& name = calls_.back().name;
      if (IsIdentifierPart(c) || c == '.' || c == '-') {
        if (name.size() >= kMaxNameBytes) return Refuse("the name of a function is too long");
        name.push_back(c);
        return true;
      }
      if (c != '(' || !IsIdentifierPart(name.back())) return Refuse("'(' was expected");
      if (options_.names && Declared(name)) {
        Attempt();
        Announce();
      }
      state_ = State::kFirstArgument;
      return true;
    }
    case State::kFirstArgument:
    case State::kNextArgument:
      if (space) return true;
      if (c == ')') return EndArguments();
      if (!IsIdentifierStart(c)) return Refuse("an argument without a name");
      word_.assign(1, c);
      state_ = State::kKeyword;
      return true;
    case State::kKeyword:
      if (IsIdentifierPart(c)) {
        if (word_.size() >= kMaxNameBytes) return Refuse("the name of an argument is too long");
        word_.push_back(c);
        return true;
      }
      state_ = State::kEquals;
      [[fallthrough]];
    case State::kEquals:
      if (space) return true;
      return c == '=' ? EndKeyword() : Refuse("an argument without a name");
    case State::kValue:
      return TakeReader(c, State::kAfterValue);
    case State::kAfterValue:
      if (space) return true;
      if (c == ')') return EndArguments();
      state_ = State::kNextArgument;
      return c == ',' || Refuse("',' or ')' was expected after an argument");
    case State::kAfterCall:
      if (space) return true;
      if (c == ']') return EndGroup();
      state_ = State::kNextCall;
      return c == ',' || Refuse("',' or ']' was expected after a call");
    default:
      return Refuse("internal: not a state of a list");
  }
}

bool ToolCallParser::EndKeyword() {
  Attempt();
  Announce();
  if (!keywords_.insert(word_).second) {
    return Refuse(absl::StrCat("the argument \"", word_, "\" comes twice"));
  }
  std::string& arguments = calls_.back().arguments;
  absl::StrAppend(&arguments, arguments.empty() ? "{\"" : ", \"", word_, "\": ");
  reader_.emplace(LiteralDialect::kPython, LiteralForm::kJson, options_.max_depth, &arguments);
  state_ = State::kValue;
  return true;
}

bool ToolCallParser::EndArguments() {
  Attempt();
  Announce();
  std::string& arguments = calls_.back().arguments;
  arguments += arguments.empty() ? "{}" : "}";
  FlushArguments();
  state_ = State::kAfterCall;
  return true;
}

bool ToolCallParser::TakeJson(char c) {
  const bool space = IsLiteralSpace(c);
  switch (state_) {
    case State::kFirstKey:
    case State::kNextKey:
      if (space) return true;
      word_.clear();
      state_ = State::kKey;
      return c == '"' || Refuse("the name of a member was expected");
    case State::kKey:
      return TakeKey(c);
    case State::kColon:
      if (space) return true;
      state_ = word_ == "type" ? State::kType : State::kMember;
      name_next_ = word_ == "name";
      word_.clear();
      reader_.reset();
      return c == ':' || Refuse("':' was expected");
    case State::kType:
      if (space && word_.empty()) return true;
      word_.push_back(c);
      if (word_ == kType) state_ = State::kAfterMember;
      return IsPrefix(word_, kType) || Refuse("the type of a call is not \"function\"");
    case State::kMember:
      return TakeMember(c);
    case State::kAfterMember:
      if (space) return true;
      if (c == '}') return EndObject();
      state_ = State::kNextKey;
      return c == ',' || Refuse("',' or '}' was expected after a member");
    case State::kAfterObject:
      if (space) return true;
      if (c == ']') return EndGroup();
      state_ = State::kNextObject;
      return c == ',' || Refuse("',' or ']' was expected after a call");
    case State::kNextObject:
      if (space) return true;
      StartObject();
      return c == '{' || Refuse("'{' was expected");
    default:
      return Refuse("internal: not a state of JSON");
  }
}

// A name that no member of a call has is known as such at its first wrong byte.
bool ToolCallParser::TakeKey(char c) {
  if (c != '"') {
    word_.push_back(c);
    for (const std::string_view key : kKeys) {
      if (IsPrefix(word_, key)) return true;
    }
    return Refuse(absl::StrCat("a call has no member \"", Shown(word_), "...\""));
  }
  bool* seen = word_ == "name"                                 ? &has_name_
               : word_ == "type"                               ? &has_type_
               : word_ == "parameters" || word_ == "arguments" ? &has_arguments_
                                                               : nullptr;
  if (seen == nullptr) return Refuse(absl::StrCat("a call has no member \"", word_, "\""));
  if (*seen) return Refuse(absl::StrCat("the member \"", word_, "\" comes twice"));
  *seen = true;
  state_ = State::kColon;
  return true;
}

bool ToolCallParser::TakeMember(char c) {
  if (!reader_) {
    if (IsLiteralSpace(c)) return true;
    if (c != (name_next_ ? '"' : '{')) {
      return Refuse(name_next_ ? "the name is not a string" : "the arguments are not an object");
    }
    if (name_next_) value_.clear();
    // The object of the arguments is a level of its own.
    reader_.emplace(LiteralDialect::kJson, LiteralForm::kJson, options_.max_depth + 1,
                    name_next_ ? &value_ : &calls_.back().arguments);
    if (!name_next_ && !calls_.back().name.empty()) {
      Attempt();
      Announce();
    }
  }
  if (!TakeReader(c, State::kAfterMember)) return false;
  if (!name_next_) return true;
  if (value_.size() > kMaxNameBytes + 2) return Refuse("the name of a function is too long");
  return state_ != State::kAfterMember || EndName();
}

bool ToolCallParser::EndName() {
  if (value_.size() <= 2) return Refuse("the name of a function is empty");
  if (value_.find('\\') != std::string::npos) {
    return Refuse("the name of a function has a quote, a backslash or a control character");
  }
  Call& call = calls_.back();
  call.name = value_.substr(1, value_.size() - 2);
  if (has_arguments_ || (options_.names && Declared(call.name))) Attempt();
  if (has_arguments_) {
    Announce();
    FlushArguments();
  }
  return true;
}

bool ToolCallParser::EndObject() {
  if (!has_name_) return Refuse("a call without \"name\"");
  if (!has_arguments_) return Refuse("a call without \"parameters\"");
  FlushArguments();
  if (!in_list_) return EndGroup();
  state_ = State::kAfterObject;
  return true;
}

absl::StatusOr<std::vector<std::string>> ToolNames(std::string_view tools_json) {
  absl::StatusOr<Json> tools = ParseJson(tools_json, {.max_bytes = int64_t{16} << 20});
  if (!tools.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("tools: ", tools.status().message()));
  }
  if (!tools->is_array()) return absl::InvalidArgumentError("the tools are not a JSON list");
  std::vector<std::string> names;
  std::set<std::string_view> seen;
  for (const Json& tool : tools->items()) {
    const std::string_view name = ToolName(tool);
    if (name.empty() || name.size() > kMaxNameBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tools[", names.size(), "] has no \"name\", or none of 1 to ", kMaxNameBytes, " bytes"));
    }
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two tools have the name \"", Shown(name), "\""));
    }
    names.emplace_back(name);
  }
  return names;
}

}  // namespace scout

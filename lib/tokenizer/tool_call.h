// Finds the tool calls in a model's answer while it comes. SPDX-License-Identifier: Apache-2.0
//
// Two forms, anywhere in the text:
//   [name(arg=value, ...), ...]                       a Python list of calls, keyword arguments
//   only
//   {"name": "...", "parameters": {...}}              JSON; also a list of such objects,
//                                                     "arguments" instead, "type": "function"
//                                                     beside
// and the markers <|python_start|>, <|python_end|>, where the detokenizer leaves them in the text.
// A group is one list, or one object outside a list. It is taken whole or not at all.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tokenizer/literal.h"
#include "lib/util/status.h"

namespace scout {

struct ToolEvent {
  enum class Kind : uint8_t {
    kText,       // text: not part of a call
    kMarker,     // text: a marker of the format, as it stood
    kBegin,      // index, name: a call has begun
    kArguments,  // index, text: the next piece of its arguments, canonical JSON
    kCall,       // index, name, text: a call of a group that is complete, all its arguments
    kSource,     // text: the bytes of the group whose calls were just given
    kRejected,   // text: bytes that look like calls and are none; reason. Calls that began since
                 // the last kSource or kRejected are void
  };
  Kind kind = Kind::kText;
  int64_t index = -1;  // of the call in the message, from 0; a void call's index is not used again
  std::string name;
  std::string text;
  std::string reason;
};

struct ToolCallOptions {
  // Calls only before any other text but white space. Text from <|python_start|> to
  // <|python_end|> does not count behind the latter.
  bool only_at_start = false;
  int max_depth = 32;  // of values inside arguments
  int64_t max_group_bytes = int64_t{1} << 20;
  // The names that may be called; none: every name may.
  std::optional<std::vector<std::string>> names;
};

// The texts of kText, kMarker, kSource and kRejected in order are the input. Events do not depend
// on how the input is cut, except that kText and kArguments come in other pieces. Time is linear in
// the input (names in an object: n log n); memory is what the group in progress takes, and the
// events.
class ToolCallParser {
 public:
  explicit ToolCallParser(ToolCallOptions options);

  // Any bytes of the message. FailedPrecondition after an exception left this object half changed.
  absl::Status Push(std::string_view text);
  // The end of the message; what is held back comes out. The next Push begins another message.
  absl::Status Finish();
  bool empty() const { return events_.empty(); }
  ToolEvent Next();  // of a parser that is not empty

 private:
  enum class State : uint8_t {
    kText,
    kMarker,         // in <|python_...|>
    kListOpen,       // after [
    kName,           // a function's name in a Python list
    kFirstArgument,  // after (
    kNextArgument,   // after , between arguments
    kKeyword,        // an argument's name
    kEquals,         // white space after it
    kValue,          // an argument's value
    kAfterValue,
    kAfterCall,  // after )
    kNextCall,   // after , between calls
    kFirstKey,   // after { of JSON
    kNextKey,    // after , between members
    kKey,        // a member's name
    kColon,
    kType,    // before or in "function"
    kMember,  // before or in the name or arguments
    kAfterMember,
    kAfterObject,  // in a JSON list
    kNextObject,   // after , in a JSON list
  };
  struct Call {
    int64_t index = -1;  // -1: not begun
    std::string name;
    std::string arguments;
  };

  void Take(char c);
  void TakeText(char c);
  void AddText(char c);
  bool TakeCandidate(char c);  // false: c does not belong to the candidate, why_ says why
  bool TakePython(char c);
  bool TakeJson(char c);
  bool TakeKey(char c);
  bool TakeMember(char c);
  bool TakeReader(char c, State next);
  void BeginCandidate(char c);
  void StartCall();
  void StartObject();
  bool EndKeyword();
  bool EndName();
  bool EndArguments();
  bool EndObject();
  void Attempt();   // what is read is an attempt to call, to be reported where it is none
  void Announce();  // kBegin, where it may be called
  bool EndGroup();
  void FailCandidate();
  bool Declared(std::string_view name) const;
  bool Refuse(std::string_view why);
  void Emit(ToolEvent event);
  void FlushText();
  void FlushArguments();
  void EndCandidate();

  ToolCallOptions options_;  // names sorted
  std::deque<ToolEvent> events_;

  State state_ = State::kText;
  bool broken_ = false;
  bool text_only_ = false;    // no further calls in this message
  bool attempt_ = false;      // the candidate would be reported
  bool said_ = false;         // the message has text that is not white space
  bool said_before_ = false;  // ... before the last <|python_start|>
  char quote_ = 0;            // the text is behind this quotation mark, and it has not come again
  char last_ = 0;             // of the text; 0 behind an escaped backslash
  bool in_list_ = false;      // in [ of JSON
  bool has_name_ = false;     // of the JSON object
  bool has_arguments_ = false;
  bool has_type_ = false;
  bool name_next_ = false;  // kMember reads the name, not the arguments
  int64_t next_index_ = 0;
  std::string text_;                // for the next kText
  std::string source_;              // of the candidate
  std::string word_;                // marker, keyword or member name so far
  std::vector<Call> calls_;         // of the candidate, the last one in progress
  std::set<std::string> keywords_;  // of the call in progress
  std::string undeclared_;          // the first name of the group that may not be called
  size_t sent_ = 0;                 // bytes of the last call's arguments given as kArguments
  std::string why_;
  std::optional<LiteralReader> reader_;
  std::string value_;  // what the reader writes where it is not arguments
};

// Names of the functions in a list of tool definitions (JSON): objects with "name", or with
// "function" that is such an object. InvalidArgument where it is no such list or a name comes
// twice.
absl::StatusOr<std::vector<std::string>> ToolNames(std::string_view tools_json);

}  // namespace scout

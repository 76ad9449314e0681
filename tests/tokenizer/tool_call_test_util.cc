// Shared by the tests of tool calls. SPDX-License-Identifier: Apache-2.0
#include "tests/tokenizer/tool_call_test_util.h"

namespace scout::test {
namespace {

std::string ShownOne(const ToolEvent& e) {
  static constexpr const char* kNames[] = {"text", "marker", "begin",   "arguments",
                                           "call", "source", "rejected"};
  std::string out = kNames[static_cast<int>(e.kind)];
  if (e.index >= 0) out += "#" + std::to_string(e.index);
  if (!e.name.empty()) out += " " + e.name;
  if (!e.text.empty()) out += " <" + e.text + ">";
  return e.reason.empty() ? out : out + " (" + e.reason + ")";
}

}  // namespace

void Take(ToolCallParser* parser, std::vector<ToolEvent>* out) {
  while (!parser->empty()) out->push_back(parser->Next());
}

std::vector<ToolEvent> Parse(const std::vector<std::string_view>& pieces,
                             const ToolCallOptions& options) {
  ToolCallParser parser(options);
  std::vector<ToolEvent> events;
  for (const std::string_view piece : pieces) {
    EXPECT_TRUE(parser.Push(piece).ok());
    Take(&parser, &events);
  }
  EXPECT_TRUE(parser.Finish().ok());
  Take(&parser, &events);
  std::vector<ToolEvent> joined;
  for (ToolEvent& e : events) {
    if (!joined.empty() && (e.kind == Kind::kText || e.kind == Kind::kArguments) &&
        joined.back().kind == e.kind && joined.back().index == e.index) {
      joined.back().text += e.text;
    } else {
      joined.push_back(std::move(e));
    }
  }
  return joined;
}

std::string Shown(const std::vector<ToolEvent>& events) {
  std::string out;
  for (const ToolEvent& e : events) out += ShownOne(e) + "\n";
  return out;
}

void CheckEvents(const std::vector<ToolEvent>& events, std::string_view text) {
  std::string source;
  std::vector<std::string> begun;      // names by index
  std::vector<std::string> arguments;  // given in pieces
  size_t live = 0;                     // calls below this index are complete or void
  for (const ToolEvent& e : events) {
    switch (e.kind) {
      case Kind::kText:
      case Kind::kMarker:
        source += e.text;
        break;
      case Kind::kBegin:
        ASSERT_EQ(e.index, static_cast<int64_t>(begun.size()));
        begun.push_back(e.name);
        arguments.emplace_back();
        break;
      case Kind::kArguments:
        ASSERT_EQ(e.index + 1, static_cast<int64_t>(begun.size()));
        arguments.back() += e.text;
        break;
      case Kind::kCall:
        ASSERT_EQ(e.index, static_cast<int64_t>(live));
        ASSERT_LT(live, begun.size());
        EXPECT_EQ(e.name, begun[live]);
        EXPECT_EQ(e.text, arguments[live]);
        EXPECT_TRUE(ParseJson(e.text, {.max_depth = 40}).ok()) << e.text;
        ++live;
        break;
      case Kind::kSource:
        EXPECT_EQ(live, begun.size());
        source += e.text;
        break;
      case Kind::kRejected:
        EXPECT_FALSE(e.reason.empty());
        source += e.text;
        live = begun.size();
        break;
    }
  }
  EXPECT_EQ(source, text);
  EXPECT_EQ(live, begun.size()) << "a call neither complete nor void";
}

std::vector<ToolEvent> ParseAllCuts(std::string_view text, const ToolCallOptions& options) {
  const std::vector<ToolEvent> whole = Parse({text}, options);
  CheckEvents(whole, text);
  const std::string want = Shown(whole);
  for (size_t cut = 1; cut < text.size(); ++cut) {
    EXPECT_EQ(Shown(Parse({text.substr(0, cut), text.substr(cut)}, options)), want) << cut;
  }
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  EXPECT_EQ(Shown(Parse(bytes, options)), want);
  return whole;
}

Strings Calls(const std::vector<ToolEvent>& events) {
  Strings out;
  for (const ToolEvent& e : events) {
    if (e.kind == Kind::kCall) out.push_back(e.name + " " + e.text);
  }
  return out;
}

std::string Text(const std::vector<ToolEvent>& events) {
  std::string out;
  for (const ToolEvent& e : events) {
    if (e.kind == Kind::kText) out += e.text;
  }
  return out;
}

}  // namespace scout::test

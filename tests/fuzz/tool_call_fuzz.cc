// Any bytes as a model's answer: the parser gives them back whole, the same for every cut, and its
// calls have arguments that are JSON. SPDX-License-Identifier: Apache-2.0
// The first byte chooses options, the second where the text is cut.
//
// Sources: lib/tokenizer/tool_call.* lib/tokenizer/literal*
#include "lib/tokenizer/tool_call.h"

#include <string>
#include <vector>

#include "lib/format/json.h"
#include "tests/fuzz/table_oracle.h"

namespace {

using Kind = scout::ToolEvent::Kind;

struct Outcome {
  std::string source;  // of the text, markers, groups and rejections
  std::string calls;   // every other event
};

Outcome Parse(const std::vector<std::string_view>& pieces, const scout::ToolCallOptions& options) {
  using scout::test::Require;
  scout::ToolCallParser parser(options);
  Outcome out;
  std::string arguments;
  const auto take = [&] {
    while (!parser.empty()) {
      const scout::ToolEvent e = parser.Next();
      switch (e.kind) {
        case Kind::kText:
        case Kind::kMarker:
          out.source += e.text;
          break;
        case Kind::kSource:
        case Kind::kRejected:
          Require((e.kind == Kind::kRejected) == !e.reason.empty());
          out.source += e.text;
          out.calls += (e.kind == Kind::kSource ? "S " : "R " + e.reason) + "\n";
          break;
        case Kind::kArguments:
          out.calls += e.text;
          break;
        case Kind::kBegin:
          out.calls += "\nB " + std::to_string(e.index) + e.name + "\n";
          break;
        case Kind::kCall:
          Require(!e.name.empty());
          Require(scout::ParseJson(e.text).ok());
          out.calls += "C " + std::to_string(e.index) + e.name + e.text + "\n";
          break;
      }
    }
  };
  for (const std::string_view piece : pieces) {
    Require(parser.Push(piece).ok());
    take();
  }
  Require(parser.Finish().ok());
  take();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  scout::ToolCallOptions options;
  options.only_at_start = (data[0] & 1) != 0;
  if ((data[0] & 2) != 0) options.names = std::vector<std::string>{"f", "get_weather"};
  if ((data[0] & 4) != 0) options.max_depth = 2;
  if ((data[0] & 8) != 0) options.max_group_bytes = 40;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = Parse({text}, options);
  scout::test::Require(whole.source == text);
  const size_t cut = data[1] % (text.size() + 1);
  const Outcome two = Parse({text.substr(0, cut), text.substr(cut)}, options);
  scout::test::Require(two.source == whole.source && two.calls == whole.calls);
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  const Outcome single = Parse(bytes, options);
  scout::test::Require(single.source == whole.source && single.calls == whole.calls);
  return 0;
}

// Tool calls: random calls come back, random text is given back, in linear time.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>

#include "tests/tokenizer/tool_call_test_util.h"

namespace scout::test {
namespace {

// Random values and calls, printed in both forms with random spelling, come back equal.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }

  std::string Space() { return std::string(Below(4) == 0 ? Below(3) : 0, " \n\t"[Below(3)]); }
  std::string Name() {
    std::string out(1, "abcXYZ_"[Below(7)]);
    for (uint32_t n = Below(6); n > 0; --n) out.push_back("ab_9Z"[Below(5)]);
    return out;
  }
  // A string as code points.
  std::vector<uint32_t> Points() {
    static constexpr uint32_t kPoints[] = {'a', '"', '\'', '\\', '\n', '[',    ']',    '(',    ')',
                                           '{', '}', '=',  ',',  0,    0x7F,   0xFC,   0x4E2D, '<',
                                           '|', 't', 'u',  '1',  0x1F, 0x20AC, 0x1F600};
    std::vector<uint32_t> out(Below(8));
    for (uint32_t& p : out) p = kPoints[Below(std::size(kPoints))];
    return out;
  }

  // Appends one value in the three spellings.
  void Value(int depth, std::string* python, std::string* json, std::string* canonical) {
    const uint32_t kind = Below(depth > 0 ? 7 : 5);
    if (kind == 0) {
      static constexpr const char* kWords[][2] = {
          {"True", "true"}, {"False", "false"}, {"None", "null"}};
      const auto& word = kWords[Below(3)];
      *python += word[Below(2)];
      *json += word[1];
      *canonical += word[1];
    } else if (kind == 1) {
      std::string digits(1 + Below(30), '0');
      for (char& c : digits) c = static_cast<char>('1' + Below(9));
      if (Below(3) == 0) digits.insert(0, "-");
      *python += digits;
      *json += digits;
      *canonical += digits;
    } else if (kind == 2) {
      const std::string number = std::to_string(Below(1000)) + "." + std::to_string(Below(9) + 1);
      *python += number;
      *json += number;
      *canonical += number;
    } else if (kind < 5) {
      String(Points(), python, json, canonical);
    } else {
      const bool object = kind == 6;
      const char* open = object ? "{" : "[";
      const char* close = object ? "}" : "]";
      *python += open;
      *json += open;
      *canonical += open;
      const uint32_t n = Below(4);
      for (uint32_t i = 0; i < n; ++i) {
        if (i > 0) {
          *python += Space() + "," + Space();
          *json += Space() + "," + Space();
          *canonical += ", ";
        }
        if (object) {
          const std::string key = Name() + std::to_string(i);
          *python += "'" + key + "'" + Space() + ":" + Space();
          *json += "\"" + key + "\"" + Space() + ":" + Space();
          *canonical += "\"" + key + "\": ";
        }
        Value(depth - 1, python, json, canonical);
      }
      if (n > 0 && Below(4) == 0) *python += ",";
      *python += Space() + close;
      *json += Space() + close;
      *canonical += close;
    }
  }

 private:
  void String(const std::vector<uint32_t>& points, std::string* python, std::string* json,
              std::string* canonical) {
    const char quote = "'\""[Below(2)];
    const std::string quotes(Below(3) == 0 ? 3 : 1, quote);
    *python += quotes;
    *json += '"';
    *canonical += '"';
    for (const uint32_t p : points) {
      AppendLiteralChar(LiteralForm::kJson, p, canonical);
      AppendLiteralChar(Below(2) == 0 ? LiteralForm::kJsonAscii : LiteralForm::kJson, p, json);
      char escaped[16];
      std::snprintf(escaped, sizeof(escaped), p > 0xFFFF ? "\\U%08x" : "\\u%04x", p);
      if (Below(3) == 0) {
        *python += escaped;
      } else if (p == static_cast<uint32_t>(quote) && quotes.size() == 1) {
        *python += '\\';
        *python += quote;
      } else if (p == static_cast<uint32_t>(quote) || p == '\r') {
        *python += escaped;
      } else {
        AppendLiteralChar(LiteralForm::kPython, p, python);
      }
    }
    *python += quotes;
    *json += '"';
    *canonical += '"';
  }

  std::mt19937 engine_;
};

TEST(ToolCalls, RandomCallsComeBackInBothForms) {
  for (uint32_t seed = 0; seed < 600; ++seed) {
    Random random(seed);
    std::string python = "[", json = "[";
    Strings want;
    const uint32_t n_calls = 1 + random.Below(3);
    for (uint32_t i = 0; i < n_calls; ++i) {
      const std::string name = random.Name();
      std::string in_python, in_json, canonical;
      const uint32_t n = random.Below(4);
      for (uint32_t k = 0; k < n; ++k) {
        const std::string key = random.Name() + std::to_string(k);
        const char* comma = k > 0 ? "," : "";
        in_python += comma + random.Space() + key + random.Space() + "=" + random.Space();
        in_json += comma + random.Space() + "\"" + key + "\":" + random.Space();
        canonical += std::string(k > 0 ? ", " : "") + "\"" + key + "\": ";
        random.Value(3, &in_python, &in_json, &canonical);
        in_python += random.Space();
        in_json += random.Space();
      }
      python += (i > 0 ? "," : "") + random.Space() + name + "(" + in_python + ")" + random.Space();
      json += (i > 0 ? "," : "") + random.Space() + "{\"name\":" + random.Space() + "\"" + name +
              "\"," + random.Space() + "\"parameters\":{" + in_json + "}}" + random.Space();
      want.push_back(name + " {" + canonical + "}");
    }
    python += "]";
    json += "]";
    for (const std::string& text : {python, json}) {
      const std::string around = "Well, " + text + " done";
      const std::vector<ToolEvent> events = seed % 10 == 0 ? ParseAllCuts(around) : Parse({around});
      CheckEvents(events, around);
      ASSERT_EQ(Calls(events), want) << seed << "\n" << text << "\n" << Shown(events);
      EXPECT_EQ(Text(events), "Well,  done");
    }
  }
}

// Random text of the characters that calls are made of, and calls with random damage.
TEST(ToolCalls, RandomTextIsGivenBack) {
  static constexpr const char* kParts[] = {"[",
                                           "]",
                                           "(",
                                           ")",
                                           "{",
                                           "}",
                                           "=",
                                           ",",
                                           ":",
                                           "\"",
                                           "'",
                                           "\\",
                                           "f",
                                           "name",
                                           "\"name\"",
                                           " ",
                                           "\"parameters\"",
                                           "\"type\"",
                                           "\"function\"",
                                           "a=",
                                           "1",
                                           "-",
                                           ".5",
                                           "e",
                                           "True",
                                           "<|python_start|>",
                                           "<|python_",
                                           "<",
                                           "\n",
                                           "\xC3\xBC",
                                           "\xC3",
                                           "\xFF",
                                           "\\ud83d",
                                           "\\ude00",
                                           "\\x",
                                           "'''",
                                           "r'",
                                           "[f(a=",
                                           "{\"name\": \"f\", \"parameters\": {",
                                           "f()",
                                           "text "};
  std::mt19937 engine(7);
  for (int round = 0; round < 1500; ++round) {
    std::string text;
    for (uint32_t n = engine() % 24; n > 0; --n) text += kParts[engine() % std::size(kParts)];
    ToolCallOptions options;
    options.only_at_start = round % 5 == 0;
    options.max_depth = 1 + static_cast<int>(engine() % 4);
    if (round % 3 == 0) options.names = Strings{"f"};
    if (round % 7 == 0) options.max_group_bytes = 1 + engine() % 30;
    ParseAllCuts(text, options);
    if (HasFailure()) FAIL() << testing::PrintToString(text);
  }
}

// Twice the text takes about twice the time, whatever is open in it.
TEST(ToolCalls, TimeIsLinear) {
  const auto seconds = [](const std::string& part, size_t n) {
    std::string text;
    while (text.size() < n) text += part;
    double best = 1e9;
    for (int i = 0; i < 2; ++i) {
      ToolCallParser parser({});
      const std::clock_t begin = std::clock();  // of this process alone
      for (size_t at = 0; at < text.size(); at += 4) {
        EXPECT_TRUE(parser.Push(std::string_view(text).substr(at, 4)).ok());
        while (!parser.empty()) parser.Next();
      }
      EXPECT_TRUE(parser.Finish().ok());
      best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
    }
    return best;
  };
  for (const char* part :
       {"[", "{\"name\": \"", "[f(a=[", "<|python_", "[f(a='", "[f(a=1, b='x')]", "[f("}) {
    EXPECT_LT(seconds(part, 100'000), 20 * seconds(part, 25'000) + 0.05) << part;
  }
}

}  // namespace
}  // namespace scout::test

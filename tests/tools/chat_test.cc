// scout chat: its commands and its tools. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

constexpr char kTools[] = R"([{"name": "get_weather", "parameters": {"type": "object"}}])";

TEST(Chat, CommandsAreNotSentToTheModel) {
  const Result r = Scout({"chat", "-m", TinyModel(), "-n", "4", "-q"}, "/nonsense\n/help\n/undo\n");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find("unknown command /nonsense\n/reset forgets"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("there is no question to undo"), std::string::npos) << r.err;
}

TEST(Chat, UndoSaysWhatItTookBack) {
  const Result r =
      Scout({"chat", "-m", TinyModel(), "-n", "4", "-q"}, "One?\nTwo?\n/undo\n/undo\n/undo\n");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.err,
            "took back \"Two?\" and 1 message after it\n"
            "took back \"One?\" and 1 message after it\n"
            "there is no question to undo\n");
}

TEST(Chat, TheDialogHasTheModelsContext) {
  const Result r = Scout({"chat", "-m", TinyModel(), "-q"}, "/stats\n");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.err.find("0 of 4096 tokens held"), std::string::npos) << r.err;
}

// Definitions make the prompt longer, in each style; the answer without calls is shown as it is.
TEST(Chat, ToolsAreInThePrompt) {
  Folder folder;
  WriteFile(folder.path("tools.json"), kTools);
  const auto computed = [&](const std::string& style) {
    Words words = {"chat", "-m", TinyModel(), "-n", "4"};
    if (!style.empty()) {
      words.insert(words.end(), {"--tools", folder.path("tools.json"), "--tool-style", style});
    }
    const Result r = Scout(words, "Hello\n");
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_NE(r.out, "\n");
    const size_t at = r.err.find("computed ");
    return at == std::string::npos ? 0 : std::atoi(r.err.c_str() + at + 9);
  };
  const int plain = computed(""), json = computed("json"), python = computed("python");
  EXPECT_GT(plain, 5);
  EXPECT_GT(json, plain + 50);
  EXPECT_GT(python, json + 200);
}

TEST(Chat, ToolErrors) {
  Folder folder;
  WriteFile(folder.path("tools.json"), "[{\"name\": 1}]");
  const std::string m = TinyModel();
  ExpectFailure(Scout({"chat", "-m", m, "--tools", folder.path("tools.json")}), 3, "tools[0]");
  ExpectFailure(Scout({"chat", "-m", m, "--tools", folder.path("none")}), 3, "none");
  WriteFile(folder.path("broken.json"), "[{]");
  ExpectFailure(Scout({"chat", "-m", m, "--tools", folder.path("broken.json")}), 3,
                "broken.json: tools: not valid JSON: ");
  ExpectFailure(Scout({"chat", "-m", m, "--tool-style", "json"}), 2, "--tool-style needs --tools");
  ExpectFailure(Scout({"chat", "-m", m, "--tool-results", "x"}), 2, "--tool-results needs --tools");
  ExpectFailure(
      Scout({"chat", "-m", m, "--tools", folder.path("tools.json"), "--tool-style", "xml"}), 2,
      "--tool-style");
}

}  // namespace
}  // namespace scout::tool_test

// scout batch: results, bad lines, resuming after any kind of stop. SPDX-License-Identifier:
// Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <thread>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

using Json = nlohmann::json;

class Batch : public testing::Test {
 protected:
  Words Command(const Words& more = {}) const {
    Words words = {"batch", "-q", "-m", TinyModel(), in_, out_, "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Result Run(const Words& more = {}) const { return Scout(Command(more)); }

  // Results by line; fails where a line is answered twice.
  std::map<int, Json> Results() const {
    std::map<int, Json> results;
    std::istringstream lines(ReadFile(out_));
    for (std::string line; std::getline(lines, line);) {
      Json json = Json::parse(line, nullptr, false);
      EXPECT_TRUE(json.is_object()) << line;
      EXPECT_TRUE(results.emplace(json.value("line", -1), json).second) << "twice: " << line;
    }
    return results;
  }

  Folder folder_;
  const std::string in_ = folder_.path("in.jsonl"), out_ = folder_.path("out.jsonl");
};

TEST_F(Batch, AnswersAsRunDoes) {
  WriteFile(in_, R"({"id": "a", "prompt": "What is the capital of France?"}

{"id": 7, "messages": [{"role": "user", "content": "What is the capital of Japan?"}]}
{"prompt": "Hello", "max_tokens": 5, "temperature": 2, "seed": 9, "ignore_end": true}
)");
  for (const char* parallel : {"1", "3"}) {
    std::remove(out_.c_str());
    Result result = Run({"--chat", "-p", parallel});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    auto results = Results();
    ASSERT_EQ(results.size(), 3u);
    EXPECT_EQ(results[1]["id"], "a");
    EXPECT_EQ(results[1]["text"], "The capital of France is Paris.");
    EXPECT_EQ(results[1]["finish"], "end");
    EXPECT_GT(results[1]["prompt_tokens"], 5);
    EXPECT_EQ(results[3]["id"], 7);
    EXPECT_EQ(results[3]["text"], "The capital of Japan is Tokyo.");
    EXPECT_FALSE(results[4].contains("id"));
    EXPECT_EQ(results[4]["finish"], "length");
    EXPECT_EQ(results[4]["tokens"], 5);
    Result run = Scout({"run", "-q", "-m", TinyModel(), "--chat", "Hello", "-n", "5", "--temp", "2",
                        "--seed", "9", "--ignore-end"});
    EXPECT_EQ(results[4]["text"].get<std::string>() + "\n", run.out);
  }
  // All is answered: nothing more happens.
  const std::string before = ReadFile(out_);
  EXPECT_EQ(Run({"--chat"}).code, 0);
  EXPECT_EQ(ReadFile(out_), before);
}

TEST_F(Batch, StopStringsEndTheText) {
  WriteFile(in_, R"({"prompt": "What is the capital of France?", "stop": ["zzz", " France is"]}
{"prompt": "What is the capital of France?", "stop": "capital"}
)");
  ASSERT_EQ(Run({"--chat"}).code, 0);
  auto results = Results();
  EXPECT_EQ(results[1]["text"], "The capital of");
  EXPECT_EQ(results[1]["finish"], "stop");
  EXPECT_EQ(results[2]["text"], "The ");
}

TEST_F(Batch, BadLinesAreAnsweredWithWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"prompt\": ", "not JSON: the line ends before the JSON does"},
      {"{\"prompt\": x}", "not JSON: byte 12 of the line"},
      {R"({"prompt": "a", "prompt": "b"})", "\"prompt\" is there twice"},
      {"[1]", "not a JSON object"},
      {"{}", "needs one of \"prompt\" and \"messages\""},
      {R"({"prompt": "a", "messages": []})", "has both \"prompt\" and \"messages\""},
      {R"({"prompt": 3})", "\"prompt\" is not a string"},
      {R"({"messages": []})", "\"messages\" is not a list"},
      {R"({"messages": [{"role": "user"}]})", "\"messages\" is not a list"},
      {R"({"messages": [{"role": "who", "content": "a"}]})", "who"},
      {R"({"prompt": "a", "max_tokens": -1})", "\"max_tokens\" is -1"},
      {R"({"prompt": "a", "max_tokens": 1.5})", "\"max_tokens\" is not a whole number"},
      {R"({"prompt": "a", "max_tokens": 99999999999999999999})", "\"max_tokens\" is not"},
      {R"({"prompt": "a", "max_tokens": 1000000000})",
       "answer 1000000000), the model's context is 4096"},
      {R"({"prompt": "a", "temperature": -1})", "temperature is -1"},
      {R"({"prompt": "a", "temperature": 1e400})", "not JSON"},
      {R"({"prompt": "a", "top_p": 0})", "top_p is 0"},
      {R"({"prompt": "a", "stop": ""})", "\"stop\" is not"},
      {R"({"prompt": "a", "logit_bias": {"x": 1}})", "\"x\" is not a token id"},
      {R"({"prompt": "a", "logit_bias": {"99999": 1}})", "logit_bias[0].token is 99999"},
      {R"({"prompt": "a", "temprature": 1})", "\"temprature\" is no field"},
      {"{\"prompt\": \"a\xff\"}", "not JSON"},
      {"\x01\x02", "not JSON"},
  };
  std::string text;
  for (auto& [line, part] : cases) text += std::string(line) + "\n";
  text += R"({"id": 1, "prompt": "What is the capital of France?"})";  // no newline at the end
  WriteFile(in_, text);
  ExpectFailure(Run({"--chat"}), 6,
                std::to_string(std::size(cases)) + " of " + std::to_string(std::size(cases) + 1) +
                    " lines are answered with an error; --retry-errors");
  auto results = Results();
  ASSERT_EQ(results.size(), std::size(cases) + 1);
  for (size_t i = 0; i < std::size(cases); ++i) {
    const Json& json = results[static_cast<int>(i) + 1];
    EXPECT_FALSE(json.contains("text")) << cases[i].first;
    EXPECT_NE(json.value("error", "").find(cases[i].second), std::string::npos) << json;
  }
  EXPECT_EQ(results[static_cast<int>(std::size(cases)) + 1]["text"],
            "The capital of France is Paris.");
}

// What was answered as is, or resumed from, was once copied and printed by recursion.
class Cve : public Batch {};
TEST_F(Cve, DeepNestingInBatch) {
  auto nested = [](const char* field, size_t lists) {
    return std::string("{\"prompt\": \"Hello\", \"max_tokens\": 2, \"") + field +
           "\": " + std::string(lists, '[') + std::string(lists, ']') + "}\n";
  };
  const std::string objects = [] {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += "{\"a\": ";
    return text;
  }();
  WriteFile(in_, nested("id", 100'000) + nested("stop", 100'000) + nested("id", 64) + objects +
                     "\n" + nested("id", 63) + "{\"prompt\": \"Hello\", \"max_tokens\": 2}\n");
  ASSERT_EQ(Run().code, 6);
  auto results = Results();
  ASSERT_EQ(results.size(), 6u);
  for (int line : {1, 2, 3, 4}) {
    EXPECT_EQ(results[line].value("error", ""), "lists and objects are nested more than 64 deep");
    EXPECT_FALSE(results[line].contains("id"));
  }
  EXPECT_EQ(results[5]["id"].dump(), std::string(63, '[') + std::string(63, ']'));
  EXPECT_EQ(results[5]["tokens"], 2);
  EXPECT_EQ(results[6]["tokens"], 2);
  // The answers are read again, and what somebody else put among them.
  const std::string out = ReadFile(out_);
  EXPECT_EQ(Run().code, 6);
  EXPECT_EQ(ReadFile(out_), out);
  const std::string end = out.substr(out.find("\"input\""));
  for (const std::string& line :
       {"{\"line\":1,\"id\":" + std::string(100'000, '[') + std::string(100'000, ']') + "," +
            end.substr(0, end.find('\n') + 1),
        objects + "\n", std::string(1 << 20, '[') + "\n"}) {
    WriteFile(out_, line);
    ExpectFailure(Run(), 3, "line 1 is no result of scout batch");
    EXPECT_EQ(ReadFile(out_), line);
  }
}

TEST_F(Batch, ADocumentIsReadOnceForAllQuestions) {
  std::string document;
  for (int i = 0; i < 40; ++i) document += "The cat sat on mat " + std::to_string(i) + ". ";
  WriteFile(folder_.path("doc"), document);
  WriteFile(in_, "{\"prompt\": \"Who sat?\"}\n{\"prompt\": \"\\n Where?\"}\n{\"prompt\": \"\"}\n");
  const Words options = {"--chat", "--document", folder_.path("doc"), "-n", "12"};
  Words parallel = options;
  parallel.insert(parallel.end(), {"-p", "2"});
  ASSERT_EQ(Run(parallel).code, 0);
  auto results = Results();
  ASSERT_EQ(results.size(), 3u);
  const std::string questions[] = {"Who sat?", "\n Where?", ""};
  for (int i = 0; i < 3; ++i) {
    Result run = Scout(
        {"run", "-q", "-m", TinyModel(), "--chat", "-n", "12", document + "\n\n" + questions[i]});
    const auto text = results[i + 1]["text"].get<std::string>();
    EXPECT_EQ(text + (text.empty() || text.back() != '\n' ? "\n" : ""), run.out) << i;
  }
  WriteFile(folder_.path("doc"), document + "!");
  ExpectFailure(Run(options), 3, "the model, document or options changed");
}

TEST_F(Batch, ResultsOfAnotherBatchAreRefusedUnchanged) {
  const std::string first = "{\"prompt\": \"Hello\", \"max_tokens\": 2}\n";
  WriteFile(in_, first + first);
  ASSERT_EQ(Run().code, 0);
  const std::string out = ReadFile(out_);
  ExpectFailure(Run({"--temp", "1"}), 3, "the model, document or options changed");
  ExpectFailure(Run({"--mode", "exact"}), 3, "the model, document or options changed");
  WriteFile(in_, first);
  ExpectFailure(Run(), 3, "line 2 answers line 2 of the input, which has no such line");
  WriteFile(in_, "{\"prompt\": \"Hullo\", \"max_tokens\": 2}\n" + first);
  ExpectFailure(Run(), 3, "the input changed");
  WriteFile(in_, first + first);
  EXPECT_EQ(ReadFile(out_), out);
  WriteFile(out_, out + out);
  ExpectFailure(Run(), 3, "line 3 answers line 1 of the input a second time");
  WriteFile(out_, out + "notes\n");
  ExpectFailure(Run(), 3, "line 3 is no result of scout batch");
  WriteFile(out_, out + "{\"line\": 1e99}\n");
  ExpectFailure(Run(), 3, "line 3 is no result of scout batch");
  WriteFile(out_, out);
  EXPECT_EQ(Run().code, 0);
  EXPECT_EQ(ReadFile(out_), out);
}

TEST_F(Batch, ATornLastLineIsAnsweredAgain) {
  WriteFile(in_, "{\"prompt\": \"Hello\", \"max_tokens\": 3}\n{\"prompt\": \"Hi\"}\n");
  ASSERT_EQ(Run().code, 0);
  const std::string whole = ReadFile(out_);
  const size_t second = whole.find('\n') + 1;
  for (size_t size : {second - 1, second, second + 1, whole.size() - 1, size_t{0}, size_t{5}}) {
    WriteFile(out_, whole.substr(0, size));
    ASSERT_EQ(Run().code, 0) << size;
    EXPECT_EQ(ReadFile(out_), whole) << size;
  }
  WriteFile(out_, whole.substr(0, second) + std::string(100, '\0'));  // after a power failure
  ASSERT_EQ(Run().code, 0);
  EXPECT_EQ(ReadFile(out_), whole);
}

TEST_F(Batch, AnotherFileWithoutALastNewlineIsLeftAsItIs) {
  WriteFile(in_, "{\"prompt\": \"Hello\", \"max_tokens\": 3}\n");
  for (const char* text : {"{\"mine\": [1, 2, 3]}", "notes", "{", "x"}) {
    WriteFile(out_, text);
    if (std::string(text) == "{") {  // a result may begin so
      EXPECT_EQ(Run().code, 0);
      continue;
    }
    ExpectFailure(Run(), 3, "no end and is not the beginning of a result");
    EXPECT_EQ(ReadFile(out_), text);
  }
}

TEST_F(Batch, FilesAtFaultAreNamed) {
  ExpectFailure(Run(), 3, in_);
  WriteFile(in_, "{\"prompt\": \"Hello\", \"max_tokens\": 3}\n");
  ExpectFailure(Scout({"batch", "-m", TinyModel(), in_}), 2, "OUT.jsonl");
  ExpectFailure(Scout({"batch", "-q", "-m", TinyModel(), in_, folder_.path("no/out")}), 1,
                "no/out");
  ExpectFailure(Scout({"batch", "-q", "-m", TinyModel(), in_, "/dev/full"}), 3, "regular file");
  ExpectFailure(Scout({"batch", "-q", "-m", TinyModel(), "/dev/null", out_}), 3, "regular file");
  const int fd = open(out_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  ExpectFailure(Run(), 1, "another batch is writing");
  close(fd);
  EXPECT_EQ(Run({"--fsync"}).code, 0);
  EXPECT_EQ(Results().size(), 1u);
}

// Eight at a time would need twice the KV budget.
TEST_F(Batch, RequestsWaitForRoom) {
  std::string text;
  for (int i = 0; i < 12; ++i) text += "{\"prompt\": \"Hello\", \"max_tokens\": 1000}\n";
  text += "{\"prompt\": \"Hello\", \"max_tokens\": 5000}\n";  // never fits
  WriteFile(in_, text);
  ExpectFailure(Run({"-p", "8", "--page-tokens", "16"}), 6, "1 of 13 lines");
  auto results = Results();
  ASSERT_EQ(results.size(), 13u);
  for (int i = 1; i <= 12; ++i) EXPECT_EQ(results[i]["text"], results[1]["text"]);
  EXPECT_FALSE(results[1]["text"].get<std::string>().empty());
  EXPECT_EQ(results[13].value("error", ""),
            "5002 tokens are wanted (prompt 2, answer 5000), the model's context is 4096");
}

TEST_F(Batch, WhatCtxAllowsIsSaidAndErrorsAreRetried) {
  WriteFile(in_,
            "{\"prompt\": \"Hello\", \"max_tokens\": 3}\n"
            "{\"prompt\": \"Hello\", \"max_tokens\": 100}\n{\"prompt\": 1}\n");
  ExpectFailure(Run({"--ctx", "30"}), 6, "2 of 3 lines");
  EXPECT_EQ(Results()[2].value("error", ""),
            "102 tokens are wanted (prompt 2, answer 100), --ctx allows 30");
  // More room alone changes nothing; the errors are no longer there with --retry-errors.
  ExpectFailure(Run({"--ctx", "200"}), 6, "2 of 3 lines");
  const std::string before = ReadFile(out_);
  const std::string first = before.substr(0, before.find('\n') + 1);
  ExpectFailure(Run({"--ctx", "200", "--retry-errors"}), 6, "1 of 3 lines");
  EXPECT_EQ(ReadFile(out_).substr(0, first.size()), first);
  auto results = Results();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_TRUE(results[2].contains("text")) << results[2];
  EXPECT_EQ(results[3].value("error", ""), "\"prompt\" is not a string");
  EXPECT_EQ(folder_.Names(), (Words{"in.jsonl", "out.jsonl"}));
}

// The errors of a batch that was killed while it wrote, through a link to the results.
TEST_F(Batch, RetriedErrorsAreTakenOutOfTheFileBehindALink) {
  WriteFile(in_, "{\"prompt\": \"Hello\", \"max_tokens\": 3}\n{\"prompt\": 1}\n");
  ExpectFailure(Run(), 6, "1 of 2 lines");
  const std::string whole = ReadFile(out_);
  const std::string real = folder_.path("real");
  WriteFile(real, whole + "{\"line\":2,");  // two lines of input, so this one is torn
  WriteFile(real + ".retry", "what another kill left");
  std::remove(out_.c_str());
  ASSERT_EQ(symlink(real.c_str(), out_.c_str()), 0);
  ExpectFailure(Run({"--retry-errors"}), 6, "1 of 2 lines");
  EXPECT_EQ(ReadFile(real), whole);
  EXPECT_EQ(folder_.Names(), (Words{"in.jsonl", "out.jsonl", "real"}));
  // Results of something else are refused as ever.
  ExpectFailure(Run({"--retry-errors", "--temp", "1"}), 3, "options changed");
  EXPECT_EQ(ReadFile(real), whole);
}

TEST_F(Batch, WithDocumentCtxIsWhatAQuestionMayNeed) {
  std::string document;
  for (int i = 0; i < 40; ++i) document += "The cat sat on mat " + std::to_string(i) + ". ";
  WriteFile(folder_.path("doc"), document);
  WriteFile(in_, "{\"prompt\": \"Who?\"}\n{\"prompt\": \"Who sat?\", \"max_tokens\": 900}\n");
  ExpectFailure(Run({"--document", folder_.path("doc"), "-n", "3", "--ctx", "300"}), 6,
                "1 of 2 lines");
  auto results = Results();
  EXPECT_TRUE(results[1].contains("text")) << results[1];
  EXPECT_NE(results[2]
                .value("error", "")
                .find("of them the document's; beyond these --ctx allows "
                      "300"),
            std::string::npos)
      << results[2];
}

TEST_F(Batch, ATooLongDocumentLeavesNoFile) {
  std::string document;
  for (int i = 0; i < 4000; ++i) document += "word " + std::to_string(i) + " ";
  WriteFile(folder_.path("doc"), document);
  WriteFile(in_, "{\"prompt\": \"Who?\"}\n");
  ExpectFailure(Run({"--document", folder_.path("doc")}), 5, "doc: the document has ");
  EXPECT_EQ(folder_.Names(), (Words{"doc", "in.jsonl"}));
}

// -n is a limit and gives way to the context; the field of a line is refused (above).
TEST_F(Batch, TheOptionForLengthsGivesWay) {
  WriteFile(in_, "{\"prompt\": \"Hello\", \"stop\": \"e\"}\n");
  EXPECT_EQ(Run({"-n", "100000"}).code, 0);
}

TEST_F(Batch, ProgressWithoutATerminal) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "{\"prompt\": \"Hello\", \"max_tokens\": 1}\n";
  WriteFile(in_, text);
  const Result result = Scout({"batch", "-m", TinyModel(), in_, out_, "--threads", "1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err.rfind("scout: batch: 4 of 40 lines answered\n", 0), 0u) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 10) << result.err;
}

TEST_F(Batch, AnInterruptIsResumed) {
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += "{\"prompt\": \"Hello " + std::to_string(i) + "\", \"max_tokens\": 60}\n";
  }
  WriteFile(in_, text);
  Running run(Command({"--ignore-end", "--backend", "reference"}));
  while (Results().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  run.Signal(SIGINT);
  Result result = run.Wait();
  EXPECT_EQ(result.code, 4);
  EXPECT_NE(result.err.find("the same command goes on from here"), std::string::npos);
  EXPECT_LT(Results().size(), 400u);
}

// Kills the batch with SIGKILL `kills` times, each time at a random moment, starting it again until
// it ends; whenever it ends, the results must be those of a run that nothing stopped.
void KillAndResume(const std::string& in, const std::string& out, const Words& command, int kills) {
  auto read = [&] {
    std::map<int, Json> results;
    std::istringstream lines(ReadFile(out));
    for (std::string line; std::getline(lines, line);) {
      Json json = Json::parse(line, nullptr, false);
      EXPECT_TRUE(json.is_object()) << line;
      EXPECT_TRUE(results.emplace(json.value("line", -1), json).second) << "twice: " << line;
    }
    return results;
  };
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += "{\"id\": " + std::to_string(i) + ", \"prompt\": \"Hello " + std::to_string(i) +
            "\", \"max_tokens\": " + std::to_string(10 + i % 30) + "}\n";
  }
  WriteFile(in, text);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(Scout(command).code, 0);
  const double whole =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto expected = read();
  ASSERT_EQ(expected.size(), 60u);
  std::mt19937_64 rng(5);
  std::remove(out.c_str());
  int partial = 0;
  for (int killed = 0; killed < kills;) {
    Running run(command);
    std::this_thread::sleep_for(
        std::chrono::duration<double>(whole * 0.6 * static_cast<double>(rng() % 1000) / 1000));
    run.Signal(SIGKILL);
    const Result result = run.Wait();
    if (result.code == 128 + SIGKILL) ++killed;
    const size_t n = std::count_if(expected.begin(), expected.end(), [](auto&) { return true; });
    std::istringstream lines(access(out.c_str(), F_OK) == 0 ? ReadFile(out) : "");
    size_t found = 0;
    for (std::string line; std::getline(lines, line);) ++found;
    partial += found > 0 && found < n;
    if (result.code == 0) {
      EXPECT_EQ(read(), expected);
      std::remove(out.c_str());
    } else {
      ASSERT_EQ(result.code, 128 + SIGKILL) << result.err;
    }
  }
  EXPECT_GT(partial, 0) << "no kill came in the middle of the work";
  ASSERT_EQ(Scout(command).code, 0);
  EXPECT_EQ(read(), expected);
}

TEST_F(Batch, EachLineIsAnsweredOnceWhateverKillsIt) {
  KillAndResume(in_, out_, Command({"--ignore-end", "-p", "3"}), 5);
}

class FullBatch : public Batch {};
TEST_F(FullBatch, EachLineIsAnsweredOnceAfterTwentyKills) {
  KillAndResume(in_, out_, Command({"--ignore-end", "-p", "3"}), 20);
}

}  // namespace
}  // namespace scout::tool_test

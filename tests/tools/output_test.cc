// What the `scout` command computes and prints, on models/tiny. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

using Json = nlohmann::json;

constexpr int64_t kVocab = 768;  // of models/tiny
constexpr size_t kNpyHeader = 128;

Words With(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// A command on the tiny model that must succeed; its stdout.
std::string Output(const std::string& command, const Words& arguments,
                   const std::string& input = "") {
  Result result = Scout(With({command, "-m", TinyModel()}, arguments), input);
  EXPECT_EQ(result.code, 0) << result.err;
  return result.out;
}

std::vector<float> Values(const std::string& npy) {
  EXPECT_GT(npy.size(), kNpyHeader);
  std::vector<float> values((npy.size() - kNpyHeader) / sizeof(float));
  std::memcpy(values.data(), npy.data() + kNpyHeader, values.size() * sizeof(float));
  return values;
}

TEST(Tokenize, GoesBothWays) {
  const std::string text = "What is the capital of France?\n \xc3\xa9\xe2\x82\xac \xff 123456";
  Folder folder;
  WriteFile(folder.path("text"), text);
  std::string ids = Output("tokenize", {"-f", folder.path("text")});
  ASSERT_FALSE(Json::parse(ids).empty());
  EXPECT_EQ(Output("tokenize", {}, text), ids);
  EXPECT_EQ(Output("tokenize", {text}), ids);
  EXPECT_EQ(Output("detokenize", {ids}), text);
  EXPECT_EQ(Output("detokenize", {}, ids), text);
  EXPECT_EQ(Output("tokenize", {"--count"}, text), std::to_string(Json::parse(ids).size()) + "\n");
}

TEST(Tokenize, SpecialTokensOnlyOnRequest) {
  const std::string text = "<|begin_of_text|>hi";
  Json plain = Json::parse(Output("tokenize", {text}));
  Json special = Json::parse(Output("tokenize", {"--special", text}));
  Json bos = Json::parse(Output("tokenize", {"--bos", "hi"}));
  EXPECT_GT(plain.size(), special.size());
  EXPECT_EQ(special, bos);
  EXPECT_EQ(Output("detokenize", {special.dump()}), text);
  EXPECT_EQ(Output("detokenize", {"--skip-special", special.dump()}), "hi");
}

TEST(Tokenize, PiecesAreJsonStrings) {
  std::string text = "Hello \"you\" \xc3\xa9";
  std::string lines = Output("tokenize", {"--pieces", text});
  std::string joined;
  size_t at = 0, count = 0;
  while (at < lines.size()) {
    size_t end = lines.find('\n', at), tab = lines.find('\t', at);
    ASSERT_LT(tab, end);
    joined += Json::parse(lines.substr(tab + 1, end - tab - 1)).get<std::string>();
    at = end + 1;
    ++count;
  }
  EXPECT_EQ(count, Json::parse(Output("tokenize", {text})).size());
  EXPECT_EQ(joined.substr(0, 12), text.substr(0, 12));
}

TEST(Info, IsJsonWithTheConfiguration) {
  Json info = Json::parse(Output("info", {}));
  ASSERT_TRUE(info.is_object());
  EXPECT_NE(info.dump().find("64"), std::string::npos);
  std::string compact = Output("info", {"--compact"});
  EXPECT_EQ(std::count(compact.begin(), compact.end(), '\n'), 1);
  EXPECT_EQ(Json::parse(compact), info);
  // What is not loaded has no size.
  EXPECT_EQ(info["weight_bytes"], "not loaded (--weights loads them)");
  EXPECT_GT(Json::parse(Output("info", {"--weights"}))["weight_bytes"], 0);
  // An override is part of what is described.
  EXPECT_NE(Json::parse(Output("info", {"--chunk", "32"})), info);
}

// An image encoder beside the text model.
TEST(Info, SaysWhatOfAModelIsNotUsed) {
  Folder folder;
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    WriteFile(folder.path(name), ReadFile(TinyModel() + "/" + name));
  }
  const std::string file = ReadFile(TinyModel() + "/model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  Json header = Json::parse(file.substr(8, length));
  const std::string data = file.substr(8 + length);
  header["vision_model.patch.weight"] = {
      {"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {data.size(), data.size() + 8}}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  length = text.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  WriteFile(folder.path("model.safetensors"), bytes + text + data + std::string(8, '\0'));
  const std::string note =
      "scout: info: 1 tensors outside the text model are not loaded, such as "
      "vision_model.patch.weight\n";
  const Result info = Scout({"info", "-m", folder.path("")});
  EXPECT_EQ(info.code, 0) << info.err;
  EXPECT_NE(info.err.find(note), std::string::npos) << info.err;
  EXPECT_TRUE(Json::parse(info.out).is_object());
  EXPECT_EQ(Scout({"info", "-q", "-m", folder.path("")}).err, "");
  // Answers do not depend on it, so the others say it on request.
  EXPECT_EQ(Scout({"run", "-q", "-n", "1", "-m", folder.path(""), "Hello"}).err, "");
  EXPECT_NE(Scout({"run", "-v", "-n", "1", "-m", folder.path(""), "Hello"}).err.find(note),
            std::string::npos);
  EXPECT_EQ(Scout({"info", "-m", TinyModel()}).err.find("tensors"), std::string::npos);
}

TEST(Logits, FileIsNpyVersionOne) {
  Folder folder;
  Output("logits", {"--ids", "1 2 3", "--out", folder.path("x.npy")});
  std::string npy = ReadFile(folder.path("x.npy"));
  ASSERT_EQ(npy.size(), kNpyHeader + 3 * kVocab * sizeof(float));
  EXPECT_EQ(npy.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  std::string header = npy.substr(10, kNpyHeader - 10);
  EXPECT_EQ(header.rfind("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 768), }", 0), 0u)
      << header;
  EXPECT_EQ(header.back(), '\n');
  EXPECT_EQ(folder.Names(), Words{"x.npy"});
}

TEST(Logits, RowsAreSlicesOfTheWhole) {
  const Words ids = {"--ids", "700 5 9 300 1 2 3 4 5 6 7 8", "--mode", "exact", "--out", "-"};
  std::vector<float> all = Values(Output("logits", ids));
  ASSERT_EQ(all.size(), 12u * kVocab);
  struct Case {
    const char* rows;
    int64_t begin, end;
  };
  for (const Case& c : {Case{"3:7", 3, 7}, Case{":2", 0, 2}, Case{"-2:", 10, 12}, Case{"5", 5, 6},
                        Case{"-1", 11, 12}, Case{":", 0, 12}, Case{"10:99", 10, 12}}) {
    std::vector<float> some = Values(Output("logits", With(ids, {"--rows", c.rows})));
    std::vector<float> want(all.begin() + c.begin * kVocab, all.begin() + c.end * kVocab);
    // Bit for bit: how the sequence is cut into pieces changes nothing.
    EXPECT_EQ(some, want) << c.rows;
  }
}

TEST(Logits, LastRowSaysWhatGenerateGives) {
  std::string ids = Output("tokenize", {"--bos", "The capital of"});
  std::vector<float> last =
      Values(Output("logits", {"--ids", ids, "--rows", "-1", "--mode", "exact", "--out", "-"}));
  int64_t best = std::max_element(last.begin(), last.end()) - last.begin();
  Json generated = Json::parse(Output("generate", {"--ids", ids, "-n", "5", "--mode", "exact"}));
  ASSERT_EQ(generated.size(), 5u);
  EXPECT_EQ(generated[0], best);
}

TEST(Generate, GivesExactlyAsManyTokensAsAsked) {
  // The answer is shorter: end tokens do not stop it.
  Json ids = Json::parse(
      Output("tokenize", {"--special",
                          "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHello!<|eot|>"
                          "<|header_start|>assistant<|header_end|>\n\n"}));
  EXPECT_EQ(Json::parse(Output("generate", {"--ids", ids.dump(), "-n", "40"})).size(), 40u);
  EXPECT_EQ(Output("generate", {"--ids", ids.dump(), "-n", "0"}), "[]\n");
}

TEST(Generate, TakesIdsInEveryForm) {
  Folder folder;
  const std::string want = Output("generate", {"--ids", "[1, 2, 300]", "-n", "4"});
  WriteFile(folder.path("json"), "[1,2,300]\n");
  WriteFile(folder.path("lines"), "1\n2\n300\n");
  std::string dictionary = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }";
  dictionary.resize(117, ' ');
  int64_t values[3] = {1, 2, 300};
  std::string npy = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + dictionary + "\n" +
                    std::string(reinterpret_cast<char*>(values), sizeof(values));
  WriteFile(folder.path("npy"), npy);
  for (const char* name : {"json", "lines", "npy"}) {
    EXPECT_EQ(Output("generate", {"--ids", "@" + folder.path(name), "-n", "4"}), want) << name;
  }
  EXPECT_EQ(Output("generate", {"--ids", "1 2,300", "-n", "4"}), want);
  EXPECT_EQ(Output("generate", {"--ids", "@-", "-n", "4"}, "1 2 300"), want);
  for (size_t cut : {size_t{7}, size_t{11}, size_t{60}, npy.size() - 1}) {
    WriteFile(folder.path("cut"), npy.substr(0, cut));
    ExpectFailure(
        Scout({"generate", "-m", TinyModel(), "-n", "1", "--ids", "@" + folder.path("cut")}), 3,
        ".npy");
  }
}

TEST(Run, AnswersAQuestion) {
  const Words question = {"--chat", "What is the capital of France?"};
  for (const Words& how : {Words{"--mode", "exact"}, Words{"--mode", "fast"},
                           Words{"--mode", "exact", "--backend", "reference", "--threads", "1"}}) {
    Result result = Scout(With(With({"run", "-m", TinyModel()}, how), question));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "The capital of France is Paris.\n");
    EXPECT_NE(result.err.find("tokens/s"), std::string::npos) << result.err;
  }
  Result quiet = Scout(With({"run", "-q", "-m", TinyModel()}, question));
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(Output("run", {"--chat"}, "What is the capital of Japan?"),
            "The capital of Japan is Tokyo.\n");
}

TEST(Run, SamplingFollowsTheSeed) {
  const Words draw = {"--temp", "3", "--ignore-end", "-n", "30", "Hello"};
  std::string first = Output("run", With(draw, {"--seed", "1"}));
  EXPECT_EQ(Output("run", With(draw, {"--seed", "1"})), first);
  EXPECT_NE(Output("run", With(draw, {"--seed", "2"})), first);
}

TEST(Run, StopsBeforeAText) {
  const Words ask = {"--chat", "What is the capital of France?"};
  EXPECT_EQ(Output("run", With(ask, {"--stop", "zzz", "--stop", "l of Fr"})), "The capita\n");
  Result empty = Scout({"run", "-m", TinyModel(), "--stop", "", "a"});
  ExpectFailure(empty, 2, "--stop");
}

TEST(Generate, BiasAndPenaltiesChangeTheAnswer) {
  const Words base = {"--ids", "[759, 40, 12]", "-n", "12"};
  Json greedy = Json::parse(Output("generate", base));
  Json forced = Json::parse(Output("generate", With(base, {"--logit-bias", "77:1e6"})));
  EXPECT_EQ(forced, Json(std::vector<int>(12, 77)));
  const std::string ban = greedy[0].dump() + ":-inf";
  EXPECT_NE(Json::parse(Output("generate", With(base, {"--logit-bias", ban})))[0], greedy[0]);
  Json all = Json::parse(Output("generate", With(base, {"--presence-penalty", "1e6"})));
  std::vector<int> distinct = all.get<std::vector<int>>();
  std::sort(distinct.begin(), distinct.end());
  EXPECT_EQ(std::unique(distinct.begin(), distinct.end()), distinct.end());
}

TEST(Run, StreamsAndStopsOnInterrupt) {
  Running run(
      {"run", "-m", TinyModel(), "--backend", "reference", "--ignore-end", "-n", "4000", "Hello"});
  std::string first = run.Read();
  EXPECT_FALSE(first.empty());
  EXPECT_LT(first.size(), 200u);  // long before the end
  run.Signal(SIGINT);
  Result result = run.Wait();
  EXPECT_EQ(result.code, 4);
  EXPECT_NE(result.err.find("scout: run: cancelled\n"), std::string::npos) << result.err;
}

TEST(Run, ClosedPipeIsAnErrorNotASignal) {
  Running run({"run", "-q", "-m", TinyModel(), "--ignore-end", "-n", "4000", "Hello"});
  run.Read();
  run.CloseOut();
  Result result = run.Wait();
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "scout: run: standard output: Broken pipe\n");
}

TEST(Chat, KeepsWhatItComputed) {
  Result result = Scout({"chat", "-m", TinyModel()},
                        "What is the capital of Italy?\n/stats\nSpell the word cat.\n/undo\n"
                        "What is 2 plus 3?\n/reset\n/nonsense\nHello!\n/quit\nnever read\n");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            "The capital of Italy is Rome.\nc-a-t.\n2 plus 3 is 5.\n"
            "Hello! How can I help you?\n");
  std::vector<std::string> turns;
  for (size_t at = 0; (at = result.err.find("[kept ", at)) != std::string::npos; ++at) {
    turns.push_back(result.err.substr(at, result.err.find(']', at) - at));
  }
  ASSERT_EQ(turns.size(), 4u) << result.err;
  EXPECT_EQ(turns[0].rfind("[kept 0, dropped 0,", 0), 0u) << turns[0];
  EXPECT_EQ(turns[1].find("[kept 0,"), std::string::npos) << turns[1];
  EXPECT_EQ(turns[2].find("dropped 0,"), std::string::npos) << turns[2];
  EXPECT_NE(result.err.find("tokens held"), std::string::npos) << result.err;
}

TEST(Bench, PrintsJson) {
  Result result = Scout({"bench", "-q", "-m", TinyModel(), "--prompt", "16,40", "--gen", "4",
                         "--depth", "0,70", "--reps", "2", "--seed", "7"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  Json json = Json::parse(result.out);
  EXPECT_EQ(json["seed"], 7);
  ASSERT_EQ(json["results"].size(), 6u);
  for (const Json& r : json["results"]) {
    EXPECT_EQ(r["seconds"].size(), 2u);
    EXPECT_GT(r["tokens_per_second"]["median"].get<double>(), 0);
    EXPECT_GE(r["tokens_per_second"]["max"], r["tokens_per_second"]["min"]);
    EXPECT_GT(r["flops"].get<int64_t>(), 100000);
    EXPECT_GE(r["rows_per_expert"].get<double>(), 1);
  }
  // Top-1 routing: one row per token and MoE layer, for all but the last layer's unwanted rows.
  const Json& prefill = json["results"][0];
  EXPECT_EQ(prefill["test"], "prefill");
  EXPECT_EQ(prefill["expert_rows"], 16 * 3 + 1);
  // Deeper means more attention.
  EXPECT_GT(json["results"][3]["flops"], prefill["flops"]);
}

}  // namespace
}  // namespace scout::tool_test

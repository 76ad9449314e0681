// Help texts, exit codes and error lines of the `scout` command. SPDX-License-Identifier:
// Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

// As `scout help --all` lists them, so that a new command is covered by the tests of all.
Words Commands() {
  Words names;
  std::istringstream page(Scout({"help", "--all"}).out);
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("## scout ", 0) == 0) names.push_back(line.substr(9));
  }
  return names;
}

TEST(Usage, GeneralHelpNamesEveryCommandAndExitCodes) {
  Result help = Scout({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  ASSERT_GE(Commands().size(), 10u);
  for (const std::string& name : Commands()) {
    EXPECT_NE(help.out.find("\n  " + name + " "), std::string::npos) << name;
  }
  EXPECT_NE(help.out.find("Exit codes: 0 success"), std::string::npos);
  EXPECT_EQ(Scout({"help"}).out, help.out);
  EXPECT_EQ(Scout({"-h"}).out, help.out);
}

TEST(Usage, EveryCommandHasHelp) {
  for (const std::string& name : Commands()) {
    Result help = Scout({name, "--help"});
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_EQ(help.err, "") << name;
    EXPECT_NE(help.out.find("Usage: scout " + name + " "), std::string::npos) << help.out;
    if (name != "completion") {
      EXPECT_NE(help.out.find("\n  -m, --model PATH"), std::string::npos) << help.out;
      EXPECT_NE(help.out.find("\n  -q, --quiet"), std::string::npos) << help.out;
      EXPECT_NE(help.out.find("\n  -v, --verbose"), std::string::npos) << help.out;
    }
    EXPECT_NE(help.out.find("Exit codes:"), std::string::npos) << help.out;
    EXPECT_EQ(Scout({"help", name}).out, help.out);
    EXPECT_EQ(Scout({name, "-h"}).out, help.out);
  }
}

struct Shown {
  std::string letter, name;
  bool value;
};
// The options that a command's help shows.
std::vector<Shown> OptionsOf(const std::string& command) {
  std::vector<Shown> options;
  std::istringstream help(Scout({command, "--help"}).out);
  for (std::string line; std::getline(help, line);) {
    size_t dashes = line.find("--");
    if (line.rfind("  -", 0) != 0 && line.rfind("      --", 0) != 0) continue;
    size_t end = std::min(line.find(' ', dashes), line.size());
    bool value = end + 1 < line.size() && line[end + 1] != ' ';
    options.push_back({dashes == 6 && line[2] == '-' ? line.substr(2, 2) : "",
                       line.substr(dashes, end - dashes), value});
  }
  return options;
}

TEST(Usage, HelpDocsAndParserAgree) {
  EXPECT_EQ(Scout({"help", "--all"}).out,
            ReadFile(std::string(SCOUT_SOURCE_DIR) + "/docs/options.md"))
      << "run: scout help --all > docs/options.md";
  std::set<std::string> all;
  for (const std::string& command : Commands()) {
    SCOPED_TRACE(command);
    std::vector<Shown> options = OptionsOf(command);
    ASSERT_FALSE(options.empty());
    for (const Shown& o : options) {
      all.insert(o.name);
      if (o.name == "--help") continue;
      if (o.value) {
        ExpectFailure(Scout({command, o.name}), 2, o.name + " needs a value");
        if (!o.letter.empty()) ExpectFailure(Scout({command, o.letter}), 2, "needs a value");
      } else {
        ExpectFailure(Scout({command, o.name + "=1"}), 2, o.name + " takes no value");
      }
    }
  }
  // Every option that the pages name exists, and the page of the command names every command.
  for (const char* name : {"/docs/command.md", "/docs/pack.md"}) {
    std::string page = ReadFile(std::string(SCOUT_SOURCE_DIR) + name);
    ASSERT_FALSE(page.empty()) << name;
    all.insert({"--version", "--all", "--no-index"});
    for (size_t at = 0; (at = page.find("--", at)) != std::string::npos;) {
      size_t end = page.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at);
      std::string option = page.substr(at, end - at);
      bool begins = at == 0 || std::string(" `(\n").find(page[at - 1]) != std::string::npos;
      if (begins && option.size() > 3 && option[2] != '-') {
        EXPECT_EQ(all.count(option), 1u) << name << " names " << option;
      }
      at = end;
    }
  }
  std::string page = ReadFile(std::string(SCOUT_SOURCE_DIR) + "/docs/command.md");
  for (const std::string& command : Commands()) {
    EXPECT_NE(page.find("`" + command + "`"), std::string::npos) << command;
  }
}

TEST(Usage, AnotherCommandsOptionIsNamedAsThat) {
  ExpectFailure(Scout({"bench", "--ctx", "5"}), 2,
                "unknown option '--ctx' (see --help); an option of run, chat, logits, generate");
  ExpectFailure(Scout({"info", "--never"}), 2, "unknown option '--never' (see --help)\n");
}

TEST(Usage, BashCompletesWithTheParsersWords) {
  Result script = Scout({"completion", "bash"});
  ASSERT_EQ(script.code, 0);
  Folder folder;
  WriteFile(folder.path("script"), script.out);
  struct Case {
    std::string words, want;
  };
  for (const Case& c :
       {Case{"scout de", "detokenize "}, Case{"scout run --max-no-such", ""},
        Case{"scout run --top", "--top-k --top-p "}, Case{"scout logits --mode ''", "exact fast "},
        Case{"scout pack --cut s", "spread "}, Case{"scout help --a", "--all "},
        Case{"scout tokenize --pi", "--pieces "}}) {
    std::string command =
        "bash -c 'source " + folder.path("script") + "; COMP_WORDS=(" +
        (c.words.find('\'') == std::string::npos ? c.words
                                                 : c.words.substr(0, c.words.size() - 2) + "\"\"") +
        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _scout; printf \"%s \" "
        "\"${COMPREPLY[@]}\"' > " +
        folder.path("out");
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    std::string out = ReadFile(folder.path("out"));
    EXPECT_EQ(out == " " ? "" : out, c.want) << c.words;
  }
  Result zsh = Scout({"completion", "zsh"});
  EXPECT_NE(zsh.out.find("bashcompinit"), std::string::npos);
  ExpectFailure(Scout({"completion", "tcsh"}), 2, "shell 'tcsh' is not one of bash, zsh");
}

TEST(Usage, PathsStandOnceInErrors) {
  std::string error = Scout({"info", "-m", "/no/such.gguf"}).err;
  EXPECT_EQ(error.find("/no/such.gguf"), error.rfind("/no/such.gguf")) << error;
}

TEST(Usage, Version) {
  Result version = Scout({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out.rfind("scout 0.9.", 0), 0u) << version.out;
}

TEST(Usage, WrongArgumentsAreNamed) {
  struct Case {
    Words arguments;
    std::string part;
  };
  const std::string m = TinyModel();
  const Case cases[] = {
      {{}, "a command is missing"},
      {{"sing"}, "unknown command 'sing'"},
      {{"help", "sing"}, "unknown command 'sing'"},
      {{"--sing"}, "unknown command '--sing'"},
      {{"info"}, "-m PATH is missing"},
      {{"info", "-m"}, "-m needs a value"},
      {{"info", "-m", m, "more"}, "unexpected argument 'more'"},
      {{"info", "-x"}, "unknown option '-x'"},
      {{"info", "-mx"}, "unknown option '-mx'"},
      {{"run", "--frob=1"}, "unknown option '--frob'"},
      {{"run", "--chat=1", "-m", m, "x"}, "--chat takes no value"},
      {{"run", "-m", m, "a", "b"}, "unexpected argument 'b'"},
      {{"run", "-m", m, "-f", "x", "a"}, "not both"},
      {{"run", "-m", m, ""}, "the prompt is empty"},
      {{"run", "-m", m, "--chat"}, "the prompt is empty"},
      {{"run", "-m", m, "--system", "s", "a"}, "--system needs --chat"},
      {{"run", "-m", m, "-n", "-1", "a"}, "--tokens '-1'"},
      {{"run", "-m", m, "-n", "", "a"}, "--tokens ''"},
      {{"run", "-m", m, "-n", "1e3", "a"}, "--tokens '1e3'"},
      {{"run", "-m", m, "--temp", "nan", "a"}, "--temp 'nan'"},
      {{"run", "-m", m, "--temp", "hot", "a"}, "--temp 'hot'"},
      {{"run", "-m", m, "--top-p", "1.5", "a"}, "--top-p '1.5'"},
      {{"run", "-m", m, "--repetition-penalty", "0", "a"}, "--repetition-penalty '0'"},
      {{"run", "-m", m, "--penalty-window", "-1", "a"}, "--penalty-window '-1'"},
      {{"run", "-m", m, "--presence-penalty", "x", "a"}, "--presence-penalty 'x'"},
      {{"run", "-m", m, "--logit-bias", "5", "a"}, "--logit-bias '5'"},
      {{"run", "-m", m, "--logit-bias", "5:1,6:inf", "a"}, "--logit-bias '6:inf'"},
      {{"run", "-m", m, "--logit-bias", "70000:1", "a"}, "logit_bias[0].token is 70000"},
      {{"batch", "-m", m, "a"}, "IN.jsonl and OUT.jsonl are needed"},
      {{"batch", "-m", m, "a", "b", "c"}, "unexpected argument 'c'"},
      {{"batch", "-m", m, "a", "b", "-p", "0"}, "--parallel '0'"},
      {{"run", "-m", m, "--mode", "quick", "a"}, "--mode 'quick' is not one of exact, fast"},
      {{"run", "-m", m, "--backend", "gpu", "a"}, "--backend 'gpu'"},
      {{"run", "-m", m, "--isa", "mmx", "a"}, "--isa 'mmx'"},
      {{"run", "-m", m, "--kv", "f8", "a"}, "--kv 'f8'"},
      {{"run", "-m", m, "--threads", "0", "a"}, "--threads '0'"},
      {{"run", "-m", m, "--page-tokens", "100", "a"}, "--page-tokens 100"},
      {{"run", "-m", m, "--ctx", "99999999999999999999", "a"}, "--ctx"},
      {{"run", "-m", m, "--chunk", "0", "a"}, "--chunk '0'"},
      {{"run", "-m", m, "--temperature-tuning", "maybe", "a"}, "--temperature-tuning"},
      {{"logits", "-m", m, "--out", "x"}, "--ids LIST|@FILE is missing"},
      {{"logits", "-m", m, "--ids", "1"}, "--out FILE is missing"},
      {{"logits", "-m", m, "--ids", "", "--out", "x"}, "no tokens"},
      {{"logits", "-m", m, "--ids", "[]", "--out", "x"}, "no tokens"},
      {{"logits", "-m", m, "--ids", "1,,2", "--out", "x"}, "an id is missing at byte 2"},
      {{"logits", "-m", m, "--ids", "[1,2", "--out", "x"}, "']' is missing"},
      {{"logits", "-m", m, "--ids", "1]", "--out", "x"}, "']' without '['"},
      {{"logits", "-m", m, "--ids", "[1] 2", "--out", "x"}, "text after ']'"},
      {{"logits", "-m", m, "--ids", "1 two", "--out", "x"}, "'two' is not a token id"},
      {{"logits", "-m", m, "--ids", "1.5", "--out", "x"}, "'1.5' is not a token id"},
      {{"logits", "-m", m, "--ids", "3 -5", "--out", "x"}, "id -5 at index 1"},
      {{"logits", "-m", m, "--ids", "2147483648", "--out", "x"}, "id 2147483648 at index 0"},
      {{"logits", "-m", m, "--ids", "1 768", "--out", "x"}, "id 768 at index 1"},
      {{"logits", "-m", m, "--ids", "1 2", "--rows", "2:1", "--out", "x"}, "--rows '2:1'"},
      {{"logits", "-m", m, "--ids", "1 2", "--rows", "2", "--out", "x"}, "--rows '2'"},
      {{"logits", "-m", m, "--ids", "1 2", "--rows", "a:b", "--out", "x"}, "--rows 'a:b'"},
      {{"generate", "-m", m, "--ids", "1"}, "-n N is missing"},
      {{"bench", "-m", m, "--prompt", "5,"}, "--prompt '5,'"},
      {{"bench", "-m", m, "--reps", "0"}, "--reps '0'"},
      {{"detokenize", "-m", m, "700000"}, "700000"},
  };
  for (const Case& c : cases) {
    std::string shown;
    for (const std::string& word : c.arguments) shown += word + " ";
    SCOPED_TRACE(shown);
    ExpectFailure(Scout(c.arguments), 2, c.part);
  }
}

TEST(Usage, FilesAtFaultAreNamed) {
  Folder folder;
  ExpectFailure(Scout({"info", "-m", folder.path("none")}), 3, folder.path("none"));
  WriteFile(folder.path("noise.gguf"), "GGUF and then nothing that makes sense");
  ExpectFailure(Scout({"info", "-m", folder.path("noise.gguf")}), 3, "noise.gguf");
  WriteFile(folder.path("empty.gguf"), "");
  ExpectFailure(Scout({"run", "-m", folder.path("empty.gguf"), "a"}), 3, "empty.gguf");

  std::filesystem::create_directory(folder.path("cut"));
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    std::string bytes = ReadFile(TinyModel() + "/" + name);
    if (std::string(name) == "model.safetensors") bytes.resize(bytes.size() / 2);
    WriteFile(folder.path("cut/") + name, bytes);
  }
  ExpectFailure(Scout({"info", "-m", folder.path("cut")}), 3, "model.safetensors");
  ExpectFailure(Scout({"run", "-m", folder.path("cut"), "a"}), 3, "model.safetensors");

  ExpectFailure(Scout({"info", "-m", TinyModel() + "/config.json"}), 3,
                "a Hugging Face model is given by its folder");
  std::filesystem::create_directory(folder.path("mute"));
  for (const char* name : {"config.json", "model.safetensors"}) {
    WriteFile(folder.path("mute/") + name, ReadFile(TinyModel() + "/" + name));
  }
  ExpectFailure(Scout({"run", "-m", folder.path("mute"), "a"}), 3,
                "mute has no tokenizer: no tokenizer.json or tokenizer.model");

  WriteFile(folder.path("ids"), "[1, x]");
  ExpectFailure(
      Scout({"generate", "-m", TinyModel(), "-n", "1", "--ids", "@" + folder.path("ids")}), 3,
      folder.path("ids"));
  ExpectFailure(Scout({"generate", "-m", TinyModel(), "-n", "1", "--ids", "@/nonexistent"}), 3,
                "/nonexistent: No such file");
  ExpectFailure(Scout({"tokenize", "-m", TinyModel(), "-f", "/"}), 3, "directory");
}

TEST(Usage, NamesFromFilesAreShownOnOneLine) {
  Folder folder;
  std::string name = folder.path("a\nb\x1b[31m.gguf");
  WriteFile(name, "GGUF?");
  Result result = Scout({"info", "-m", name});
  ExpectFailure(result, 3, "a b\\x1b[31m.gguf");
}

TEST(Usage, LimitsAreExitCodeFive) {
  ExpectFailure(Scout({"generate", "-m", TinyModel(), "--ids", "1", "-n", "1000000"}), 5,
                "1000001");
  ExpectFailure(Scout({"generate", "-m", TinyModel(), "--ids", "1 2 3", "-n", "2", "--ctx", "4"}),
                5, "5 tokens are wanted, --ctx is 4");
  const std::string m = TinyModel();
  ExpectFailure(Scout({"run", "-m", m, "--ctx", "5", "--chat", "What is the capital of Italy?"}), 5,
                " tokens are wanted, --ctx is 5");
  ExpectFailure(Scout({"run", "-m", m, "--ctx", "9999", "Hello"}), 5,
                "--ctx is 9999, the model's context is 4096");
  std::string words;
  for (int i = 0; i < 5000; ++i) words += "word ";
  ExpectFailure(Scout({"run", "-m", m}, words), 5, "the model's context is 4096");
}

// -n is the most that an answer may have, not what it must have.
TEST(Usage, ALengthBeyondTheContextGivesWay) {
  const Result r = Scout(
      {"run", "-q", "-m", TinyModel(), "--chat", "-n", "100000", "What is the capital of France?"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, "The capital of France is Paris.\n");
}

// Of a model whose context is larger than the library's default budget.
TEST(Usage, AContextBeyondTheDefaultBudgetHasRoom) {
  Folder folder;
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    WriteFile(folder.path(name), ReadFile(TinyModel() + "/" + name));
  }
  std::string config = ReadFile(folder.path("config.json"));
  const std::string field = "\"max_position_embeddings\": 4096";
  const size_t at = config.find(field);
  ASSERT_NE(at, std::string::npos);
  config.replace(at, field.size(), "\"max_position_embeddings\": 400000");
  WriteFile(folder.path("config.json"), config);
  const Result r =
      Scout({"run", "-q", "-m", folder.path(""), "-n", "2", "--ctx", "300000", "Hello"});
  EXPECT_EQ(r.code, 0) << r.err;
}

TEST(Usage, UnwritableOutputIsReported) {
  Folder folder;
  ExpectFailure(Scout({"logits", "-q", "-m", TinyModel(), "--ids", "1", "--out",
                       folder.path("no/such/x.npy")}),
                1, folder.path("no/such/x.npy: No such file"));
  ExpectFailure(Scout({"logits", "-q", "-m", TinyModel(), "--ids", "1", "--out", folder.path("")}),
                1, "Is a directory");
  ExpectFailure(Scout({"logits", "-q", "-m", TinyModel(), "--ids", "1", "--out", "/dev/full"}), 1,
                "No space left");
  EXPECT_EQ(folder.Names(), Words{});
}

}  // namespace
}  // namespace scout::tool_test

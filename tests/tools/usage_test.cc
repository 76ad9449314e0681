// Help texts, exit codes and error lines of the `scout` command. SPDX-License-Identifier:
// Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

const Words kCommands = {"info", "tokenize", "detokenize", "run",
                         "chat", "logits",   "generate",   "bench"};

TEST(Usage, GeneralHelpNamesEveryCommandAndExitCodes) {
  Result help = Scout({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  for (const std::string& name : kCommands) {
    EXPECT_NE(help.out.find("\n  " + name + " "), std::string::npos) << name;
  }
  EXPECT_NE(help.out.find("Exit codes: 0 success"), std::string::npos);
  EXPECT_EQ(Scout({"help"}).out, help.out);
  EXPECT_EQ(Scout({"-h"}).out, help.out);
}

TEST(Usage, EveryCommandHasHelp) {
  for (const std::string& name : kCommands) {
    Result help = Scout({name, "--help"});
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_EQ(help.err, "") << name;
    EXPECT_NE(help.out.find("Usage: scout " + name + " -m PATH"), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("\n  -m, --model PATH"), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("Exit codes:"), std::string::npos) << help.out;
    EXPECT_EQ(Scout({"help", name}).out, help.out);
    EXPECT_EQ(Scout({name, "-h"}).out, help.out);
  }
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
      {{"run", "-m", m, "--system", "s", "a"}, "--system needs --chat"},
      {{"run", "-m", m, "-n", "-1", "a"}, "--tokens '-1'"},
      {{"run", "-m", m, "-n", "", "a"}, "--tokens ''"},
      {{"run", "-m", m, "-n", "1e3", "a"}, "--tokens '1e3'"},
      {{"run", "-m", m, "--temp", "nan", "a"}, "--temp 'nan'"},
      {{"run", "-m", m, "--temp", "hot", "a"}, "--temp 'hot'"},
      {{"run", "-m", m, "--top-p", "1.5", "a"}, "--top-p '1.5'"},
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
                5, "4");
}

TEST(Usage, UnwritableOutputIsReported) {
  Folder folder;
  ExpectFailure(Scout({"logits", "-q", "-m", TinyModel(), "--ids", "1", "--out",
                       folder.path("no/such/x.npy")}),
                1, "No such file");
  ExpectFailure(Scout({"logits", "-q", "-m", TinyModel(), "--ids", "1", "--out", folder.path("")}),
                1, "Is a directory");
  ExpectFailure(Scout({"logits", "-q", "-m", TinyModel(), "--ids", "1", "--out", "/dev/full"}), 1,
                "No space left");
  EXPECT_EQ(folder.Names(), Words{});
}

}  // namespace
}  // namespace scout::tool_test

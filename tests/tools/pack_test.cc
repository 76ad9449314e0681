// scout pack: what is packed, how, and in which order. SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "tests/tools/run_pack.h"

namespace scout::tool_test {
namespace {

namespace fs = std::filesystem;

std::string Text(Words arguments) {
  arguments.push_back("-q");
  Result result = Pack(std::move(arguments));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

struct Line {
  std::string state, tokens, bytes, detail;
};
// --list by path; paths under the folder without it.
std::map<std::string, Line> List(const Folder& folder, Words more, std::string* order = nullptr) {
  more.insert(more.begin(), {folder.path(""), "--list"});
  std::map<std::string, Line> lines;
  std::istringstream text(Text(more));
  std::string line;
  while (std::getline(text, line)) {
    std::istringstream parts(line);
    Line l;
    std::string path;
    std::getline(parts, l.state, '\t');
    std::getline(parts, l.tokens, '\t');
    std::getline(parts, l.bytes, '\t');
    std::getline(parts, path, '\t');
    std::getline(parts, l.detail);
    if (path.rfind(folder.path(""), 0) == 0) path.erase(0, folder.path("").size());
    if (order != nullptr) *order += path + "\n";
    EXPECT_TRUE(lines.emplace(path, l).second) << path;
  }
  return lines;
}

std::string Packed(const std::map<std::string, Line>& lines) {
  std::string all;
  for (const auto& [path, line] : lines) {
    if (line.state == "packed") all += path + " ";
  }
  return all;
}

int64_t Tokens(const std::string& text) {
  return std::stoll(Scout({"tokenize", "--count", "-m", TinyModel()}, text).out);
}

TEST(Pack, FilesHaveHeadersAndEndInANewline) {
  Folder folder;
  Make(folder, {{"b/two.txt", "2\nzwei"}, {"a.txt", "one\n"}, {"empty", ""}});
  const std::string at = folder.path("");
  EXPECT_EQ(Text({at}), "### FILE: " + at + "a.txt\none\n\n### FILE: " + at +
                            "b/two.txt\n2\nzwei\n\n### FILE: " + at + "empty\n\n");
  // Several roots, in the order given; what came before does not come again.
  EXPECT_EQ(Text({folder.path("b"), folder.path("a.txt"), at}),
            "### FILE: " + at + "b/two.txt\n2\nzwei\n\n### FILE: " + at +
                "a.txt\none\n\n### FILE: " + at + "empty\n\n");
  EXPECT_EQ(Scout({"pack", "-q", "-"}, "from a pipe").out, "### FILE: stdin\nfrom a pipe\n\n");
  Result written = Pack({at, "-q", "-o", folder.path("b/out")});
  EXPECT_EQ(written.code, 0) << written.err;
  const std::string first = ReadFile(folder.path("b/out"));
  EXPECT_EQ(first, Text({at + "a.txt"}) + Text({at + "b/two.txt"}) + Text({at + "empty"}));
  // The output is not packed into itself.
  EXPECT_EQ(Pack({at, "-q", "-o", folder.path("b/out")}).code, 0);
  EXPECT_EQ(ReadFile(folder.path("b/out")), first);
}

TEST(Pack, OrderIsThatOfThePathsBytes) {
  Folder folder;
  const Words names = {"B", "a-b", "a/x", "a/y/z", "a0", "b", "z", "\xc3\xa9"};
  for (auto it = names.rbegin(); it != names.rend(); ++it) Make(folder, {{*it, "x"}});
  std::string order, want;
  List(folder, {}, &order);
  for (const std::string& name : names) want += name + "\n";
  EXPECT_EQ(order, want);
}

TEST(Pack, RulesLeaveFoldersOutAndIncludeBringsThemBack) {
  Folder folder;
  Make(folder, {{"main.c", "x"},
                {".git/config", "x"},
                {".github/ci.yml", "x"},
                {"sub/.git", "gitdir: elsewhere"},
                {"sub/s.c", "x"},
                {"node_modules/m/index.js", "x"},
                {"lib/build/keep/a.txt", "x"},
                {"lib/build/b.txt", "x"},
                {"lib/vendor.c", "x"},
                {"cmake-build-debug/c", "x"}});
  auto lines = List(folder, {});
  EXPECT_EQ(Packed(lines), ".github/ci.yml lib/vendor.c main.c sub/s.c ");
  EXPECT_EQ(lines[".git/"].state, "skipped");
  EXPECT_EQ(lines[".git/"].detail, "version control");
  EXPECT_EQ(lines["node_modules/"].detail, "dependencies or build output");
  EXPECT_EQ(Packed(List(folder, {"--include", "build"})),
            ".github/ci.yml lib/build/b.txt lib/build/keep/a.txt lib/vendor.c main.c sub/s.c ");
  EXPECT_EQ(Packed(List(folder, {"--include", "lib/build/keep/*", "--include=/.git/conf*"})),
            ".git/config .github/ci.yml lib/build/keep/a.txt lib/vendor.c main.c sub/s.c ");
  EXPECT_EQ(
      Packed(List(folder, {"--exclude", "*.c", "--exclude", ".github/", "--include", "main.c"})),
      "main.c ");
  // What is named itself is under no rule.
  EXPECT_EQ(Text({folder.path("node_modules/m/index.js")}).substr(0, 4), "### ");
  EXPECT_EQ(Text({folder.path("lib/build")}).find("b.txt") == std::string::npos, false);
}

TEST(Pack, IgnoreFilesHaveAnOrder) {
  Folder folder;
  Make(folder, {{".gitignore", "*.log\n!keep.log\n/top\nonly/\n\\#x\n\\!y\nt \n"},
                {"a.log", "x"},
                {"keep.log", "x"},
                {"top", "x"},
                {"d/top", "x"},
                {"d/only/f", "x"},
                {"e/only", "x"},
                {"#x", "x"},
                {"!y", "x"},
                {"t", "x"},
                {"d/.gitignore", "!*.log\nkeep.log\n"},
                {"d/b.log", "x"},
                {"d/keep.log", "x"},
                {"e/.ignore", "keep.txt\n!b.log\n"},
                {"e/keep.txt", "x"},
                {"e/b.log", "x"},
                {".scoutignore", "e/b.log\n!build/\n"},
                {"build/x", "x"}});
  auto lines = List(folder, {});
  EXPECT_EQ(Packed(lines),
            ".gitignore .scoutignore build/x d/.gitignore d/b.log d/top e/.ignore "
            "e/only keep.log ");
  EXPECT_EQ(lines["a.log"].detail, folder.path(".gitignore") + ":1: *.log");
  EXPECT_EQ(lines["d/only/"].detail, folder.path(".gitignore") + ":4: only/");
  // Those of folders above the root count up to the top of the repository.
  fs::create_directory(folder.path(".git"));
  Result below = Pack({folder.path("d"), "--list", "-q"});
  EXPECT_NE(below.out.find("ignored\t-\t-\t" + folder.path("d/only/")), std::string::npos)
      << below.out;
  EXPECT_EQ(Packed(List(folder, {"--no-ignore"})),
            "!y #x .gitignore .scoutignore a.log d/.gitignore d/b.log d/keep.log d/only/f "
            "d/top e/.ignore e/b.log e/keep.txt e/only keep.log t top ");
}

TEST(Pack, BinaryFilesAreFoundByContent) {
  Folder folder;
  Make(folder, {{"nul.txt", std::string("text\0more", 9)},
                {"latin1.txt", "\xe9\xe8\xe0\xe7"},
                {"noise.txt", "\x01\x02\x03\x04 and"},
                {"mostly.txt", "caf\xe9, and then a long line of plain text"},
                {"mark.txt", "\xef\xbb\xbfmarked"},
                {"wide.txt", std::string("\xff\xfeh\0i\0\x3d\xd8\0\xde", 10)},
                {"colour.log", "\x1b[31mred\x1b[0m"}});
  auto lines = List(folder, {});
  EXPECT_EQ(Packed(lines), "colour.log mark.txt mostly.txt wide.txt ");
  EXPECT_EQ(lines["nul.txt"].detail, "binary: holds a NUL byte");
  EXPECT_EQ(lines["latin1.txt"].detail, "binary: not UTF-8");
  EXPECT_EQ(lines["noise.txt"].detail, "binary: control characters");
  EXPECT_EQ(lines["mostly.txt"].detail, "1 sequence not UTF-8 became U+FFFD");
  const std::string text = Text({folder.path("")});
  EXPECT_NE(text.find("caf\xef\xbf\xbd, and"), std::string::npos);
  EXPECT_NE(text.find("txt\nmarked\n"), std::string::npos);
  EXPECT_NE(text.find("txt\nhi\xf0\x9f\x98\x80\n"), std::string::npos) << text;
}

TEST(Pack, NoLineOfAFileLooksLikeAHeader) {
  Folder folder;
  Make(folder, {{"x",
                 "### FILE: fake\n\\### CUT: y\n ### FILE: z\n#### FILE: w\na\r### FILE: "
                 "cr\xe2\x80\xa8### FILE:u\n### FILES\n### FIL### FILE: mid"},
                {"a\nb\x01 \xff", "odd name"},
                {"\"q\"", "x"}});
  const std::string text = Text({folder.path("x")});
  EXPECT_EQ(text, "### FILE: " + folder.path("x") +
                      "\n\\### FILE: fake\n\\\\### CUT: y\n ### FILE: z\n#### FILE: w\na\r\\### "
                      "FILE: cr\xe2\x80\xa8\\### FILE:u\n### FILES\n### FIL### FILE: mid\n\n");
  auto lines = List(folder, {});
  EXPECT_EQ(lines["x"].detail, "4 lines like a header got a backslash");
  const std::string all = Text({folder.path("")});
  EXPECT_NE(all.find("### FILE: \"" + folder.path("") + "a\\nb\\001 \\377\"\nodd name\n"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find("### FILE: " + folder.path("\"q\"") + "\n"), std::string::npos) << all;
}

TEST(Pack, TheBudgetHoldsExactly) {
  Folder folder;
  std::string text;
  for (int i = 0; i < 400; ++i) text += "line " + std::to_string(i) + " of a log; \xe2\x82\xac\n";
  Make(folder, {{"1", "small\n"}, {"2", text}, {"3", "<|begin_of_text|> stays text\n"}});
  const Words model = {"-m", TinyModel()};
  Result whole = Pack({folder.path(""), "-m", TinyModel()});
  EXPECT_EQ(whole.code, 0);
  const int64_t tokens = Tokens(whole.out);
  EXPECT_NE(whole.err.find("packed 3 files, " + std::to_string(whole.out.size()) + " bytes, " +
                           std::to_string(tokens) + " tokens\n"),
            std::string::npos)
      << whole.err;

  const int64_t big = Tokens(Text({folder.path("2")}));
  Result less = Pack({folder.path(""), "-m", TinyModel(), "--max-tokens", "900"});
  EXPECT_EQ(less.code, 0);
  EXPECT_EQ(less.out, Text({folder.path("1")}) + Text({folder.path("3")}));
  EXPECT_NE(less.err.find("left out: " + folder.path("2") + ": " + std::to_string(big) +
                          " tokens: does not fit\n"),
            std::string::npos)
      << less.err;
  EXPECT_NE(less.err.find("1 file with " + std::to_string(big) + " tokens did not fit"),
            std::string::npos);

  for (const char* style : {"ends", "head", "tail", "spread"}) {
    for (int64_t budget : {700, 1500, 4000}) {
      SCOPED_TRACE(std::string(style) + " " + std::to_string(budget));
      const Words words = {folder.path("2"),      "-m", TinyModel(), "--cut", style, "--max-tokens",
                           std::to_string(budget)};
      std::string cut = Text(words);
      EXPECT_EQ(Text(words), cut);
      EXPECT_LE(Tokens(cut), budget);
      EXPECT_GT(Tokens(cut), budget * 6 / 10);
      const std::string mark = "### CUT: bytes ";
      EXPECT_NE(cut.find(mark), std::string::npos);
      const bool head = cut.find("line 0 of") != std::string::npos;
      const bool tail = cut.find("line 399 of") != std::string::npos;
      EXPECT_EQ(head, std::string(style) != "tail");
      EXPECT_EQ(tail, std::string(style) != "head");
      // Whole lines only, and the marks name exactly what is missing.
      std::string rebuilt;
      std::istringstream in(cut);
      std::string line;
      std::getline(in, line);
      while (std::getline(in, line) && !line.empty()) {
        unsigned long long first = 0, last = 0, size = 0, a = 0, b = 0, n = 0;
        if (line.rfind(mark, 0) != 0) {
          rebuilt += line + "\n";
          continue;
        }
        int parts =
            std::sscanf(line.c_str(), "### CUT: bytes %llu-%llu of %llu (lines %llu-%llu of %llu)",
                        &first, &last, &size, &a, &b, &n);
        if (parts == 3) {
          parts += std::sscanf(line.c_str(), "### CUT: bytes %*u-%*u of %*u (line %llu of %llu)",
                               &a, &n);
          b = a;
          ++parts;
        }
        ASSERT_EQ(parts, 6) << line;
        EXPECT_EQ(first, rebuilt.size() + 1);
        EXPECT_EQ(size, text.size());
        EXPECT_EQ(n, 400u);
        std::string gap = text.substr(first - 1, last - first + 1);
        EXPECT_EQ(std::count(rebuilt.begin(), rebuilt.end(), '\n') + 1, static_cast<long>(a));
        EXPECT_EQ(std::count(gap.begin(), gap.end(), '\n'), static_cast<long>(b - a + 1));
        rebuilt += gap;
      }
      EXPECT_EQ(rebuilt, text);
    }
  }
  // In trees too, on request; one line without an end is cut between characters.
  std::string endless;
  for (int i = 0; i < 5000; ++i) endless += "\xe2\x82\xac";
  Make(folder, {{"2", endless}});
  std::string some = Text({folder.path(""), "-m", TinyModel(), "--max-file-tokens", "500"});
  EXPECT_NE(some.find("### CUT: bytes"), std::string::npos);
  EXPECT_EQ(some.find("\xef\xbf\xbd"), std::string::npos);
  auto lines = List(folder, {"-m", TinyModel(), "--max-file-tokens", "500"});
  EXPECT_EQ(lines["2"].state, "cut");
  EXPECT_LE(std::stoll(lines["2"].tokens), 500);
}

TEST(Pack, FoldersEnteredForIncludeCanStillComeWhole) {
  Folder folder;
  Make(folder, {{"build/w.txt", "w"}, {"build/x/y.txt", "y"}, {"m.c", "m"}});
  const std::string at = folder.path("");
  EXPECT_EQ(Text({at, folder.path("build"), "--include", "build/x/**"}),
            "### FILE: " + at + "build/x/y.txt\ny\n\n### FILE: " + at +
                "m.c\nm\n\n### FILE: " + at + "build/w.txt\nw\n\n");
  // Where they come so again, as in a cycle, that is the end of it.
  fs::create_directory_symlink(".", folder.path("build/loop"));
  auto lines = List(folder, {"--follow", "--include", "build/**/y.txt"});
  EXPECT_EQ(Packed(lines), "build/x/y.txt m.c ");
  EXPECT_EQ(lines["build/loop/"].detail, "the same as " + folder.path("build/"));
}

TEST(Pack, IgnoreFilesThatAreNoFilesAreNoted) {
  Folder folder;
  Make(folder, {{"rules", "a.txt\n"}, {"a.txt", "x"}, {"d/.ignore/b.txt", "x"}, {"d/c.txt", "x"}});
  fs::create_symlink("rules", folder.path(".gitignore"));
  fs::create_symlink(".scoutignore", folder.path(".scoutignore"));
  ASSERT_EQ(mkfifo(folder.path("d/.gitignore").c_str(), 0600), 0);
  Result result = Pack({folder.path(""), folder.path("d")});
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* name : {".gitignore", ".scoutignore", "d/.ignore", "d/.gitignore"}) {
    const std::string note =
        "scout: pack: note: " + folder.path(name) + ": not a regular file, so no ignore file\n";
    const size_t at = result.err.find(note);
    ASSERT_NE(at, std::string::npos) << name << "\n" << result.err;
    EXPECT_EQ(result.err.find(note, at + 1), std::string::npos) << name;
  }
  EXPECT_EQ(Packed(List(folder, {})), "a.txt d/.ignore/b.txt d/c.txt rules ");
}

TEST(Pack, LinksAreNotFollowedAndCyclesEnd) {
  Folder folder;
  Make(folder, {{"d/file", "text"}, {"d/e/deep", "text"}});
  fs::create_directory_symlink("..", folder.path("d/up"));
  fs::create_symlink("loop", folder.path("d/loop"));
  fs::create_symlink("file", folder.path("d/again"));
  fs::create_directory_symlink("e", folder.path("d/f"));
  fs::create_hard_link(folder.path("d/file"), folder.path("d/hard"));
  ASSERT_EQ(mkfifo(folder.path("d/pipe").c_str(), 0600), 0);
  auto lines = List(folder, {});
  EXPECT_EQ(Packed(lines), "d/e/deep d/file ");
  EXPECT_EQ(lines["d/up"].state, "special");
  EXPECT_EQ(lines["d/pipe"].detail, "not a regular file");
  EXPECT_EQ(lines["d/hard"].detail, "the same as " + folder.path("d/file"));
  lines = List(folder, {"--follow"});
  EXPECT_EQ(Packed(lines), "d/again d/e/deep ");
  EXPECT_EQ(lines["d/file"].detail, "the same as " + folder.path("d/again"));
  EXPECT_EQ(lines["d/up/"].state, "repeated");
  EXPECT_EQ(lines["d/f/"].detail, "the same as " + folder.path("d/e/"));
  EXPECT_EQ(lines["d/loop"].state, "special");
}

TEST(Pack, PathsMayBeLongerThanTheSystemTakes) {
  Folder folder;
  const std::string name(120, 'n');
  std::string path = folder.path("");
  int at = open(path.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 80; ++i) {
    ASSERT_EQ(mkdirat(at, name.c_str(), 0700), 0);
    int next = openat(at, name.c_str(), O_RDONLY | O_DIRECTORY);
    close(at);
    at = next;
    path += name + "/";
  }
  int file = openat(at, "end.txt", O_WRONLY | O_CREAT, 0600);
  ASSERT_EQ(write(file, "found", 5), 5);
  close(file);
  close(at);
  EXPECT_EQ(Text({folder.path("")}), "### FILE: " + path + "end.txt\nfound\n\n");
}

TEST(Pack, FailuresHaveTheirCodes) {
  Folder folder;
  Make(folder, {{"a", "text\n"}, {"b/c", std::string(1, '\0')}});
  const std::string a = folder.path("a");
  ExpectFailure(Pack({"-q"}), 2, "PATH is missing");
  ExpectFailure(Pack({a, "--max-tokens", "5"}), 2, "--max-tokens needs -m PATH");
  ExpectFailure(Pack({a, "--cut", "middle"}), 2, "--cut 'middle'");
  ExpectFailure(Pack({a, "--include", "#x"}), 2, "--include '#x'");
  ExpectFailure(Pack({a, "--exclude", "!x"}), 2, "--exclude '!x'");
  ExpectFailure(Pack({folder.path("none"), a}), 3, folder.path("none: No such file"));
  ExpectFailure(Pack({folder.path("b"), "-q"}), 3, "no text file to pack");
  ExpectFailure(Pack({a, "-q", "-m", TinyModel(), "--max-tokens", "2"}), 5, "no file fits");
  ExpectFailure(Pack({a, "-q", "-m", folder.path("none")}), 3, folder.path("none"));
  ExpectFailure(Pack({a, "-q", "-o", folder.path("no/out")}), 1, folder.path("no/out: No such"));
  // What cannot be read fails the command behind the rest; reading this file gives an error even to
  // root.
  Result partly = Pack({"/proc/self/mem", a, "-q"});
  EXPECT_EQ(partly.code, 3);
  EXPECT_EQ(partly.out, Text({a}));
  EXPECT_NE(partly.err.find("scout: pack: /proc/self/mem: "), std::string::npos) << partly.err;
  // What the list says is not said again on stderr.
  Result twice = Pack({a, "--max-file-bytes", "3", "--list"});
  EXPECT_NE(twice.out.find("\t" + a + "\t"), std::string::npos) << twice.out;
  EXPECT_EQ(twice.err.find("left out: " + a), std::string::npos) << twice.err;
  Result large = Pack({a, "--max-file-bytes", "3", "--list", "-q"});
  EXPECT_EQ(large.code, 3);
  EXPECT_EQ(large.out.rfind("large\t-\t5\t", 0), 0u) << large.out;
}

TEST(Pack, FilesThatGrowAreReadOnceAndNoted) {
  Folder folder;
  const std::string path = folder.path("log");
  WriteFile(path, std::string(8 << 20, 'x'));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    std::ofstream out(path, std::ios::app);
    while (!stop) {
      out << "0123456789\n" << std::flush;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  bool noted = false;
  for (int i = 0; i < 20 && !noted; ++i) {
    Result result = Pack({path});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_GT(result.out.size(), size_t{8} << 20);
    noted = result.err.find("changed while it was read") != std::string::npos;
  }
  stop = true;
  writer.join();
  EXPECT_TRUE(noted);
}

TEST(Pack, HostilePatternsCostNoMoreThanOthers) {
  Folder folder;
  std::string stars, folders;
  for (int i = 0; i < 60; ++i) {
    stars += "*a";
    folders += "**/a*/";
  }
  Make(folder, {{".gitignore", stars + "b\n" + folders + "b\n"}, {std::string(250, 'a'), "x"}});
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Packed(List(folder, {})), ".gitignore " + std::string(250, 'a') + " ");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Pack, ThePromptGoesToTheModel) {
  Folder folder;
  Make(folder, {{"a.txt", "The capital of France is Paris.\n"}});
  std::string prompt = Text({folder.path("a.txt")}) + "What is the capital of France?";
  WriteFile(folder.path("prompt"), prompt);
  Result answer =
      Scout({"run", "-q", "-m", TinyModel(), "--chat", "-n", "4", "-f", folder.path("prompt")});
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_FALSE(answer.out.empty());
}

}  // namespace
}  // namespace scout::tool_test

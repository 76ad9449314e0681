// scout pack: files that are cut to the tokens allowed, of any size. SPDX-License-Identifier:
// Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "tests/tools/run_pack.h"

namespace scout::tool_test {
namespace {

namespace fs = std::filesystem;

int64_t Tokens(const std::string& text) {
  return std::stoll(Scout({"tokenize", "--count", "-m", TinyModel()}, text).out);
}

std::string LongLog(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) text += "line " + std::to_string(i) + " of a log; \xe2\x82\xac\n";
  return text;
}

TEST(PackCut, NamedFilesAreCutWhereverTheyStand) {
  Folder folder;
  Make(folder, {{"src/a.txt", "small\n"}, {"src/big.log", LongLog(400)}, {"src/z.txt", "last\n"}});
  const std::string src = folder.path("src"), log = folder.path("src/big.log");
  const Words limits = {"-m", TinyModel(), "--max-tokens", "900"};
  for (const Words& roots : {Words{src, log}, Words{log, src}, Words{src, src + "/./big.log"}}) {
    Words words = roots;
    words.insert(words.end(), limits.begin(), limits.end());
    Result result = Pack(words);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.out.find("### CUT: bytes"), std::string::npos) << result.err;
    EXPECT_NE(result.out.find("line 399"), std::string::npos);
    // In order: what comes behind the log finds nothing left.
    EXPECT_EQ(result.out.find("small\n") != std::string::npos, roots[0] == src);
    EXPECT_LE(Tokens(result.out), 900);
    EXPECT_GT(Tokens(result.out), 600);
    EXPECT_NE(result.err.find("(1 cut)"), std::string::npos) << result.err;
  }
  // One that rules leave out of the tree stands where it is named.
  Make(folder, {{"src/.ignore", "*.log\n"}});
  EXPECT_NE(Pack({src, log, "-m", TinyModel(), "--max-tokens", "900"}).out.find("### CUT: bytes"),
            std::string::npos);
  // Another file of the tree is not cut.
  Make(folder, {{"src/.ignore", ""}});
  EXPECT_EQ(Pack({src, folder.path("src/a.txt"), "-m", TinyModel(), "--max-tokens", "900"})
                .out.find("### CUT: bytes"),
            std::string::npos);
}

// What is in a cut text of slices: marks are replaced by what they say is missing.
std::string Rebuilt(const std::string& cut, const std::string& text) {
  const std::string mark = "### CUT: bytes ";
  std::string rebuilt;
  std::istringstream in(cut);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line) && !line.empty()) {
    unsigned long long first = 0, last = 0, size = 0;
    if (line.rfind(mark, 0) != 0) {
      rebuilt += line + "\n";
      continue;
    }
    int end = 0;
    std::sscanf(line.c_str(), "### CUT: bytes %llu-%llu of %llu are left out%n", &first, &last,
                &size, &end);
    EXPECT_EQ(static_cast<size_t>(end), line.size()) << line;
    EXPECT_EQ(first, rebuilt.size() + 1);
    EXPECT_EQ(size, text.size());
    if (last < first || last > text.size()) return "a wrong mark";
    rebuilt += text.substr(first - 1, last - first + 1);
  }
  return rebuilt;
}

TEST(PackCut, NamedFilesOverTheByteLimitAreCutFromSlices) {
  Folder folder;
  const std::string text = LongLog(8000), log = folder.path("log");
  Make(folder, {{"log", text}});
  ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
  for (const char* style : {"ends", "head", "tail", "spread"}) {
    for (const char* budget : {"700", "2000", "1000000"}) {
      SCOPED_TRACE(std::string(style) + " " + budget);
      const Words limits = {"-q",    "-m",  TinyModel(),        "--max-tokens", budget,
                            "--cut", style, "--max-file-bytes", "16384"};
      auto pack = [&limits](const std::string& path, const std::string& input) {
        Words words = {"pack", path};
        words.insert(words.end(), limits.begin(), limits.end());
        return Scout(words, input);
      };
      const Result result = pack(log, "");
      ASSERT_EQ(result.code, 0) << result.err;
      const int64_t most = std::stoll(budget), tokens = Tokens(result.out);
      EXPECT_LE(tokens, most);
      if (most < 1000000) {
        EXPECT_GT(tokens, most * 6 / 10);
      } else {
        EXPECT_GT(result.out.size(), 12000u);
        EXPECT_LT(result.out.size(), 18000u);
      }
      EXPECT_TRUE(Rebuilt(result.out, text) == text);
      const std::string body = result.out.substr(result.out.find('\n'));
      const bool head = result.out.find("\nline 0 of") != std::string::npos;
      const bool tail = result.out.find("\nline 7999 of") != std::string::npos;
      EXPECT_EQ(head, std::string(style) != "tail");
      EXPECT_EQ(tail, std::string(style) != "head");
      // From standard input, a file, and from a pipe, whose length comes last.
      const Result standard = pack("-", text);
      EXPECT_EQ(standard.code, 0) << standard.err;
      EXPECT_LE(Tokens(standard.out), most);
      EXPECT_TRUE(Rebuilt(standard.out, text) == text);
      std::thread writer([&] {
        sigset_t broken_pipe;
        sigemptyset(&broken_pipe);
        sigaddset(&broken_pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
        const int fd = open(folder.path("pipe").c_str(), O_WRONLY | O_CLOEXEC);
        for (size_t at = 0; at < text.size();) {
          const ssize_t n = write(fd, text.data() + at, std::min(text.size() - at, size_t{5000}));
          if (n <= 0) break;
          at += static_cast<size_t>(n);
        }
        close(fd);
      });
      const Result piped = pack(folder.path("pipe"), "");
      writer.join();
      if (std::string(style) == "spread") {
        EXPECT_EQ(piped.code, 3);
        EXPECT_EQ(piped.out, "");
      } else {
        EXPECT_EQ(piped.code, 0) << piped.err;
        EXPECT_LE(Tokens(piped.out), most);
        EXPECT_TRUE(Rebuilt(piped.out, text) == text);
        // Where all that is held fits, the name in the header changes nothing.
        if (most == 1000000) {
          EXPECT_TRUE(piped.out == "### FILE: " + folder.path("pipe") + body);
          EXPECT_TRUE(standard.out == "### FILE: stdin" + body);
        }
      }
    }
  }
  // Long lines are cut between characters, in slices of any size.
  std::string endless = "\xef\xbb\xbf";
  for (int i = 0; i < 5000; ++i) endless += i % 7 == 0 ? "a" : "\xe2\x82\xac";
  Make(folder, {{"log", endless}});
  for (int most = 1000; most < 1010; ++most) {
    const Result result = Pack({log, "-m", TinyModel(), "--max-tokens", "100000",
                                "--max-file-bytes", std::to_string(most)});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out.find("\xef\xbf\xbd"), std::string::npos) << most;
    EXPECT_EQ(result.out.find("\xef\xbb\xbf"), std::string::npos) << most;
    EXPECT_GT(result.out.size(), 900u);
    EXPECT_NE(result.err.find("cut from " + std::to_string(endless.size()) + " bytes"),
              std::string::npos)
        << result.err;
  }
  const Words few = {log, "--max-file-bytes", "1000", "-m", TinyModel(), "--max-tokens"};
  auto limited = [&few](const std::string& budget) {
    Words words = few;
    words.push_back(budget);
    return Pack(words);
  };
  Result none = limited("5");
  EXPECT_EQ(none.code, 5);
  EXPECT_NE(none.err.find(std::to_string(endless.size()) + " bytes: does not fit"),
            std::string::npos)
      << none.err;
  // Lines like headers, and bytes that are not text.
  std::string headers;
  for (int i = 0; i < 300; ++i) headers += "### FILE: x\xff y\n";
  Make(folder, {{"log", headers}});
  Result odd = limited("10000");
  EXPECT_EQ(odd.out.find("\n### FILE: x"), std::string::npos);
  EXPECT_NE(odd.out.find("\n\\### FILE: x\xef\xbf\xbd y\n"), std::string::npos);
  EXPECT_NE(odd.err.find("like a header got a backslash"), std::string::npos) << odd.err;
  Make(folder, {{"log", text + std::string(1, '\0')}});
  EXPECT_NE(limited("10000").err.find("binary: holds a NUL byte"), std::string::npos);
  Make(folder, {{"log", "\xff\xfe" + text}});
  EXPECT_NE(limited("10000").err.find("UTF-16 of this size is not cut"), std::string::npos);
  // In a tree the limit holds, and without a limit on tokens; the twin of a PATH is cut.
  Make(folder, {{"log", text}});
  fs::remove(folder.path("pipe"));
  EXPECT_NE(Pack({folder.path(""), "--list", "-m", TinyModel(), "--max-tokens", "900",
                  "--max-file-bytes", "1000"})
                .out.find("large\t-\t" + std::to_string(text.size())),
            std::string::npos);
  EXPECT_NE(Pack({log, "--max-file-bytes", "1000"}).err.find("(--max-tokens cuts it)"),
            std::string::npos);
  EXPECT_NE(Pack({folder.path(""), log, "-m", TinyModel(), "--max-tokens", "900",
                  "--max-file-bytes", "10000"})
                .out.find("### CUT: bytes"),
            std::string::npos);
}

// Without --max-file-bytes: a log larger than what is held of it.
TEST(PackCut, LogsOfAnySizeAreCut) {
  Folder folder;
  const std::string log = folder.path("log");
  {
    std::ofstream out(log);
    const std::string part = LongLog(10000);
    for (int64_t size = 0; size < int64_t{65} << 20; size += static_cast<int64_t>(part.size())) {
      out << part;
    }
    out << "the end\n";
  }
  const Result result = Pack({log, "-m", TinyModel(), "--max-tokens", "300", "--cut", "tail"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("the end\n"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("### CUT: bytes 1-"), std::string::npos);
  EXPECT_LE(Tokens(result.out), 300);
}

}  // namespace
}  // namespace scout::tool_test

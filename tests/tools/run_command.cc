// Child processes and files of the command's tests. SPDX-License-Identifier: Apache-2.0
#include "tests/tools/run_command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

extern char** environ;

namespace scout::tool_test {
namespace {

std::string Binary() { return std::string(SCOUT_BUILD_DIR) + "/bin/scout"; }

// Starts the program with the three standard files; takes none of them over.
pid_t Start(const Words& arguments, int in, int out, int err) {
  Words words = {Binary()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (in < 0) {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
  } else {
    posix_spawn_file_actions_adddup2(&actions, in, 0);
  }
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  ::setenv("XDG_CACHE_HOME", SCOUT_BUILD_DIR, 1);  // nothing is left in the user's own folder
  pid_t pid = -1;
  int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << "cannot start " << argv[0];
  return error == 0 ? pid : -1;
}

int ExitCode(pid_t pid) {
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Both ends close in every child but where they are passed on.
void MakePipe(int ends[2]) { ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0); }

}  // namespace

Running::Running(const Words& arguments) {
  int out[2] = {-1, -1}, err[2] = {-1, -1};
  MakePipe(out);
  MakePipe(err);
  pid_ = Start(arguments, -1, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Running::~Running() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    ExitCode(pid_);
  }
  CloseOut();
  close(err_);
}

std::string Running::Read() {
  char buffer[4096];
  ssize_t n = read(out_, buffer, sizeof(buffer));
  return n > 0 ? std::string(buffer, n) : "";
}

void Running::CloseOut() {
  if (out_ >= 0) close(out_);
  out_ = -1;
}

void Running::Signal(int number) {
  if (pid_ > 0) kill(pid_, number);
}

Result Running::Wait() {
  Result result;
  // Both pipes at once, so that neither can fill up and stop the child.
  pollfd files[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  std::string* texts[2] = {&result.out, &result.err};
  int open_files = out_ >= 0 ? 2 : 1;
  while (open_files > 0 && poll(files, 2, 60000) > 0) {
    for (int i = 0; i < 2; ++i) {
      if (files[i].fd < 0 || files[i].revents == 0) continue;
      char buffer[4096];
      ssize_t n = read(files[i].fd, buffer, sizeof(buffer));
      if (n > 0) {
        texts[i]->append(buffer, n);
      } else {
        files[i].fd = -1;
        --open_files;
      }
    }
  }
  if (open_files > 0) {
    ADD_FAILURE() << "the command was silent for a minute";
    Signal(SIGKILL);
  }
  result.code = ExitCode(pid_);
  pid_ = -1;
  return result;
}

Result Scout(const Words& arguments, const std::string& input) {
  // Files instead of pipes: the child can never wait for the test.
  std::FILE* files[3] = {std::tmpfile(), std::tmpfile(), std::tmpfile()};
  std::fwrite(input.data(), 1, input.size(), files[0]);
  std::rewind(files[0]);
  Result result;
  result.code = ExitCode(Start(arguments, fileno(files[0]), fileno(files[1]), fileno(files[2])));
  for (int i = 1; i < 3; ++i) {
    std::rewind(files[i]);
    char buffer[4096];
    while (size_t n = std::fread(buffer, 1, sizeof(buffer), files[i])) {
      (i == 1 ? result.out : result.err).append(buffer, n);
    }
  }
  for (std::FILE* f : files) std::fclose(f);
  return result;
}

std::string TinyModel() { return std::string(SCOUT_SOURCE_DIR) + "/models/tiny"; }

Folder::Folder() {
  std::string name = std::filesystem::temp_directory_path() / "scout_tool_XXXXXX";
  path_ = mkdtemp(name.data()) != nullptr ? name : "";
  EXPECT_FALSE(path_.empty());
}

Folder::~Folder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> Folder::Names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::error_code none;
  std::filesystem::remove(path, none);  // see TempFolder::Write
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void ExpectFailure(const Result& result, int code, const std::string& part) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err.rfind("scout: ", 0), 0u) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ(result.err.back(), '\n') << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << "no '" << part << "' in: " << result.err;
}

}  // namespace scout::tool_test

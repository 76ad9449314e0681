// Runs the `scout` program of this build and captures what it gives.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace scout::tool_test {

struct Result {
  int code = -1;    // exit code; 128 + number where a signal ended it
  std::string out;  // stdout
  std::string err;  // stderr
};

using Words = std::vector<std::string>;

// `scout` with these arguments and this standard input.
Result Scout(const Words& arguments, const std::string& input = "");

// A `scout` that runs beside the test, without standard input.
class Running {
 public:
  explicit Running(const Words& arguments);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  // The next bytes of stdout; "" at its end.
  std::string Read();
  void CloseOut();
  void Signal(int number);
  Result Wait();  // the rest of stdout, stderr and the exit code

 private:
  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
};

std::string TinyModel();  // models/tiny of the repository
// A new empty folder, removed with what is in it by the destructor.
class Folder {
 public:
  Folder();
  ~Folder();
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  std::vector<std::string> Names() const;

 private:
  std::string path_;
};
void WriteFile(const std::string& path, const std::string& bytes);
std::string ReadFile(const std::string& path);

// Succeeds where the command failed as documented: this exit code, nothing on stdout, one line on
// stderr that begins with "scout: " and contains `part`.
void ExpectFailure(const Result& result, int code, const std::string& part);

}  // namespace scout::tool_test

// Reading of text and ids. SPDX-License-Identifier: Apache-2.0
#include "tools/input.h"

#include <cerrno>
#include <cstdio>
#include <memory>

#include "tools/npy.h"

namespace scout::tool {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

Failure NarrowIds(const std::vector<int64_t>& values, const std::string& name, ExitCode code,
                  std::vector<int32_t>* ids) {
  ids->clear();
  ids->reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] > INT32_MAX) {
      return {code, name + ": id " + std::to_string(values[i]) + " at index " + std::to_string(i) +
                        " is not a token id (0 to 2147483647)"};
    }
    ids->push_back(static_cast<int32_t>(values[i]));
  }
  return Ok();
}

}  // namespace

Failure ReadFile(const std::string& path, std::string* bytes) {
  bool standard = path == "-";
  std::string name = standard ? "standard input" : path;
  std::unique_ptr<std::FILE, Close> opened(standard ? nullptr : std::fopen(path.c_str(), "rbe"));
  std::FILE* file = standard ? stdin : opened.get();
  if (file == nullptr) return SystemFailure(kExitInput, name, errno);
  bytes->clear();
  char buffer[1 << 16];
  for (;;) {
    size_t n = std::fread(buffer, 1, sizeof(buffer), file);
    bytes->append(buffer, n);
    if (n < sizeof(buffer)) break;
  }
  if (std::ferror(file)) {
    if (errno == EINTR) return {kExitCancelled, "cancelled"};
    return SystemFailure(kExitInput, name, errno);
  }
  return Ok();
}

Failure ReadText(const Args& args, std::string* text) {
  TOOL_TRY(args.AtMost(1));
  if (!args.positional().empty()) {
    if (args.Has("file")) return Usage("give the text or --file, not both");
    *text = args.positional()[0];
    return Ok();
  }
  return ReadFile(args.Get("file", "-"), text);
}

Failure ParseIds(const std::string& bytes, const std::string& name, ExitCode code,
                 std::vector<int32_t>* ids) {
  std::vector<int64_t> values;
  if (IsNpy(bytes)) {
    TOOL_TRY(ReadNpyInts(bytes, name, &values));
    return NarrowIds(values, name, code, ids);
  }
  size_t at = 0, end = bytes.size();
  auto skip = [&] {
    while (at < end && IsBlank(bytes[at])) ++at;
  };
  auto bad = [&](const std::string& what) {
    return Failure{code, name + ": " + what + " at byte " + std::to_string(at) + " of the list"};
  };
  skip();
  bool bracket = at < end && bytes[at] == '[';
  if (bracket) ++at;
  for (skip(); at < end && bytes[at] != ']';) {
    size_t stop = at;
    while (stop < end && !IsBlank(bytes[stop]) && bytes[stop] != ',' && bytes[stop] != ']') ++stop;
    int64_t value = 0;
    std::string word = bytes.substr(at, stop - at);
    if (!ParseInt(word, &value)) return bad("'" + word.substr(0, 40) + "' is not a token id");
    values.push_back(value);
    at = stop;
    skip();
    if (at < end && bytes[at] == ',') {
      ++at;
      skip();
      if (at == end || bytes[at] == ']' || bytes[at] == ',') return bad("an id is missing");
    }
  }
  if (at < end && bytes[at] == ']') {
    if (!bracket) return bad("']' without '['");
    ++at;
    skip();
    if (at < end) return bad("text after ']'");
  } else if (bracket) {
    return bad("']' is missing");
  }
  return NarrowIds(values, name, code, ids);
}

Failure ReadIds(const std::string& list, std::vector<int32_t>* ids) {
  if (list.empty() || list[0] != '@') return ParseIds(list, "ids", kExitUsage, ids);
  std::string path = list.substr(1), bytes;
  TOOL_TRY(ReadFile(path, &bytes));
  return ParseIds(bytes, path == "-" ? "standard input" : path, kExitInput, ids);
}

}  // namespace scout::tool

// What the files of `scout batch` promise, checked apart from their readers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tools/batch_file.h"
#include "tools/batch_request.h"

namespace scout::test {

constexpr char kBatchSettings[] = "0123456789abcdef";

inline std::string BatchBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

inline bool Typed(const tool::Failure& failure) {
  return failure.code == tool::kExitInput && !failure.text.empty();
}

// Lists and objects within each other.
inline int Nesting(const nlohmann::json& value) {
  int most = 0;
  if (value.is_structured()) {
    for (const auto& part : value) most = std::max(most, Nesting(part));
    ++most;
  }
  return most;
}

// "" or what is wrong with how this line was read.
inline std::string CheckRequest(const std::string& line) {
  using Json = nlohmann::json;
  tool::BatchRequest request;
  const tool::Failure failure = tool::ReadRequest(line, &request);
  if (failure && !Typed(failure)) return "a failure without a reason";
  if (!request.id.is_discarded()) {
    if (Nesting(request.id) > 63) return "an id that is nested too deeply";
    const std::string id = request.id.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (Json::parse(id, nullptr, false) != request.id) return "an id that is not repeated";
  }
  if (failure) return "";
  if (request.chat == request.messages.empty()) return "a dialog without messages";
  if (request.max_tokens < 0) return "max_tokens below 0";
  for (const std::string& stop : request.stop) {
    if (stop.empty() || stop.find('\0') != std::string::npos) return "an empty stop string";
  }
  for (const scout_logit_bias& bias : request.sampling.bias) {
    if (bias.token < 0) return "a bias of a token below 0";
  }
  return "";
}

// Writes the files of a batch, reads both and appends the missing answers; "" or what went wrong.
// *answered is how many lines had a result, or -1 where the results were refused.
inline std::string CheckBatch(const std::string& in_path, const std::string& in,
                              const std::string& out_path, const std::string& out,
                              int64_t* answered) {
  std::ofstream(in_path, std::ios::binary) << in;
  std::ofstream(out_path, std::ios::binary) << out;
  tool::BatchInput input;
  if (input.Open(in_path)) return "the input cannot be read";
  size_t n = 0;
  std::istringstream lines(in);
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (n == input.lines().size() || input.lines()[n].number != number) return "a line is missing";
    std::string text;
    if (input.Read(input.lines()[n++], &text) || text != line) return "a line is another";
    if (std::string wrong = CheckRequest(line); !wrong.empty()) return wrong;
  }
  if (n != input.lines().size()) return "a line too many";
  *answered = -1;
  {
    tool::BatchOutput output;
    const tool::Failure failure = output.Open(out_path, kBatchSettings, false, &input);
    if (failure) {
      if (!Typed(failure)) return "a failure without a reason";
      return BatchBytes(out_path) == out ? "" : "refused results were changed";
    }
    const std::string whole = out.substr(0, out.rfind('\n') + 1);  // npos + 1 is 0
    if (BatchBytes(out_path) != whole ||
        output.torn() != static_cast<int64_t>(out.size() - whole.size())) {
      return "more or less than an unfinished line was cut off";
    }
    *answered = output.answered();
    auto& all = input.lines();
    if (*answered != std::count(whole.begin(), whole.end(), '\n') ||
        *answered != std::count_if(all.begin(), all.end(), [](auto& l) { return l.answered; })) {
      return "results were counted wrongly";
    }
    for (const tool::BatchLine& line : all) {
      if (line.answered) continue;
      nlohmann::json result;
      result["line"] = line.number;
      result["input"] = tool::Hex(line.digest);
      result["settings"] = kBatchSettings;
      if (output.Append(result.dump())) return "a result cannot be appended";
    }
  }
  tool::BatchInput again;
  tool::BatchOutput output;
  if (again.Open(in_path) || output.Open(out_path, kBatchSettings, false, &again) ||
      output.answered() != static_cast<int64_t>(n) || output.torn() != 0) {
    return "an answered batch cannot be read again";
  }
  return "";
}

}  // namespace scout::test

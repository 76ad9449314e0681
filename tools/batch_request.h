// One line of a batch's input. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tools/failure.h"
#include "tools/sampling.h"

namespace scout::tool {

struct BatchRequest {
  nlohmann::json id;  // discarded where the line has none
  bool chat = false;  // messages, else prompt
  std::string prompt;
  std::vector<std::pair<std::string, std::string>> messages;  // role, content
  Sampling sampling;
  int64_t max_tokens = 0;
  bool max_tokens_given = false;  // by the line
  bool ignore_end = false;
  std::vector<std::string> stop;
};

// Reads a line over the defaults in *request. The failure's text names the field or the byte. *id
// is set also where another field is wrong.
Failure ReadRequest(const std::string& line, BatchRequest* request);

}  // namespace scout::tool

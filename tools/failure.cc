// Texts and exit codes of failures. SPDX-License-Identifier: Apache-2.0
#include "tools/failure.h"

#include <cstdio>
#include <system_error>

namespace scout::tool {

Failure SystemFailure(int code, const std::string& path, int error_number) {
  return {code, path + ": " + std::generic_category().message(error_number)};
}

Failure Describe(scout_status status, const scout_error* error) {
  Failure failure;
  switch (status) {
    case SCOUT_INVALID_ARGUMENT:
      failure.code = kExitUsage;
      break;
    case SCOUT_NOT_FOUND:
    case SCOUT_CORRUPT:
    case SCOUT_UNSUPPORTED:
    case SCOUT_IO:
      failure.code = kExitInput;
      break;
    case SCOUT_CANCELLED:
      failure.code = kExitCancelled;
      break;
    case SCOUT_OUT_OF_MEMORY:
    case SCOUT_CAPACITY:
    case SCOUT_NO_THREAD:
      failure.code = kExitLimit;
      break;
    default:
      failure.code = kExitError;
  }
  failure.text = scout_error_message(error);
  if (failure.text.empty()) failure.text = scout_status_name(status);
  std::string place;
  auto add = [&place](const std::string& part) {
    if (!place.empty()) place += ", ";
    place += part;
  };
  // What the message names itself is not said again.
  auto add_name = [&](const std::string& what, const std::string& name) {
    if (!name.empty() && failure.text.find(name) == std::string::npos) add(what + name);
  };
  add_name("file ", scout_error_file(error));
  add_name("tensor ", scout_error_tensor(error));
  if (scout_error_offset(error) >= 0) add("offset " + std::to_string(scout_error_offset(error)));
  if (!place.empty()) failure.text += " (" + place + ")";
  return failure;
}

Failure FromLibrary(scout_status status, scout_error* error) {
  Failure failure = Describe(status, error);
  scout_error_free(error);
  return failure;
}

std::string Printable(const std::string& text, size_t limit) {
  std::string out;
  for (unsigned char c : text) {
    if (out.size() >= limit) return out + "...";
    if (c == '\n' || c == '\t') {
      out += ' ';
    } else if (c < 32 || c == 127) {
      static const char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

void PrintFailure(const char* command, const Failure& failure) {
  std::string line = "scout: ";
  if (command != nullptr) line += std::string(command) + ": ";
  line += Printable(failure.text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace scout::tool

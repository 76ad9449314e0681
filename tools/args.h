// Options and arguments of a command line. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/failure.h"

namespace scout::tool {

struct Option {
  char letter;        // -m, or 0
  const char* name;   // --model, without the dashes
  const char* value;  // what follows it, as the help shows it; nullptr for a switch
  const char* help;
};
using OptionList = std::vector<Option>;

// Several lists as one.
OptionList Join(std::initializer_list<OptionList> lists);

// The given options and the positional arguments. "--name value", "--name=value", "-x value" and
// switches may stand anywhere; "--" ends the options; of repeated options the last counts, except
// where a command takes all of them.
class Args {
 public:
  static Failure Parse(const OptionList& options, int argc, const char* const* argv, Args* args);

  bool Has(const std::string& name) const { return values_.count(name) != 0; }
  std::string Get(const std::string& name, const std::string& otherwise = "") const;
  std::vector<std::string> GetAll(const std::string& name) const;
  const std::vector<std::string>& positional() const { return positional_; }
  // Fails where more than `most` positional arguments were given.
  Failure AtMost(size_t most) const;
  Failure Require(const std::string& name, const char* shown) const;

  // These leave *value as it is where the option is not given.
  Failure Int(const std::string& name, int64_t least, int64_t most, int64_t* value) const;
  Failure Int(const std::string& name, int64_t least, int64_t most, int32_t* value) const;
  Failure IntList(const std::string& name, int64_t least, int64_t most,
                  std::vector<int64_t>* value) const;
  Failure Double(const std::string& name, double least, double most, double* value) const;
  Failure Choice(const std::string& name,
                 std::initializer_list<std::pair<const char*, int32_t>> choices,
                 int32_t* value) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;  // by long name, never empty
  std::vector<std::string> positional_;
};

// Whole text as a number; false where it is none or out of range.
bool ParseInt(const std::string& text, int64_t* value);
bool ParseDouble(const std::string& text, double* value);

// Lines of help for the options.
std::string DescribeOptions(const OptionList& options);

}  // namespace scout::tool

// The commands of `scout`; each lives in cmd_<name>.cc. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tools/args.h"
#include "tools/failure.h"

namespace scout::tool {

struct Command {
  const char* name;
  const char* usage;    // what follows the name
  const char* summary;  // one line
  const char* details;  // some lines, or ""
  OptionList options;
  Failure (*run)(const Args& args);
};

// In the order of the help.
std::vector<Command> AllCommands();

Command InfoCommand();
Command TokenizeCommand();
Command DetokenizeCommand();
Command RunCommand();
Command ChatCommand();
Command LogitsCommand();
Command GenerateCommand();
Command BatchCommand();
Command BenchCommand();
Command PackCommand();
Command CompletionCommand();

// What `scout COMMAND --help` prints, without the exit codes.
std::string DescribeCommand(const Command& command);

}  // namespace scout::tool

// The commands of `scout`; each lives in cmd_<name>.cc. SPDX-License-Identifier: Apache-2.0
#pragma once

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

Command InfoCommand();
Command TokenizeCommand();
Command DetokenizeCommand();
Command RunCommand();
Command ChatCommand();
Command LogitsCommand();
Command GenerateCommand();
Command BenchCommand();
Command PackCommand();

}  // namespace scout::tool

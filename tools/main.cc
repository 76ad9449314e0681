// The `scout` command: finds the subcommand, parses its options, prints its failure.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "scout.h"
#include "tools/commands.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 success, 1 failed while running, 2 wrong option or argument, 3 a file is\n"
    "missing, unreadable, corrupt or of an unsupported kind, 4 cancelled, 5 out of memory,\n"
    "threads, context or KV budget, 6 a batch is whole with lines answered by an error.\n";

std::string GeneralHelp() {
  std::string text =
      "scout runs Llama 4 models: Hugging Face folders and GGUF files.\n\n"
      "Usage: scout COMMAND -m PATH [options]\n\nCommands:\n";
  for (const Command& c : AllCommands()) {
    std::string name = std::string("  ") + c.name;
    name.resize(14, ' ');
    text += name + c.summary + "\n";
  }
  return text +
         "\n-m PATH is a folder with config.json and *.safetensors, or a .gguf file.\n"
         "scout COMMAND --help shows a command's options, scout help --all everyone's;\n"
         "scout --version the version.\n\n"
         "Results go to stdout, progress and timings to stderr. An error is one line on stderr.\n" +
         kExitCodes;
}

// "; run, chat take it" behind an option that other commands have.
Failure WithOwners(Failure failure) {
  const std::string begin = "unknown option '--";
  if (failure.text.compare(0, begin.size(), begin) != 0) return failure;
  std::string name = failure.text.substr(begin.size());
  name.resize(std::min(name.find('\''), name.size()));
  std::string owners;
  for (const Command& c : AllCommands()) {
    for (const Option& o : c.options) {
      if (name == o.name)
        owners += (owners.empty() ? "; an option of " : ", ") + std::string(c.name);
    }
  }
  failure.text += owners;
  return failure;
}

// Every command's help as one Markdown page: docs/options.md.
std::string HelpPage() {
  std::string page =
      "# Options of the scout command\n\n"
      "Written by `scout help --all > docs/options.md`; a test holds it equal to the parser.\n";
  for (const Command& c : AllCommands()) {
    page += std::string("\n## scout ") + c.name + "\n\n```\n" + DescribeCommand(c) + "```\n";
  }
  return page;
}

int Finish(const char* command, Failure failure) {
  if (!failure) failure = FlushOut();
  if (failure) PrintFailure(command, failure);
  return failure.code;
}

int RunMain(int argc, char** argv) {
  CatchInterrupts();
  std::string first = argc > 1 ? argv[1] : "";
  bool help = first == "help" || first == "--help" || first == "-h";
  if (first.empty()) {
    return Finish(nullptr, Usage("a command is missing (see scout --help)"));
  }
  if (first == "--version") {
    return Finish(nullptr, Out(std::string("scout ") + scout_version_string() + "\n"));
  }
  if (help && argc == 2) return Finish(nullptr, Out(GeneralHelp()));
  std::string name = help ? argv[2] : first;
  if (help && name == "--all") return Finish(nullptr, Out(HelpPage()));
  for (const Command& c : AllCommands()) {
    if (name != c.name) continue;
    Args args;
    Failure failure = Args::Parse(c.options, argc - 2, argv + 2, &args);
    if (help || (!failure && args.Has("help")))
      return Finish(c.name, Out(DescribeCommand(c) + "\n" + kExitCodes));
    if (!failure) failure = c.run(args);
    return Finish(c.name, WithOwners(std::move(failure)));
  }
  return Finish(nullptr, Usage("unknown command '" + name + "' (see scout --help)"));
}

}  // namespace

std::vector<Command> AllCommands() {
  std::vector<Command> all = {InfoCommand(),     TokenizeCommand(),  DetokenizeCommand(),
                              RunCommand(),      ChatCommand(),      LogitsCommand(),
                              GenerateCommand(), BatchCommand(),     BenchCommand(),
                              PackCommand(),     CompletionCommand()};
  for (Command& c : all) c.options.push_back({'h', "help", nullptr, "print this help"});
  return all;
}

std::string DescribeCommand(const Command& c) {
  std::string text = std::string("scout ") + c.name + ": " + c.summary + "\n\nUsage: scout " +
                     c.name + " " + c.usage + "\n";
  if (*c.details) text += std::string("\n") + c.details + "\n";
  return text + "\nOptions:\n" + DescribeOptions(c.options);
}

}  // namespace scout::tool

int main(int argc, char** argv) {
  using namespace scout::tool;
  try {
    return RunMain(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("scout: out of memory\n", stderr);
    return kExitLimit;
  }
}

// scout completion: what a shell needs to complete this command's words, from the parser's own
// lists. SPDX-License-Identifier: Apache-2.0
#include <string>

#include "tools/commands.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

// The words that an option's value is one of, "a b c"; empty where it is anything else.
std::string Choices(const Option& o) {
  std::string words = o.value == nullptr ? "" : o.value;
  if (words.find('|') == std::string::npos || words.find('@') != std::string::npos) return "";
  for (char& c : words) {
    if (c == '|') c = ' ';
  }
  return words;
}

bool IsFile(const Option& o) {
  std::string value = o.value == nullptr ? "" : o.value;
  return value == "PATH" || value.find("FILE") != std::string::npos;
}

std::string Words(const Command& c) {
  std::string words;
  for (const Option& o : c.options) {
    if (o.letter != 0) words += std::string("-") + o.letter + " ";
    words += std::string("--") + o.name + " ";
  }
  words.pop_back();
  return words;
}

std::string Pattern(const Option& o) {
  return (o.letter != 0 ? std::string("-") + o.letter + "|" : "") + "--" + o.name;
}

std::string Names() {
  std::string names;
  for (const Command& c : AllCommands()) names += std::string(c.name) + " ";
  return names + "help --help --version";
}

// Zsh reads the same functions through its bashcompinit.
std::string ForBash() {
  std::string text =
      "# Completion of scout; source it, or put it where bash-completion looks.\n"
      "_scout() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W \"" +
      Names() +
      "\" -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${COMP_WORDS[1]} in\n"
      "    help) ((COMP_CWORD == 2)) && COMPREPLY=($(compgen -W \"" +
      Names() +
      " --all\" -- \"$word\"))\n"
      "      return ;;\n";
  for (const Command& c : AllCommands()) {
    text += std::string("    ") + c.name + ")\n      words=\"" + Words(c) +
            "\"\n      case $before in\n";
    std::string free;
    for (const Option& o : c.options) {
      if (o.value == nullptr) continue;
      if (std::string choices = Choices(o); !choices.empty()) {
        text += "        " + Pattern(o) + ") COMPREPLY=($(compgen -W \"" + choices +
                "\" -- \"$word\")); return ;;\n";
      } else if (IsFile(o)) {
        text += "        " + Pattern(o) + ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n";
      } else {
        free += (free.empty() ? "" : "|") + Pattern(o);
      }
    }
    if (!free.empty()) text += "        " + free + ") return ;;\n";
    text += "      esac ;;\n";
  }
  return text +
         "  esac\n"
         "  if [[ $word == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _scout scout\n";
}

Failure Completion(const Args& args) {
  TOOL_TRY(args.AtMost(1));
  std::string shell = args.positional().empty() ? "" : args.positional()[0];
  if (shell == "bash") return Out(ForBash());
  if (shell == "zsh") {
    return Out(
        "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" +
        ForBash());
  }
  return Usage("shell '" + shell + "' is not one of bash, zsh");
}

}  // namespace

Command CompletionCommand() {
  return {"completion",
          "bash|zsh",
          "print a script that completes commands and options in a shell",
          "For this shell only: source <(scout completion bash)",
          {},
          Completion};
}

}  // namespace scout::tool

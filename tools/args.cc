// The command-line parser. SPDX-License-Identifier: Apache-2.0
#include "tools/args.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace scout::tool {
namespace {

const Option* FindOption(const OptionList& options, const std::string& name) {
  for (const Option& o : options) {
    if (name == o.name) return &o;
  }
  return nullptr;
}

const Option* FindLetter(const OptionList& options, char letter) {
  for (const Option& o : options) {
    if (letter != 0 && o.letter == letter) return &o;
  }
  return nullptr;
}

std::string Number(double value) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end.ptr);
}

}  // namespace

OptionList Join(std::initializer_list<OptionList> lists) {
  OptionList all;
  for (const OptionList& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

Failure Args::Parse(const OptionList& options, int argc, const char* const* argv, Args* args) {
  bool only_positional = false;
  for (int i = 0; i < argc; ++i) {
    std::string arg = argv[i];
    if (only_positional || arg.size() < 2 || arg[0] != '-') {
      args->positional_.push_back(std::move(arg));
      continue;
    }
    if (arg == "--") {
      only_positional = true;
      continue;
    }
    const Option* option = nullptr;
    std::string value;
    bool has_value = false;
    if (arg[1] == '-') {
      size_t equals = arg.find('=');
      option =
          FindOption(options, arg.substr(2, equals == std::string::npos ? equals : equals - 2));
      if (equals != std::string::npos) {
        value = arg.substr(equals + 1);
        has_value = true;
        arg.resize(equals);
      }
    } else if (arg.size() == 2) {
      option = FindLetter(options, arg[1]);
    }
    if (option == nullptr) return Usage("unknown option '" + arg + "' (see --help)");
    if (option->value == nullptr) {
      if (has_value) return Usage(arg + " takes no value");
    } else if (!has_value) {
      if (++i == argc) return Usage(arg + " needs a value: " + option->value);
      value = argv[i];
    }
    args->values_[option->name].push_back(std::move(value));
  }
  return Ok();
}

std::string Args::Get(const std::string& name, const std::string& otherwise) const {
  auto it = values_.find(name);
  return it == values_.end() ? otherwise : it->second.back();
}

std::vector<std::string> Args::GetAll(const std::string& name) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

Failure Args::AtMost(size_t most) const {
  if (positional_.size() <= most) return Ok();
  return Usage("unexpected argument '" + positional_[most] + "'");
}

Failure Args::Require(const std::string& name, const char* shown) const {
  if (Has(name)) return Ok();
  return Usage(std::string(shown) + " is missing (see --help)");
}

Failure Args::Int(const std::string& name, int64_t least, int64_t most, int64_t* value) const {
  if (!Has(name)) return Ok();
  std::string text = Get(name);
  int64_t number = 0;
  if (!ParseInt(text, &number) || number < least || number > most) {
    std::string range = most == INT64_MAX
                            ? "of at least " + std::to_string(least)
                            : "from " + std::to_string(least) + " to " + std::to_string(most);
    return Usage("--" + name + " '" + text + "' is not a whole number " + range);
  }
  *value = number;
  return Ok();
}

Failure Args::Int(const std::string& name, int64_t least, int64_t most, int32_t* value) const {
  int64_t wide = *value;
  TOOL_TRY(Int(name, least, most, &wide));
  *value = static_cast<int32_t>(wide);
  return Ok();
}

Failure Args::IntList(const std::string& name, int64_t least, int64_t most,
                      std::vector<int64_t>* value) const {
  if (!Has(name)) return Ok();
  std::string text = Get(name);
  std::vector<int64_t> numbers;
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    int64_t number = 0;
    if (!ParseInt(text.substr(at, comma - at), &number) || number < least || number > most) {
      return Usage("--" + name + " '" + text + "' is not a list of whole numbers from " +
                   std::to_string(least) + " to " + std::to_string(most) + ", such as 1,2,3");
    }
    numbers.push_back(number);
    at = comma + 1;
  }
  *value = std::move(numbers);
  return Ok();
}

Failure Args::Double(const std::string& name, double least, double most, double* value) const {
  if (!Has(name)) return Ok();
  std::string text = Get(name);
  double number = 0;
  if (!ParseDouble(text, &number) || !(number >= least && number <= most)) {
    return Usage("--" + name + " '" + text + "' is not a number from " + Number(least) + " to " +
                 Number(most));
  }
  *value = number;
  return Ok();
}

Failure Args::Choice(const std::string& name,
                     std::initializer_list<std::pair<const char*, int32_t>> choices,
                     int32_t* value) const {
  if (!Has(name)) return Ok();
  std::string text = Get(name), all;
  for (const auto& [word, number] : choices) {
    if (text == word) {
      *value = number;
      return Ok();
    }
    all += (all.empty() ? "" : ", ") + std::string(word);
  }
  return Usage("--" + name + " '" + text + "' is not one of " + all);
}

bool ParseInt(const std::string& text, int64_t* value) {
  const char* end = text.data() + text.size();
  auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end && !text.empty();
}

bool ParseDouble(const std::string& text, double* value) {
  const char* end = text.data() + text.size();
  auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end && !text.empty() && std::isfinite(*value);
}

std::string DescribeOptions(const OptionList& options) {
  constexpr size_t kColumn = 32;
  std::string text;
  for (const Option& o : options) {
    std::string line = o.letter ? std::string("  -") + o.letter + ", --" : "      --";
    line += o.name;
    if (o.value != nullptr) line += std::string(" ") + o.value;
    if (line.size() + 2 > kColumn) {
      text += line + "\n";
      line.clear();
    }
    line.resize(kColumn, ' ');
    for (const char* c = o.help; *c; ++c) {
      line += *c;
      if (*c == '\n') line.append(kColumn, ' ');
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace scout::tool

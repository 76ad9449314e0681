// Quantisation configurations of compressed-tensors and AutoAWQ. SPDX-License-Identifier:
// Apache-2.0
#include "lib/model/quant_config.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/format/byte_source.h"
#include "lib/model/name_pattern.h"

namespace scout {
namespace {

constexpr size_t kMaxEntries = 65'536;
constexpr int64_t kMaxGroup = int64_t{1} << 22;
constexpr int64_t kOneScale = -1;   // group_size of a scale per row, in files
constexpr int64_t kAwqGroup = 128;  // where an AWQ configuration does not say

absl::Status Bad(const std::string& where, std::string_view reason) {
  return AtPlace(CorruptError(absl::StrCat("\"", where, "\" ", AbslView(reason))),
                 {.tensor = where});
}

absl::Status NotRun(const std::string& where, const std::string& what) {
  return AtPlace(UnsupportedError(absl::StrCat("quantised weights: ", what)), {.tensor = where});
}

const Json* Member(const Json& object, const char* key) {
  const Json* value = object.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

// Text of a member in lower case, "" where it is missing or none.
std::string Text(const Json& object, const char* key) {
  const Json* value = Member(object, key);
  return value != nullptr && value->is_string()
             ? absl::AsciiStrToLower(Printable(value->as_string()))
             : "";
}

absl::StatusOr<bool> Flag(const Json& object, const char* key, bool fallback,
                          const std::string& where) {
  const Json* value = Member(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return Bad(where + key, "is not true or false");
  return value->as_bool();
}

absl::StatusOr<std::vector<std::string>> Names(const Json& object, const char* key,
                                               const std::string& where) {
  std::vector<std::string> names;
  const Json* list = Member(object, key);
  if (list == nullptr) return names;
  if (!list->is_array() || list->items().size() > kMaxEntries) {
    return Bad(where + key, "is not a list of names");
  }
  for (const Json& item : list->items()) {
    if (!item.is_string()) return Bad(where + key, "has an entry that is no name");
    names.push_back(item.as_string());
  }
  return names;
}

// A size in [1, kMaxGroup], or 0 for one scale per row.
absl::StatusOr<int64_t> GroupSize(const Json& object, const char* key, int64_t missing,
                                  const std::string& where) {
  const Json* value = Member(object, key);
  if (value == nullptr) return missing;
  if (!value->is_int()) return Bad(where + key, "is not an integer");
  if (value->as_int() == kOneScale) return 0;
  if (value->as_int() < 1 || value->as_int() > kMaxGroup) {
    return Bad(where + key, absl::StrCat("is ", value->as_int(), ", outside [1, ", kMaxGroup, "]"));
  }
  return value->as_int();
}

// `format` of the whole is that of a group which says none.
absl::StatusOr<QuantGroup> ReadGroup(const Json& json, const std::string& name,
                                     const std::string& format) {
  const std::string where = absl::StrCat("config_groups.", name, ".");
  QuantGroup group;
  group.name = name;
  if (!json.is_object()) return Bad(where + "weights", "is in no object");
  const Json* weights = Member(json, "weights");
  if (weights == nullptr || !weights->is_object()) return Bad(where + "weights", "is no object");
  SCOUT_ASSIGN_OR_RETURN(group.targets, Names(json, "targets", where));
  const std::string in = where + "weights.";
  const Json* bits = Member(*weights, "num_bits");
  if (bits == nullptr || !bits->is_int()) return Bad(in + "num_bits", "is not an integer");
  const std::string type = Text(*weights, "type");
  std::string strategy = Text(*weights, "strategy");
  const std::string own = Text(json, "format");
  const std::string packing = own.empty() ? format : own;
  group.float8 = type == "float";
  if (bits->as_int() != (group.float8 ? 8 : 4) || (type != "int" && type != "float")) {
    return NotRun(in + "num_bits", absl::StrCat(bits->as_int(), "-bit weights of type \"", type,
                                                "\" (int of 4 bits and float of 8 are run)"));
  }
  const bool known = group.float8 ? packing == "float-quantized" || packing == "naive-quantized"
                                  : packing == "pack-quantized";
  if (!known) {
    return NotRun(where + "format",
                  absl::StrCat("format \"", packing, "\" of ", bits->as_int(), "-bit ", type));
  }
  SCOUT_ASSIGN_OR_RETURN(group.group_size, GroupSize(*weights, "group_size", 0, in));
  SCOUT_ASSIGN_OR_RETURN(group.symmetric, Flag(*weights, "symmetric", true, in));
  if (Member(*weights, "strategy") == nullptr) {  // as the format's own reader fills it in
    strategy = Member(*weights, "group_size") == nullptr ? "tensor"
               : group.group_size > 0                    ? "group"
                                                         : "channel";
  }
  if (strategy == "channel" || (strategy == "tensor" && group.float8)) {
    group.group_size = 0;
    group.per_tensor = strategy == "tensor";
  } else if (strategy != "group" || group.float8) {
    return NotRun(in + "strategy", absl::StrCat("a scale per \"", strategy, "\" of ",
                                                bits->as_int(), "-bit ", type));
  } else if (group.group_size == 0) {
    return Bad(in + "group_size", "is missing");
  }
  if (group.float8 && !group.symmetric) {
    return NotRun(in + "symmetric", "float of 8 bits with zero points");
  }
  return group;
}

absl::StatusOr<QuantConfig> ReadCompressedTensors(const Json& json) {
  QuantConfig config;
  config.method = QuantConfig::Method::kCompressedTensors;
  SCOUT_ASSIGN_OR_RETURN(config.ignore, Names(json, "ignore", ""));
  if (const Json* sparse = Member(json, "sparsity_config")) {
    const std::string format = Text(*sparse, "format");
    if (!format.empty() && format != "dense") {
      return NotRun("sparsity_config", absl::StrCat("sparsity \"", format, "\""));
    }
  }
  const Json* groups = Member(json, "config_groups");
  if (groups == nullptr || !groups->is_object() || groups->items().empty() ||
      groups->items().size() > kMaxEntries) {
    return Bad("config_groups", "is missing or no object with groups");
  }
  const std::string format = Text(json, "format");
  for (size_t i = 0; i < groups->items().size(); ++i) {
    SCOUT_ASSIGN_OR_RETURN(QuantGroup group,
                           ReadGroup(groups->items()[i], Printable(groups->names()[i]), format));
    config.groups.push_back(std::move(group));
  }
  return config;
}

absl::StatusOr<QuantConfig> ReadAwq(const Json& json) {
  QuantConfig config;
  config.method = QuantConfig::Method::kAwq;
  SCOUT_ASSIGN_OR_RETURN(config.ignore, Names(json, "modules_to_not_convert", ""));
  const Json* bits = Member(json, "bits") != nullptr ? Member(json, "bits") : Member(json, "w_bit");
  if (bits == nullptr || !bits->is_int()) return Bad("bits", "is not an integer");
  if (bits->as_int() != 4) return NotRun("bits", absl::StrCat("AWQ of ", bits->as_int(), " bits"));
  const std::string version = Text(json, "version");
  if (!version.empty() && version != "gemm") {
    return NotRun("version", absl::StrCat("AWQ in the layout \"", version, "\" (gemm is run)"));
  }
  QuantGroup group;
  group.name = "awq";
  group.targets = {"Linear"};
  // AutoAWQ writes other names than the configurations that transformers saves.
  const char* size = Member(json, "group_size") != nullptr ? "group_size" : "q_group_size";
  SCOUT_ASSIGN_OR_RETURN(group.group_size, GroupSize(json, size, kAwqGroup, ""));
  SCOUT_ASSIGN_OR_RETURN(const bool zero_point, Flag(json, "zero_point", true, ""));
  group.symmetric = !zero_point;
  config.groups.push_back(std::move(group));
  return config;
}

// Whether `part` is one or more whole components of `module`: "gate" is none of "mlp.gate_proj".
bool HasComponents(std::string_view module, std::string_view part) {
  for (size_t at = module.find(part); at != module.npos && !part.empty();
       at = module.find(part, at + 1)) {
    const size_t end = at + part.size();
    if ((at == 0 || module[at - 1] == '.') && (end == module.size() || module[end] == '.')) {
      return true;
    }
  }
  return false;
}

// An `ignore` entry that cannot be read leaves out nothing: what is quantised, the tensors say.
bool Ignored(const QuantConfig& config, const std::string& module) {
  for (const std::string& entry : config.ignore) {
    if (config.method == QuantConfig::Method::kAwq) {
      if (HasComponents(module, entry)) return true;
      continue;
    }
    const absl::StatusOr<bool> matches = NameMatches(entry, module);
    if (matches.ok() && *matches) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<const QuantGroup*> QuantConfig::GroupOf(const std::string& module) const {
  if (Ignored(*this, module)) {
    return CorruptError(absl::StrCat(module, " is quantised, but on the configuration's list of ",
                                     "modules that are not"));
  }
  const QuantGroup* by_class = nullptr;
  for (const QuantGroup& group : groups) {
    for (const std::string& target : group.targets) {
      if (target == "Linear") {
        if (by_class == nullptr) by_class = &group;
        continue;
      }
      const absl::StatusOr<bool> matches = NameMatches(target, module);
      if (!matches.ok()) {
        if (groups.size() == 1) return &group;  // there is no other that it could mean
        return matches.status();
      }
      if (*matches) return &group;
    }
  }
  if (by_class != nullptr) return by_class;
  return CorruptError(absl::StrCat(module, " is quantised, but no target of the configuration's ",
                                   groups.size(), groups.size() == 1 ? " group" : " groups"));
}

absl::StatusOr<QuantConfig> QuantConfigFromJson(const Json& json) {
  const Json* text = json.find("text_config");
  for (const Json* object : {&json, text}) {
    for (const char* key : {"quantization_config", "compression_config"}) {
      const Json* found = object == nullptr ? nullptr : Member(*object, key);
      if (found == nullptr) continue;
      if (!found->is_object()) return Bad(key, "is no object");
      const std::string method = Text(*found, "quant_method");
      const auto read = [&]() -> absl::StatusOr<QuantConfig> {
        if (method == "compressed-tensors" || method == "sparseml" ||
            (method.empty() && Member(*found, "config_groups") != nullptr)) {
          return ReadCompressedTensors(*found);
        }
        if (method == "awq") return ReadAwq(*found);
        return NotRun(key, absl::StrCat("method \"", method.empty() ? "unknown" : method,
                                        "\" (compressed-tensors and awq are run)"));
      };
      absl::StatusOr<QuantConfig> config = read();
      if (!config.ok()) return AtPlace(config.status(), {.tensor = key});
      return config;
    }
  }
  return QuantConfig();
}

}  // namespace scout

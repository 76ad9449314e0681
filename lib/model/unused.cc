// Which tensors may be left out. SPDX-License-Identifier: Apache-2.0
#include "lib/model/unused.h"

#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/format/byte_source.h"

namespace scout {
namespace {

constexpr int64_t kExamples = 3;

// What a name must begin with, contain or end in.
constexpr std::string_view kBegin[] = {
    "vision_model.",
    "multi_modal_projector.",
    "vision_tower.",
    "model.vision_model.",
    "model.multi_modal_projector.",
    "model.vision_tower.",
    "v.",
    "mm.",
    "optimizer.",
    "lr_scheduler.",
    "optimizer_state.",
};
constexpr std::string_view kPart[] = {"rotary_emb.", ".exp_avg"};
constexpr std::string_view kEnd[] = {
    "rope_freqs.weight",  // read with the configuration
    ".inv_freq",
    ".k_scale",
    ".v_scale",
    ".q_scale",
    ".kv_scale",
    ".prob_scale",
    ".input_scale",
    ".output_scale",
    ".input_zero_point",
    ".output_zero_point",
    ".input_global_scale",
};

bool IsForeign(std::string_view name) {
  for (std::string_view text : kBegin) {
    if (name.starts_with(text)) return true;
  }
  for (std::string_view text : kPart) {
    if (name.find(text) != std::string_view::npos) return true;
  }
  for (std::string_view text : kEnd) {
    if (name.ends_with(text)) return true;
  }
  return false;
}

// "model.layers.3.mlp.gate.weight" -> "model.layers.3.mlp.gate"
std::string_view ModuleOf(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(0, dot);
}

// The layer that a name speaks of, or -1.
int64_t LayerOf(std::string_view name) {
  for (std::string_view prefix : {"model.layers.", "language_model.model.layers.", "blk."}) {
    if (!name.starts_with(prefix)) continue;
    int64_t layer = 0;
    size_t at = prefix.size();
    while (at < name.size() && name[at] >= '0' && name[at] <= '9' && layer < 1'000'000) {
      layer = 10 * layer + (name[at++] - '0');
    }
    return at > prefix.size() && at < name.size() && name[at] == '.' ? layer : -1;
  }
  return -1;
}

struct Note {
  int64_t n = 0;
  std::string names;

  void Add(const std::string& name) {
    if (n++ < kExamples) absl::StrAppend(&names, names.empty() ? "" : ", ", Printable(name));
  }
};

}  // namespace

absl::Status CheckUnused(const WeightPlan& plan, int64_t n_layers, const Logger& logger) {
  std::set<std::string_view> modules;
  for (const TensorEntry* entry : plan.bound()) modules.insert(ModuleOf(entry->name));
  Note foreign, other;
  for (const TensorEntry* entry : plan.unbound()) {
    const std::string& name = entry->name;
    if (IsForeign(name)) {
      if (name != "rope_freqs.weight") foreign.Add(name);
      continue;
    }
    const int64_t layer = LayerOf(name);
    if ((layer >= 0 && layer < n_layers) || modules.contains(ModuleOf(name))) {
      return AtPlace(UnsupportedError(
                         absl::StrCat("tensor ", name, " is no part of a Llama 4 model that this ",
                                      "library runs; without it results would differ")),
                     {plan.table().files[entry->file]->path(), name, entry->offset});
    }
    other.Add(name);
  }
  if (foreign.n > 0) {
    logger.Log(LogLevel::kInfo,
               absl::StrCat(foreign.n, " tensors outside the text model are not loaded, such as ",
                            foreign.names));
  }
  if (other.n > 0) {
    logger.Log(LogLevel::kWarning,
               absl::StrCat(other.n, " tensors are not used, such as ", other.names));
  }
  return absl::OkStatus();
}

}  // namespace scout

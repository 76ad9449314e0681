// What a Hugging Face configuration says of quantised weights. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/format/json.h"
#include "lib/util/status.h"

namespace scout {

// One scheme and the modules it is meant for.
struct QuantGroup {
  std::string name;                  // of the group, for messages
  std::vector<std::string> targets;  // NameMatches entries, or classes such as "Linear"
  bool float8 = false;               // else 4-bit integers
  int64_t group_size = 0;            // elements per scale along a row; 0: one per row or tensor
  bool per_tensor = false;           // one scale for all rows
  bool symmetric = true;
};

struct QuantConfig {
  enum class Method { kNone, kCompressedTensors, kAwq };
  Method method = Method::kNone;
  std::vector<QuantGroup> groups;
  std::vector<std::string> ignore;  // NameMatches entries; AWQ: components of names

  // The scheme of a module that the file holds quantised, "model.layers.0.self_attn.q_proj".
  // Corrupt where the configuration leaves the module out, Unsupported for an expression it cannot
  // read.
  absl::StatusOr<const QuantGroup*> GroupOf(const std::string& module) const;
};

// From config.json: quantization_config or compression_config, of the model or its text_config. No
// quantisation without one. Unsupported, with the name, for every other method, format or width.
absl::StatusOr<QuantConfig> QuantConfigFromJson(const Json& json);

}  // namespace scout

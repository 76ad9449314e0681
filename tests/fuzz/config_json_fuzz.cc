// config.json from any bytes: an error, or a configuration that holds.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/model/config.* lib/model/config_json.cc lib/format/json.*
#include <cmath>

#include "lib/model/config.h"
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateJson);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using scout::test::Require;
  const auto json =
      scout::ParseJson({reinterpret_cast<const char*>(data), size}, {.max_bytes = 1 << 20});
  if (!json.ok()) return 0;
  const auto config = scout::ConfigFromJson(*json);
  if (!config.ok()) {
    scout::test::RequireFileError(config.status());
    return 0;
  }
  Require(scout::CheckConfig(*config).ok());
  Require(config->n_layers >= 1 && config->hidden >= 1 && config->vocab >= 1);
  Require(static_cast<int64_t>(config->layers.size()) == config->n_layers);
  Require(config->n_experts_used <= config->n_experts);
  Require(static_cast<int64_t>(config->InvFreq().size()) == config->head_dim / 2);
  for (const double f : config->InvFreq()) Require(std::isfinite(f));
  Require(!scout::CanonicalText(*config).empty());
  return 0;
}

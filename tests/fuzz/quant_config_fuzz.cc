// A quantization_config from any bytes, and the names in it: an error, or schemes that can be told
// apart. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/model/quant_config.* lib/model/name_pattern.* lib/format/json.*
#include "lib/model/quant_config.h"

#include "lib/model/name_pattern.h"
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

SCOUT_CUSTOM_MUTATOR(scout::test::MutateJson);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using scout::test::Require;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The text itself as an expression, whatever it is.
  for (const char* name :
       {"", "model.layers.0.self_attn.q_proj", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    const auto matches = scout::NameMatches("re:" + std::string(text), name);
    if (!matches.ok()) scout::test::RequireFileError(matches.status());
  }
  const auto json = scout::ParseJson(text, {.max_bytes = 1 << 20});
  if (!json.ok()) return 0;
  const auto quant = scout::QuantConfigFromJson(*json);
  if (!quant.ok()) {
    scout::test::RequireFileError(quant.status());
    return 0;
  }
  Require(quant->method == scout::QuantConfig::Method::kNone || !quant->groups.empty());
  for (const scout::QuantGroup& group : quant->groups) Require(group.group_size >= 0);
  for (const char* module : {"lm_head", "model.layers.0.self_attn.q_proj",
                             "language_model.model.layers.47.feed_forward.experts.15.down_proj"}) {
    const auto group = quant->GroupOf(module);
    if (!group.ok()) {
      scout::test::RequireFileError(group.status());
      continue;
    }
    bool known = *group == nullptr;
    for (const scout::QuantGroup& each : quant->groups) known = known || &each == *group;
    Require(known);
  }
  return 0;
}

// Any bytes as JSON: an error with an offset, or a tree in which every member is found.
// SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/format/json.*
#include "lib/format/json.h"

#include "tests/fuzz/mutators.h"
#include "tests/fuzz/table_oracle.h"

namespace {

void Walk(const scout::Json& json, int depth, const scout::JsonLimits& limits, int64_t* n_values) {
  using scout::test::Require;
  ++*n_values;
  if (json.is_array() || json.is_object()) Require(depth <= limits.max_depth);
  if (json.is_object()) {
    Require(json.names().size() == json.items().size());
    for (size_t i = 0; i < json.names().size(); ++i) {
      Require(json.find(json.names()[i]) == &json.items()[i]);
    }
  } else {
    Require(json.names().empty());
  }
  for (const scout::Json& item : json.items()) Walk(item, depth + 1, limits, n_values);
}

}  // namespace

SCOUT_CUSTOM_MUTATOR(scout::test::MutateJson);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const scout::JsonLimits limits{.max_depth = 16, .max_values = 10'000};
  const absl::StatusOr<scout::Json> json =
      scout::ParseJson({reinterpret_cast<const char*>(data), size}, limits);
  if (!json.ok()) {
    scout::test::Require(scout::PlaceOf(json.status()).offset >= 0);
    scout::test::Require(scout::PlaceOf(json.status()).offset <= static_cast<int64_t>(size));
    return 0;
  }
  int64_t n_values = 0;
  Walk(*json, 1, limits, &n_values);
  scout::test::Require(n_values <= limits.max_values);
  return 0;
}

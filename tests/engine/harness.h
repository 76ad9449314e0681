// Models of tests/golden placed on engines, and runs of them whose logits are compared bit by bit.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/engine/session.h"

namespace scout {

struct Variant {
  std::string model;  // below tests/golden
  bool exact = true;
  bool reference = false;
  kernels::Isa isa = kernels::Isa::kAuto;
  int64_t page_tokens = 16;
  int64_t chunk = -1;  // override, -1: the model's own
};
std::string NameOf(const Variant& variant);

// The model, loaded once per (path, chunk) and test program.
std::shared_ptr<const Model> GoldenModel(const Variant& variant);
std::shared_ptr<Engine> MakeEngine(const Variant& variant, int64_t n_threads = 1,
                                   int64_t max_step_tokens = 2048, bool flip_merge = false);
// n ids in [0, vocab), from a seed.
std::vector<int32_t> RandomTokens(const Model& model, int64_t n, uint64_t seed);

// Logits of rows, one after another: (n, vocab).
using Rows = std::vector<float>;

// Prefills tokens in pieces of the given sizes (the last size repeats) and returns all rows'
// logits.
Rows PrefillAll(Session& session, const std::vector<int32_t>& tokens, std::vector<int64_t> pieces);
// Number of rows whose bits differ.
int64_t DifferingRows(const Rows& a, const Rows& b, int64_t vocab);

}  // namespace scout

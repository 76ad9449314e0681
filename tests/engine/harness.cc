#include "tests/engine/harness.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <numeric>
#include <random>

namespace scout {

std::string NameOf(const Variant& v) {
  std::string name = v.model + (v.exact ? "_exact" : "_fast");
  name += v.reference                        ? "_reference"
          : v.isa == kernels::Isa::kPortable ? "_portable"
          : v.isa == kernels::Isa::kAvx2     ? "_avx2"
          : v.isa == kernels::Isa::kAvx512   ? "_avx512"
                                             : "_cpu";
  if (v.chunk > 0) name += "_chunk" + std::to_string(v.chunk);
  for (char& c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) c = '_';
  }
  return name;
}

std::shared_ptr<const Model> GoldenModel(const Variant& variant) {
  static std::map<std::pair<std::string, int64_t>, std::shared_ptr<const Model>> models;
  auto& model = models[{variant.model, variant.chunk}];
  if (model == nullptr) {
    LoadOptions options;
    options.overrides.attention_chunk = variant.chunk;
    if (variant.chunk > 0) options.overrides.temperature_floor = variant.chunk / 2;
    auto loaded = Model::Load(SCOUT_SOURCE_DIR "/tests/golden/" + variant.model, options);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (loaded.ok()) model = *std::move(loaded);
  }
  return model;
}

std::shared_ptr<Engine> MakeEngine(const Variant& variant, int64_t n_threads,
                                   int64_t max_step_tokens, bool flip_merge) {
  EngineOptions options;
  options.exact = variant.exact;
  options.reference_backend = variant.reference;
  options.isa = variant.isa;
  options.page_tokens = variant.page_tokens;
  options.n_threads = n_threads;
  options.max_step_tokens = max_step_tokens;
  options.kv_tokens = 8192;
  options.max_sessions = 8;
  options.merge_right_to_left = flip_merge;
  auto model = GoldenModel(variant);
  if (model == nullptr) return nullptr;
  auto engine = Engine::Create(std::move(model), options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

std::vector<int32_t> RandomTokens(const Model& model, int64_t n, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& t : tokens)
    t = static_cast<int32_t>(rng() % static_cast<uint64_t>(model.config().vocab));
  return tokens;
}

Rows PrefillAll(Session& session, const std::vector<int32_t>& tokens, std::vector<int64_t> pieces) {
  const int64_t vocab = session.engine()->model().config().vocab;
  const int64_t n = static_cast<int64_t>(tokens.size());
  Rows logits(tokens.size() * static_cast<size_t>(vocab), -1.0f);
  for (int64_t at = 0, i = 0; at < n; ++i) {
    const int64_t piece =
        std::min(n - at, pieces[std::min<size_t>(static_cast<size_t>(i), pieces.size() - 1)]);
    std::vector<int64_t> rows(static_cast<size_t>(piece));
    std::iota(rows.begin(), rows.end(), session.position());
    PrefillRequest request;
    request.logit_rows = rows.data();
    request.n_logit_rows = piece;
    request.logits = logits.data() + at * vocab;
    SyncResult result;
    const absl::Status s = session.Prefill(tokens.data() + at, piece, request, &result);
    EXPECT_TRUE(s.ok()) << s;
    if (!s.ok()) return {};
    at += piece;
  }
  return logits;
}

int64_t DifferingRows(const Rows& a, const Rows& b, int64_t vocab) {
  if (a.size() != b.size() || a.empty()) return -1;
  int64_t n = 0;
  for (size_t at = 0; at < a.size(); at += static_cast<size_t>(vocab)) {
    n += std::memcmp(a.data() + at, b.data() + at, static_cast<size_t>(vocab) * sizeof(float)) != 0;
  }
  return n;
}

}  // namespace scout

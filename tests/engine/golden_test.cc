// Logits and greedy tokens against the reference implementation's, for every golden model of the
// repository and, where it is at hand, of ../shared/fixtures.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "lib/format/file.h"
#include "lib/format/json.h"
#include "lib/format/safetensors.h"
#include "tests/engine/harness.h"

namespace scout {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string root;    // tests/golden or ../shared/fixtures
  std::string model;   // folder or file below it
  std::string golden;  // without ".json"
  bool is_long = false;
};

struct Golden {
  std::vector<int32_t> input, greedy;
  Rows logits;  // the last rows of the sequence
  int64_t n_rows = 0;
  double peer_kl = -1;  // -1: no peer
  int64_t peer_flips = 0;
};

std::vector<int32_t> Ids(const Json* json) {
  std::vector<int32_t> ids;
  if (json != nullptr) {
    for (const Json& id : json->items()) ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ids;
}

Golden ReadGolden(const Case& c, int64_t vocab) {
  Golden g;
  auto text = ReadWholeFile(c.root + "/" + c.golden + ".json", 1 << 24);
  EXPECT_TRUE(text.ok()) << text.status();
  if (!text.ok()) return g;
  auto json = ParseJson(*text);
  EXPECT_TRUE(json.ok()) << json.status();
  if (!json.ok()) return g;
  g.input = Ids(json->find("input_ids"));
  g.greedy = Ids(json->find("greedy_ids"));
  double equal_share = 1;
  if (const Json* peer = json->find("peer")) {
    if (const Json* standard = peer->find("default")) {
      if (const Json* kl = standard->find("mean_kl")) g.peer_kl = kl->as_double();
      if (const Json* equal = standard->find("top1_equal")) equal_share = equal->as_double();
    }
  }
  TensorTable table;
  const absl::Status s = AppendSafetensors(c.root + "/" + c.golden + ".safetensors", &table);
  EXPECT_TRUE(s.ok()) << s;
  const TensorEntry* logits = table.find("logits");
  EXPECT_NE(logits, nullptr);
  if (logits == nullptr) return g;
  g.n_rows = logits->n_elements() / vocab;
  g.peer_flips = std::llround((1 - equal_share) * static_cast<double>(g.n_rows));
  g.logits.resize(static_cast<size_t>(g.n_rows * vocab));
  EXPECT_TRUE(
      table.files[logits->file]->ReadAt(logits->offset, g.logits.data(), logits->nbytes).ok());
  return g;
}

// Mean over rows of KL(golden || ours), nats, in double.
double MeanKl(const Rows& golden, const Rows& ours, int64_t vocab) {
  auto log_z = [&](const float* row) {
    double top = row[0], sum = 0;
    for (int64_t i = 1; i < vocab; ++i) top = std::max(top, static_cast<double>(row[i]));
    for (int64_t i = 0; i < vocab; ++i) sum += std::exp(row[i] - top);
    return top + std::log(sum);
  };
  double total = 0;
  const int64_t n = static_cast<int64_t>(golden.size()) / vocab;
  for (int64_t r = 0; r < n; ++r) {
    const float *g = golden.data() + r * vocab, *o = ours.data() + r * vocab;
    const double zg = log_z(g), zo = log_z(o);
    for (int64_t i = 0; i < vocab; ++i) total += std::exp(g[i] - zg) * ((g[i] - zg) - (o[i] - zo));
  }
  return total / static_cast<double>(n);
}

std::vector<Case> Cases(const std::string& root, bool is_long) {
  std::vector<Case> cases;
  std::error_code none;
  for (const char* folder :
       {"scout-small", "scout-tiny", "scout-tiny-bf16", "maverick-tiny", "scout-hd128",
        "scout-tiny-w4a16", "scout-tiny-fp8", "scout-tiny-awq", "scout-hd128-w4a16", "quant-w4",
        "quant-mixed", "quant-awq"}) {
    if (!fs::exists(root + "/" + folder + "/model.safetensors", none) &&
        !fs::exists(root + "/" + folder + "/model.safetensors.index.json", none))
      continue;
    const std::string golden = std::string(folder) + (is_long ? "/long.golden" : "/golden");
    if (fs::exists(root + "/" + golden + ".json", none))
      cases.push_back({root, folder, golden, is_long});
  }
  for (const char* file :
       {"scout-small/F32", "scout-small/F16", "scout-small/BF16", "scout-small/Q8_0",
        "scout-small/Q4_0", "scout-small/Q4_1", "scout-small/Q5_0", "scout-small/Q5_1",
        "scout-small/IQ4_NL", "scout-small/MXFP4_MOE", "scout-k/Q2_K", "scout-k/Q3_K_M",
        "scout-k/Q4_K_M", "scout-k/Q5_K_M", "scout-k/Q6_K", "scout-k/IQ4_XS", "maverick/Q4_0",
        "scout-hd128/Q8_0", "scout-hd128/Q4_K_M"}) {
    const std::string stem = std::string("gguf/") + file;
    std::string golden = stem + (is_long ? ".long.golden" : ".golden");
    if (is_long && std::string(file) == "scout-small/F32") golden = "gguf/scout-small/long.golden";
    if (fs::exists(root + "/" + stem + ".gguf", none) &&
        fs::exists(root + "/" + golden + ".json", none)) {
      cases.push_back({root, stem + ".gguf", golden, is_long});
    }
  }
  // Models of the repository itself: a folder and its GGUF file share golden values.
  for (const char* name : {"needle-4l"}) {
    const std::string golden = std::string(name) + (is_long ? "/long.golden" : "/golden");
    if (!fs::exists(root + "/" + golden + ".json", none)) continue;
    const std::string folder = std::string("../../models/") + name;
    cases.push_back({root, folder, golden, is_long});
    cases.push_back({root, folder + "/" + name + ".gguf", golden, is_long});
  }
  return cases;
}

std::vector<Case> OwnCases() { return Cases(SCOUT_SOURCE_DIR "/tests/golden", false); }
std::vector<Case> OwnLongCases() { return Cases(SCOUT_SOURCE_DIR "/tests/golden", true); }

// All logits of the golden rows from an engine of this variant.
Rows LogitsOf(const std::shared_ptr<Engine>& engine, const Golden& g) {
  const int64_t vocab = engine->model().config().vocab, n = static_cast<int64_t>(g.input.size());
  auto session = Session::Create(engine, n + 64);
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) return {};
  std::vector<int64_t> rows(static_cast<size_t>(g.n_rows));
  std::iota(rows.begin(), rows.end(), n - g.n_rows);
  Rows out(g.logits.size());
  PrefillRequest request;
  request.logit_rows = rows.data();
  request.n_logit_rows = g.n_rows;
  request.logits = out.data();
  SyncResult result;
  const absl::Status s = (*session)->Prefill(g.input.data(), n, request, &result);
  EXPECT_TRUE(s.ok()) << s;
  std::vector<int32_t> greedy;
  for (size_t i = 0; i < g.greedy.size(); ++i) {
    auto token = (*session)->Decode({});
    EXPECT_TRUE(token.ok()) << token.status();
    if (token.ok()) greedy.push_back(*token);
  }
  if (engine->layout()->format == kernels::KvFormat::kF32) {
    EXPECT_EQ(greedy, g.greedy);
  }
  EXPECT_EQ(out.size(), static_cast<size_t>(g.n_rows * vocab));
  return out;
}

double MaxDifference(const Rows& a, const Rows& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - b[i]);
    if (!std::isfinite(d)) return INFINITY;
    worst = std::max(worst, d);
  }
  return worst;
}

std::shared_ptr<Engine> EngineFor(const Case& c, bool exact, bool reference, kernels::Isa isa) {
  auto model = Model::Load(c.root + "/" + c.model, {});
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return nullptr;
  EngineOptions o;
  o.exact = exact;
  o.reference_backend = reference;
  o.isa = isa;
  o.n_threads = 2;
  o.kv_tokens = 8448;
  auto engine = Engine::Create(*model, o);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *engine : nullptr;
}

void CheckExact(const Case& c, bool reference, kernels::Isa isa) {
  auto engine = EngineFor(c, true, reference, isa);
  ASSERT_NE(engine, nullptr);
  const Golden g = ReadGolden(c, engine->model().config().vocab);
  ASSERT_GT(g.n_rows, 0);
  ASSERT_EQ(g.greedy.size(), c.is_long ? 0u : 48u);
  EXPECT_LE(MaxDifference(LogitsOf(engine, g), g.logits), c.is_long ? 2e-3 : 2.5e-4);
}

void CheckEveryExact(const Case& c) {
  {
    SCOPED_TRACE("reference");
    CheckExact(c, true, kernels::Isa::kAuto);
  }
  for (kernels::Isa isa : {kernels::Isa::kPortable, kernels::Isa::kAvx2, kernels::Isa::kAvx512}) {
    if (kernels::cpu_backend(isa) == nullptr) continue;
    SCOPED_TRACE(kernels::cpu_backend(isa)->isa);
    CheckExact(c, false, isa);
  }
}

int64_t ArgMaxFlips(const Rows& a, const Rows& b, int64_t vocab) {
  int64_t flips = 0;
  for (size_t at = 0; at < a.size(); at += static_cast<size_t>(vocab)) {
    flips += ArgMax(a.data() + at, vocab) != ArgMax(b.data() + at, vocab);
  }
  return flips;
}

// Mean KL of every case against its bound, and the flips of all of them against the peer's.
void CheckFast(const std::vector<Case>& cases, bool reference, kernels::Isa isa) {
  int64_t flips = 0, peer_flips = 0;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.golden);
    auto engine = EngineFor(c, false, reference, isa);
    ASSERT_NE(engine, nullptr);
    const int64_t vocab = engine->model().config().vocab;
    const Golden g = ReadGolden(c, vocab);
    ASSERT_GT(g.n_rows, 0);
    const Rows logits = LogitsOf(engine, g);
    const double bound = g.peer_kl >= 0 ? std::max(1.02 * g.peer_kl, 1e-4) : 2.5e-3;
    EXPECT_LE(MeanKl(g.logits, logits, vocab), bound);
    if (g.peer_kl < 0) continue;
    flips += ArgMaxFlips(g.logits, logits, vocab);
    peer_flips += g.peer_flips;
  }
  EXPECT_LE(flips, peer_flips + 2) << "top-1 flips over all files with a peer";
}

void CheckFastEverywhere(const std::vector<Case>& cases) {
  {
    SCOPED_TRACE("reference");
    CheckFast(cases, true, kernels::Isa::kAuto);
  }
  for (kernels::Isa isa : {kernels::Isa::kPortable, kernels::Isa::kAvx2, kernels::Isa::kAvx512}) {
    if (kernels::cpu_backend(isa) == nullptr) continue;
    SCOPED_TRACE(kernels::cpu_backend(isa)->isa);
    CheckFast(cases, false, isa);
  }
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model;
  for (char& ch : name) {
    if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9')))
      ch = '_';
  }
  return name;
}

class GoldenModels : public testing::TestWithParam<Case> {};
TEST_P(GoldenModels, ExactOnEveryBackend) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "values, not threads: Determinism and the tests of jobs are for these";
#endif
  CheckEveryExact(GetParam());
}
INSTANTIATE_TEST_SUITE_P(Own, GoldenModels, testing::ValuesIn(OwnCases()), CaseName);

TEST(GoldenFast, OnEveryBackend) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "as GoldenModels";
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  CheckFast(OwnCases(), false, kernels::Isa::kAuto);  // the others: tests/kernels
#else
  CheckFastEverywhere(OwnCases());
#endif
}

TEST(GoldenCompare, NotANumberIsNoAgreement) {
  const Rows golden = {0, 0, 0, 0}, bad = {0, NAN, NAN, 0};
  EXPECT_EQ(MaxDifference(bad, golden), INFINITY);
  EXPECT_FALSE(MeanKl(golden, bad, 2) <= 1.0);
}

TEST(GoldenData, IsAllThere) {
  EXPECT_GE(OwnCases().size(), 18u);
  EXPECT_GE(OwnLongCases().size(), 4u);
}

// Sequences of 8,256 tokens that cross a chunk border and a temperature step.
class LongGoldens : public testing::TestWithParam<Case> {};
TEST_P(LongGoldens, ExactAndFast) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "8,256 tokens under a sanitizer run in ./check --full";
#endif
  CheckExact(GetParam(), false, kernels::Isa::kAuto);
  CheckFast({GetParam()}, false, kernels::Isa::kAuto);
}
INSTANTIATE_TEST_SUITE_P(Own, LongGoldens, testing::ValuesIn(OwnLongCases()), CaseName);

class FullLongGoldens : public testing::TestWithParam<Case> {};
TEST_P(FullLongGoldens, ExactOnEveryBackend) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  // Minutes on the scalar backends without a sanitizer: here the vectorised one alone.
  CheckExact(GetParam(), false, kernels::Isa::kAuto);
#else
  CheckEveryExact(GetParam());
#endif
}
INSTANTIATE_TEST_SUITE_P(Own, FullLongGoldens, testing::ValuesIn(OwnLongCases()), CaseName);

TEST(SharedFixtures, ExactAndFast) {
  const std::string root = SCOUT_SOURCE_DIR "/../shared/fixtures";
  if (!fs::exists(root)) GTEST_SKIP() << "../shared/fixtures is not at hand";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the same kinds of models as GoldenModels; without a sanitizer";
#endif
  const auto cases = Cases(root, false);
  ASSERT_FALSE(cases.empty());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.model);
    CheckEveryExact(c);
  }
  CheckFastEverywhere(cases);
}

TEST(FullSharedFixtures, LongExactAndFast) {
  const std::string root = SCOUT_SOURCE_DIR "/../shared/fixtures";
  if (!fs::exists(root)) GTEST_SKIP() << "../shared/fixtures is not at hand";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the same models as FullLongGoldens; without a sanitizer";
#endif
  const auto cases = Cases(root, true);
  ASSERT_FALSE(cases.empty());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.model);
    CheckEveryExact(c);
  }
  CheckFast(cases, false, kernels::Isa::kAuto);
}

}  // namespace
}  // namespace scout

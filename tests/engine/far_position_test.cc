// The last positions of a context of 10,485,760 tokens, read whole: attention temperature, rotation
// and the number of keys, against values computed here in double. SPDX-License-Identifier:
// Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "lib/engine/session.h"
#include "tests/engine/harness.h"
#include "tests/util/safetensors_builder.h"
#include "tests/util/temp_folder.h"

namespace scout {
namespace {

constexpr int64_t kContext = 10'485'760, kVocab = 4, kHidden = 4, kDim = 2, kChunk = 512;
constexpr double kEps = 1e-5;

// A model of one layer with one head, whose feed-forward adds nothing: what an answer is made of is
// attention alone.
struct OneLayer {
  std::array<double, kVocab * kHidden> embedding, head;
  std::array<double, kDim * kHidden> q, k, v;
  std::array<double, kHidden * kDim> o;

  explicit OneLayer(uint64_t seed) {
    std::mt19937_64 rng(seed);
    const auto fill = [&](auto* values) {
      for (double& value : *values) {
        value = static_cast<float>(static_cast<double>(rng() % 2001) / 1000.0 - 1.0);
      }
    };
    fill(&embedding), fill(&head), fill(&q), fill(&k), fill(&v), fill(&o);
  }

  void Write(const test::TempFolder& folder, bool global) const {
    test::SafetensorsBuilder file;
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape,
                         const double* values, size_t n) {
      std::string bytes;
      for (size_t i = 0; i < n; ++i) {
        const float value = values == nullptr ? 0.0f : static_cast<float>(values[i]);
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
      }
      file.Tensor(name, "F32", shape, bytes);
    };
    const std::vector<double> ones(kHidden, 1.0);
    const std::string layer = "model.layers.0.";
    add("model.embed_tokens.weight", {kVocab, kHidden}, embedding.data(), embedding.size());
    add("lm_head.weight", {kVocab, kHidden}, head.data(), head.size());
    for (const char* norm : {"model.norm.weight", "model.layers.0.input_layernorm.weight",
                             "model.layers.0.post_attention_layernorm.weight"}) {
      add(norm, {kHidden}, ones.data(), ones.size());
    }
    add(layer + "self_attn.q_proj.weight", {kDim, kHidden}, q.data(), q.size());
    add(layer + "self_attn.k_proj.weight", {kDim, kHidden}, k.data(), k.size());
    add(layer + "self_attn.v_proj.weight", {kDim, kHidden}, v.data(), v.size());
    add(layer + "self_attn.o_proj.weight", {kHidden, kDim}, o.data(), o.size());
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      add(layer + "feed_forward." + name + ".weight", {kHidden, kHidden}, nullptr,
          kHidden * kHidden);
    }
    folder.Write("model.safetensors", file.Build());
    folder.Write(
        "config.json", std::string(R"({"model_type": "llama4_text", "attention_chunk_size": 512,
 "attn_scale": 1.0, "attn_temperature_tuning": true, "floor_scale": 10485760, "head_dim": 2,
 "hidden_act": "silu", "hidden_size": 4, "intermediate_size": 4, "intermediate_size_mlp": 4,
 "max_position_embeddings": 10485760, "moe_layers": [], "num_attention_heads": 1,
 "num_hidden_layers": 1, "num_key_value_heads": 1, "num_local_experts": 1, "rms_norm_eps": 1e-5,
 "rope_theta": 500.0, "tie_word_embeddings": false, "use_qk_norm": true, "vocab_size": 4,
 "no_rope_layers": )") + (global ? "[0]}" : "[1]}"));
  }
};

using Vec = std::vector<double>;

Vec Times(const double* matrix, size_t rows, const Vec& x) {
  Vec y(rows, 0.0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < x.size(); ++i) y[r] += matrix[r * x.size() + i] * x[i];
  }
  return y;
}

Vec Normed(Vec x) {
  double sum = 0;
  for (double value : x) sum += value * value;
  for (double& value : x) value /= std::sqrt(sum / static_cast<double>(x.size()) + kEps);
  return x;
}

// Logits of a global layer at `position`, after tokens of which `counts` says how many of each, the
// last one included: keys and values depend on nothing but the token.
Vec Expected(const OneLayer& m, const std::array<int64_t, kVocab>& counts, int32_t last,
             int64_t position) {
  const auto row = [&](int64_t token) {
    return Vec(m.embedding.begin() + token * kHidden, m.embedding.begin() + (token + 1) * kHidden);
  };
  const double steps = std::floor(static_cast<double>(position + 1) / 10485760.0);
  const double scale = (1.0 + std::log1p(steps)) / std::sqrt(static_cast<double>(kDim));
  const Vec q = Times(m.q.data(), kDim, Normed(row(last)));
  Vec sum(kDim, 0.0);
  double total = 0;
  for (int64_t t = 0; t < kVocab; ++t) {
    const Vec k = Times(m.k.data(), kDim, Normed(row(t))),
              v = Times(m.v.data(), kDim, Normed(row(t)));
    const double weight = static_cast<double>(counts[static_cast<size_t>(t)]) *
                          std::exp(scale * (q[0] * k[0] + q[1] * k[1]));
    for (size_t i = 0; i < kDim; ++i) sum[i] += weight * v[i];
    total += weight;
  }
  for (double& value : sum) value /= total;
  Vec h = row(last);
  const Vec added = Times(m.o.data(), kHidden, sum);
  for (size_t i = 0; i < kHidden; ++i) h[i] += added[i];
  return Times(m.head.data(), kVocab, Normed(h));
}

std::vector<int32_t> Tokens(int64_t n) {
  std::mt19937_64 rng(7);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng() % kVocab);
  return tokens;
}

std::unique_ptr<Session> NewSession(const test::TempFolder& folder, int64_t tokens) {
  auto model = Model::Load(folder.path(), {});
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return nullptr;
  EngineOptions options;
  options.exact = true;
  options.n_threads = 2;
  options.kv_tokens = tokens;
  options.max_step_tokens = kChunk;
  options.page_tokens = 4096;
  auto engine = Engine::Create(*model, options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  if (!engine.ok()) return nullptr;
  auto session = Session::Create(*engine, tokens);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

// Logits of the last two positions.
Rows LastTwo(Session& session, const std::vector<int32_t>& tokens) {
  const int64_t n = static_cast<int64_t>(tokens.size());
  const int64_t rows[2] = {n - 2, n - 1};
  Rows logits(2 * kVocab);
  PrefillRequest request;
  request.logit_rows = rows;
  request.n_logit_rows = 2;
  request.logits = logits.data();
  SyncResult result;
  const absl::Status s = session.Prefill(tokens.data(), n, request, &result);
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_EQ(session.position(), n);
  return logits;
}

TEST(FullFarPosition, GlobalAttentionAndTemperatureAtTheEndOfTenMillion) {
  const OneLayer m(3);
  test::TempFolder folder;
  m.Write(folder, true);
  const std::vector<int32_t> tokens = Tokens(kContext);
  auto session = NewSession(folder, kContext);
  ASSERT_NE(session, nullptr);
  const Rows logits = LastTwo(*session, tokens);
  std::array<int64_t, kVocab> counts{};
  for (int32_t token : tokens) ++counts[static_cast<size_t>(token)];
  for (int64_t position : {kContext - 1, kContext - 2}) {
    const int32_t last = tokens[static_cast<size_t>(position)];
    const Vec expected = Expected(m, counts, last, position);
    const Vec one_off = Expected(m, counts, last, position == kContext - 1 ? 0 : kContext - 1);
    const float* row = logits.data() + (position - (kContext - 2)) * kVocab;
    double wrong = 0;
    for (size_t i = 0; i < kVocab; ++i) {
      EXPECT_NEAR(row[i], expected[i], 1e-4) << "position " << position;
      wrong = std::max(wrong, std::fabs(one_off[i] - expected[i]));
    }
    EXPECT_GT(wrong, 1e-2) << "the temperature would not be seen";
    --counts[static_cast<size_t>(last)];
  }
  // Nothing is left of the context.
  EXPECT_EQ(session->Prefill(tokens.data(), 1, {}, nullptr).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(FullFarPosition, RotationAtTheEndOfTenMillionIsThatOfTheFirstChunk) {
  test::TempFolder folder;
  OneLayer(4).Write(folder, false);
  const std::vector<int32_t> tokens = Tokens(kContext);
  auto session = NewSession(folder, kContext);
  ASSERT_NE(session, nullptr);
  const Rows far = LastTwo(*session, tokens);
  auto near_session = NewSession(folder, kChunk);
  ASSERT_NE(near_session, nullptr);
  const Rows near = LastTwo(*near_session, {tokens.end() - kChunk, tokens.end()});
  EXPECT_EQ(DifferingRows(far, near, kVocab), 0);
}

}  // namespace
}  // namespace scout

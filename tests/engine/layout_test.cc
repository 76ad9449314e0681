// Weights in the files' order and interleaved give the same bits, fast and exact.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "tests/engine/harness.h"

namespace scout {
namespace {

Rows LogitsOf(const std::string& model, bool file_layout, bool exact, bool reference,
              int64_t* interleaved) {
  LoadOptions load;
  load.file_layout = file_layout;
  auto loaded = Model::Load(SCOUT_SOURCE_DIR "/tests/golden/" + model, load);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  if (!loaded.ok()) return {};
  *interleaved = 0;
  for (const LayerWeights& layer : (*loaded)->layers()) {
    for (const kernels::Matrix* m : {&layer.wq, &layer.wo, &layer.shared.down}) {
      *interleaved += m->layout == kernels::MatrixLayout::kInterleaved;
    }
  }
  EngineOptions options;
  options.exact = exact;
  options.reference_backend = reference;
  auto engine = Engine::Create(*loaded, options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  if (!engine.ok()) return {};
  auto session = Session::Create(*engine, 100);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? PrefillAll(**session, RandomTokens(**loaded, 70, 3), {64, 1}) : Rows();
}

TEST(Layout, SameBits) {
  for (const char* model : {"gguf/scout-k/Q4_K_M.gguf", "gguf/scout-k/Q2_K.gguf",
                            "gguf/scout-k/IQ4_XS.gguf", "gguf/scout-small/MXFP4_MOE.gguf",
                            "gguf/scout-small/Q5_1.gguf", "gguf/scout-small/Q8_0.gguf",
                            "gguf/maverick/Q4_0.gguf", "quant-w4", "quant-awq", "quant-mixed"}) {
    SCOPED_TRACE(model);
    for (bool exact : {false, true}) {
      for (bool reference : {false, true}) {
        int64_t n_file = -1, n_interleaved = -1;
        const Rows file = LogitsOf(model, true, exact, reference, &n_file);
        const Rows interleaved = LogitsOf(model, false, exact, reference, &n_interleaved);
        EXPECT_EQ(n_file, 0);
        EXPECT_GT(n_interleaved, 0);
        ASSERT_FALSE(file.empty());
        ASSERT_EQ(file.size(), interleaved.size());
        EXPECT_EQ(std::memcmp(file.data(), interleaved.data(), file.size() * sizeof(float)), 0);
      }
    }
  }
}

}  // namespace
}  // namespace scout

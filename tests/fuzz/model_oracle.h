// What a loaded model promises the forward pass. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "lib/model/model.h"

namespace scout::test {

// Whether a matrix is (rows, cols); reads every byte of it, so that a sanitizer sees one that is
// not there.
inline bool IsMatrix(const kernels::Matrix& m, int64_t rows, int64_t cols) {
  if (m.data == nullptr || m.rows != rows || m.cols != cols) return false;
  const kernels::QuantTraits& traits = kernels::quant_traits(m.type);
  const int64_t row_bytes = cols / traits.block_elems * traits.block_bytes;
  if (cols % traits.block_elems != 0 || m.row_bytes < row_bytes) return false;
  const auto* bytes = static_cast<const uint8_t*>(m.data);
  volatile uint8_t sum = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < row_bytes; ++i) sum = sum + bytes[r * m.row_bytes + i];
    if (m.row_scale != nullptr && !std::isfinite(m.row_scale[r])) return false;
  }
  // Floats of 8 bits mean nothing without the factors of their rows, other types have none.
  return (m.type == kernels::QuantType::kF8_E4M3) == (m.row_scale != nullptr);
}

inline bool IsFfn(const FfnWeights& ffn, int64_t hidden, int64_t width) {
  return IsMatrix(ffn.gate, width, hidden) && IsMatrix(ffn.up, width, hidden) &&
         IsMatrix(ffn.down, hidden, width);
}

inline bool IsNorm(const float* values, int64_t hidden) {
  if (values == nullptr) return false;
  volatile float sum = 0;
  for (int64_t i = 0; i < hidden; ++i) sum = sum + values[i];
  return true;
}

// "" where a model with weights is one that the forward pass takes, else what is not.
inline std::string ModelFault(const Model& model) {
  const ModelConfig& c = model.config();
  if (!CheckConfig(c).ok()) return "configuration";
  if (static_cast<int64_t>(model.layers().size()) != c.n_layers) return "number of layers";
  if (!IsMatrix(model.embedding(), c.vocab, c.hidden)) return "embedding";
  if (!IsMatrix(model.head(), c.vocab, c.hidden)) return "head";
  if (!IsNorm(model.final_norm(), c.hidden)) return "final norm";
  for (size_t i = 0; i < model.layers().size(); ++i) {
    const LayerWeights& layer = model.layers()[i];
    const std::string at = " of layer " + std::to_string(i);
    if (!IsNorm(layer.attn_norm, c.hidden) || !IsNorm(layer.ffn_norm, c.hidden)) return "norm" + at;
    if (!IsMatrix(layer.wq, c.n_heads * c.head_dim, c.hidden)) return "wq" + at;
    if (!IsMatrix(layer.wk, c.n_kv_heads * c.head_dim, c.hidden)) return "wk" + at;
    if (!IsMatrix(layer.wv, c.n_kv_heads * c.head_dim, c.hidden)) return "wv" + at;
    if (!IsMatrix(layer.wo, c.hidden, c.n_heads * c.head_dim)) return "wo" + at;
    if (!c.layers[i].moe) {
      if (!IsFfn(layer.dense, c.hidden, c.dense_ffn)) return "dense FFN" + at;
      continue;
    }
    if (!IsMatrix(layer.router, c.n_experts, c.hidden)) return "router" + at;
    if (c.shared_ffn > 0 && !IsFfn(layer.shared, c.hidden, c.shared_ffn)) return "shared FFN" + at;
    if (static_cast<int64_t>(layer.experts.size()) != c.n_experts) return "experts" + at;
    for (const FfnWeights& expert : layer.experts) {
      if (!IsFfn(expert, c.hidden, c.expert_ffn)) return "expert" + at;
    }
  }
  if (!model.DescribeJson().ok()) return "description";
  if (model.identity().empty()) return "identity";
  return "";
}

}  // namespace scout::test

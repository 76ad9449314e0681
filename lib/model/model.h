// A loaded model: configuration, immutable weights, tokenizer. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "lib/model/config.h"
#include "lib/tokenizer/tokenizer.h"
#include "lib/util/log.h"
#include "lib/util/status.h"

namespace scout {

// Matrices of one FFN. Empty (data null) where the layer has none.
struct FfnWeights {
  kernels::Matrix gate;  // (ffn, hidden)
  kernels::Matrix up;    // (ffn, hidden)
  kernels::Matrix down;  // (hidden, ffn)
};

struct LayerWeights {
  const float* attn_norm = nullptr;  // (hidden) f32
  const float* ffn_norm = nullptr;   // (hidden) f32
  kernels::Matrix wq;                // (n_heads * head_dim, hidden)
  kernels::Matrix wk, wv;            // (n_kv_heads * head_dim, hidden)
  kernels::Matrix wo;                // (hidden, n_heads * head_dim)
  FfnWeights dense;                  // of a dense layer
  kernels::Matrix router;            // (n_experts, hidden), of a MoE layer
  FfnWeights shared;                 // shared expert
  std::vector<FfnWeights> experts;   // (n_experts)
};

// Everything the forward pass reads. The pointers point into the storage of a Model.
struct ModelWeights {
  kernels::Matrix embedding;          // (vocab, hidden)
  kernels::Matrix head;               // (vocab, hidden); the embedding where they are tied
  const float* final_norm = nullptr;  // (hidden)
  std::vector<LayerWeights> layers;   // empty: loaded without weights
};

// Memory of a tensor: 64-byte aligned, large ones in whole pages.
struct BufferDelete {
  std::align_val_t align{64};
  void operator()(uint8_t* p) const { ::operator delete[](p, align); }
};
using Buffer = std::unique_ptr<uint8_t[], BufferDelete>;

struct LoadOptions {
  bool metadata_only = false;
  bool digest = false;        // with metadata_only: read the weights for their digest
  bool fresh_digest = false;  // whatever the cache says
  bool file_layout = false;   // keep blocks as the files have them instead of interleaving them
  std::string cache_dir;      // of digests; empty: none
  int64_t n_threads = 0;      // that read; 0: what suits the machine and the size
  ConfigOverrides overrides;
  Progress progress;  // bytes of weights; may be null
  Logger logger;
};

class Model {
 public:
  // A Hugging Face folder or a GGUF file: what lies at the path decides.
  static absl::StatusOr<std::shared_ptr<const Model>> Load(const std::string& path,
                                                           const LoadOptions& options);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }  // may be null
  bool has_weights() const { return !weights_.layers.empty(); }
  const kernels::Matrix& embedding() const { return weights_.embedding; }  // (vocab, hidden)
  const kernels::Matrix& head() const { return weights_.head; }            // (vocab, hidden)
  const float* final_norm() const { return weights_.final_norm; }          // (hidden)
  const std::vector<LayerWeights>& layers() const { return weights_.layers; }
  int64_t n_parameters() const { return n_parameters_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  const std::string& path() const { return path_; }
  // Of the weights' bytes in the files (lib/model/weight_reader.h), as 32 hex digits. Empty in a
  // model loaded without weights whose digest was neither asked for nor in the cache.
  const std::string& weights_digest() const { return weights_digest_; }
  // Digest of configuration after overrides, tokenizer and weights; empty where weights_digest()
  // is.
  const std::string& identity() const { return identity_; }
  // Model as JSON text: the members of a scout.proto.ModelInfo message.
  absl::StatusOr<std::string> DescribeJson() const;

 private:
  friend class ModelBuilder;
  // Tensors of one type, as the files hold them.
  struct TypeCount {
    std::string type;  // "Q4_K"
    int64_t tensors = 0, bytes = 0;
  };
  Model() = default;
  std::string path_, identity_, weights_digest_, format_;  // format_: "safetensors" or "gguf"
  ModelConfig config_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  ModelWeights weights_;
  std::vector<Buffer> storage_;
  std::vector<TypeCount> types_;
  int64_t n_parameters_ = 0, weight_bytes_ = 0;
};

}  // namespace scout

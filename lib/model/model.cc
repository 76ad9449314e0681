// Loading: files -> configuration, tokenizer, weights. SPDX-License-Identifier: Apache-2.0
#include "lib/model/model.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/format/byte_source.h"
#include "lib/format/file.h"
#include "lib/format/safetensors.h"
#include "lib/model/digest_cache.h"
#include "lib/model/unused.h"
#include "lib/model/weight_reader.h"
#include "lib/model/weights.h"
#include "lib/util/digest.h"

namespace scout {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// `quant` is written too.
absl::StatusOr<ModelConfig> ReadConfigFile(const std::string& folder, QuantConfig* quant) {
  const std::string path = folder + "/config.json";
  if (!Exists(path)) {
    return AtPlace(
        absl::NotFoundError(absl::StrCat("the folder ", Printable(folder),
                                         " has no config.json; a model is a Hugging Face folder "
                                         "with one, or a .gguf file")),
        {.file = path});
  }
  const auto read = [&]() -> absl::StatusOr<ModelConfig> {
    SCOUT_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kMaxConfigBytes));
    SCOUT_ASSIGN_OR_RETURN(const Json json, ParseJson(text, {.max_values = 200'000}));
    SCOUT_ASSIGN_OR_RETURN(*quant, QuantConfigFromJson(json));
    return ConfigFromJson(json);
  };
  absl::StatusOr<ModelConfig> config = read();
  if (!config.ok()) return AtPlace(config.status(), {.file = path});
  return config;
}

}  // namespace

// Puts a Model together; what it holds on failure goes with it.
class ModelBuilder {
 public:
  ModelBuilder(const std::string& path, const LoadOptions& options)
      : options_(options), model_(new Model) {
    model_->path_ = path;
  }

  absl::StatusOr<std::shared_ptr<const Model>> FromFolder() {
    model_->format_ = "safetensors";
    SCOUT_ASSIGN_OR_RETURN(model_->config_, ReadConfigFile(model_->path_, &quant_));
    SCOUT_RETURN_IF_ERROR(ApplyOverrides(options_.overrides, &model_->config_));
    SCOUT_ASSIGN_OR_RETURN(const TensorTable table, ReadSafetensorsFolder(model_->path_));
    return Finish(table, BindHuggingFace, [this]() -> absl::Status {
      if (!Tokenizer::IsInFolder(model_->path_)) return absl::OkStatus();
      SCOUT_ASSIGN_OR_RETURN(model_->tokenizer_, Tokenizer::Load(model_->path_));
      return absl::OkStatus();
    });
  }

  absl::StatusOr<std::shared_ptr<const Model>> FromGguf() {
    model_->format_ = "gguf";
    if (absl::EndsWithIgnoreCase(model_->path_, ".safetensors")) {
      return AtPlace(
          absl::InvalidArgumentError("a .safetensors file holds no configuration; give its folder"),
          {.file = model_->path_});
    }
    SCOUT_ASSIGN_OR_RETURN(const Gguf gguf, ReadGguf(model_->path_));
    absl::StatusOr<ModelConfig> config = ConfigFromGguf(gguf);
    if (!config.ok()) return AtPlace(config.status(), {.file = model_->path_});
    model_->config_ = *std::move(config);
    SCOUT_RETURN_IF_ERROR(ApplyOverrides(options_.overrides, &model_->config_));
    return Finish(gguf.table, BindGguf, [&]() -> absl::Status {
      absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::FromGguf(gguf);
      if (tokenizer.ok()) {
        model_->tokenizer_ = *std::move(tokenizer);
      } else if (!absl::IsNotFound(tokenizer.status())) {
        return AtPlace(tokenizer.status(), {.file = model_->path_});
      }
      return absl::OkStatus();
    });
  }

 private:
  using BindFunction = absl::Status (*)(const TensorTable&, ModelConfig*, WeightPlan*,
                                        ModelWeights*);

  template <typename LoadTokenizer>
  absl::StatusOr<std::shared_ptr<const Model>> Finish(const TensorTable& table, BindFunction bind,
                                                      LoadTokenizer&& load_tokenizer) {
    WeightPlan plan(table, quant_);
    ModelWeights weights;
    if (absl::Status status = bind(table, &model_->config_, &plan, &weights); !status.ok()) {
      return AtPlace(std::move(status), {.file = model_->path_});
    }
    SCOUT_RETURN_IF_ERROR(CheckUnused(plan, model_->config_.n_layers, options_.logger));
    Count(plan);
    const DigestCache cache(options_.cache_dir, plan);
    if (!cache.fault().empty()) {
      options_.logger.Log(LogLevel::kWarning,
                          absl::StrCat("the folder ", Printable(options_.cache_dir), " ",
                                       cache.fault(), ": no digest is found or kept there"));
    }
    std::string digest = options_.fresh_digest ? "" : cache.Find();
    const bool known = !digest.empty();
    // A vocabulary takes as long as many pieces of weights: before it the caller may say no.
    const bool reads = !options_.metadata_only || (!known && options_.digest);
    if (reads && options_.progress && !options_.progress(0, BytesToRead(plan))) {
      return absl::CancelledError("loading was cancelled");
    }
    SCOUT_RETURN_IF_ERROR(load_tokenizer());
    LogTokenizer();
    ReadOptions read{.progress = options_.progress, .n_threads = options_.n_threads};
    read.digest = !known;
    read.interleave = !options_.file_layout;
    // An embedding that is no head as well is only ever looked up, row by row.
    if (!model_->config_.tied_embeddings) read.in_rows = &weights.embedding;
    if (!options_.metadata_only) {
      SCOUT_ASSIGN_OR_RETURN(ReadResult result, ReadWeights(plan, read));
      if (!known) digest = std::move(result.digest);
      model_->storage_ = std::move(result.storage);
      model_->weight_bytes_ = result.bytes_held;
      if (model_->config_.tied_embeddings) weights.head = weights.embedding;
      model_->weights_ = std::move(weights);
    } else if (!known && options_.digest) {
      SCOUT_ASSIGN_OR_RETURN(digest, DigestWeights(plan, read));
    }
    if (!known && !digest.empty() && !cache.Store(digest)) {
      options_.logger.Log(LogLevel::kWarning,
                          absl::StrCat("the digest of the weights could not be kept in ",
                                       Printable(options_.cache_dir)));
    }
    SetIdentity(std::move(digest));
    return std::shared_ptr<const Model>(std::move(model_));
  }

  void SetIdentity(std::string digest) {
    if (digest.empty()) return;
    const std::string tokenizer =
        model_->tokenizer_ == nullptr ? "none" : model_->tokenizer_->digest();
    model_->identity_ = Xxh3Hex(absl::StrCat(CanonicalText(model_->config_), "tokenizer ",
                                             tokenizer, "\nweights ", digest, "\n"));
    model_->weights_digest_ = std::move(digest);
  }

  void Count(const WeightPlan& plan) {
    for (const WeightItem& item : plan.items()) {
      // The elements of a packed matrix are those of its target.
      const bool packed =
          item.kind == WeightItem::Kind::kPacked || item.kind == WeightItem::Kind::kAwq;
      const kernels::Matrix* target = packed ? item.targets[0] : nullptr;
      model_->n_parameters_ += packed ? target->rows * target->cols : item.entry->n_elements();
      const char* name = kernels::quant_traits(packed ? target->type : item.entry->type).name;
      Model::TypeCount* count = nullptr;
      for (Model::TypeCount& known : model_->types_) {
        if (known.type == name) count = &known;
      }
      if (count == nullptr) count = &model_->types_.emplace_back(Model::TypeCount{name});
      ++count->tensors;
      for (const TensorEntry* source : item.sources()) count->bytes += source->nbytes;
    }
  }

  void LogTokenizer() const {
    if (model_->tokenizer_ != nullptr && model_->tokenizer_->vocab_size() > model_->config_.vocab) {
      options_.logger.Log(LogLevel::kWarning,
                          absl::StrCat("the tokenizer has ", model_->tokenizer_->vocab_size(),
                                       " tokens, the model ", model_->config_.vocab));
    }
  }

  const LoadOptions& options_;
  QuantConfig quant_;
  std::unique_ptr<Model> model_;
};

absl::StatusOr<std::shared_ptr<const Model>> Model::Load(const std::string& path,
                                                         const LoadOptions& options) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  const ErrorPlace place{.file = path};
  if (status.type() == std::filesystem::file_type::not_found) {
    return AtPlace(absl::NotFoundError(absl::StrCat("no file or folder ", Printable(path))), place);
  }
  if (error) {
    return AtPlace(
        IoError(absl::StrCat("cannot look at ", Printable(path), ": error ", error.value())),
        place);
  }
  ModelBuilder builder(path, options);
  return std::filesystem::is_directory(status) ? builder.FromFolder() : builder.FromGguf();
}

}  // namespace scout

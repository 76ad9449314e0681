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
#include "lib/model/weights.h"
#include "lib/util/digest.h"

namespace scout {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

absl::StatusOr<ModelConfig> ReadConfigFile(const std::string& folder) {
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
    SCOUT_ASSIGN_OR_RETURN(model_->config_, ReadConfigFile(model_->path_));
    SCOUT_RETURN_IF_ERROR(ApplyOverrides(options_.overrides, &model_->config_));
    SCOUT_ASSIGN_OR_RETURN(const TensorTable table, ReadSafetensorsFolder(model_->path_));
    if (Exists(model_->path_ + "/tokenizer.json")) {
      SCOUT_ASSIGN_OR_RETURN(model_->tokenizer_, Tokenizer::Load(model_->path_));
    }
    return Finish(table, BindHuggingFace);
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
    absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::FromGguf(gguf);
    if (tokenizer.ok()) {
      model_->tokenizer_ = *std::move(tokenizer);
    } else if (!absl::IsNotFound(tokenizer.status())) {
      return AtPlace(tokenizer.status(), {.file = model_->path_});
    }
    return Finish(gguf.table, BindGguf);
  }

 private:
  using BindFunction = absl::Status (*)(const TensorTable&, ModelConfig*, WeightPlan*,
                                        ModelWeights*);

  absl::StatusOr<std::shared_ptr<const Model>> Finish(const TensorTable& table, BindFunction bind) {
    WeightPlan plan(table);
    ModelWeights weights;
    if (absl::Status status = bind(table, &model_->config_, &plan, &weights); !status.ok()) {
      return AtPlace(std::move(status), {.file = model_->path_});
    }
    Count(plan);
    LogWhatIsLeft(plan);
    const std::string tokenizer =
        model_->tokenizer_ == nullptr ? "none" : model_->tokenizer_->digest();
    model_->identity_ = Xxh3Hex(absl::StrCat(CanonicalText(model_->config_), "tokenizer ",
                                             tokenizer, "\n", plan.TableText()));
    if (!options_.metadata_only) {
      SCOUT_RETURN_IF_ERROR(
          plan.Read(options_.progress, &model_->storage_, &model_->weight_bytes_));
      if (model_->config_.tied_embeddings) weights.head = weights.embedding;
      model_->weights_ = std::move(weights);
    }
    return std::shared_ptr<const Model>(std::move(model_));
  }

  void Count(const WeightPlan& plan) {
    for (const TensorEntry* entry : plan.bound()) {
      model_->n_parameters_ += entry->n_elements();
      const char* name = kernels::quant_traits(entry->type).name;
      Model::TypeCount* count = nullptr;
      for (Model::TypeCount& known : model_->types_) {
        if (known.type == name) count = &known;
      }
      if (count == nullptr) count = &model_->types_.emplace_back(Model::TypeCount{name});
      ++count->tensors;
      count->bytes += entry->nbytes;
    }
  }

  // Tensors that nothing asked for: an image encoder is expected, others may mean a wrong file.
  void LogWhatIsLeft(const WeightPlan& plan) const {
    int64_t vision = 0, other = 0;
    std::string first;
    for (const TensorEntry* entry : plan.unbound()) {
      if (entry->name == "rope_freqs.weight") continue;  // read with the configuration
      if (absl::StartsWith(entry->name, "vision_model.") ||
          absl::StartsWith(entry->name, "multi_modal_projector.")) {
        ++vision;
      } else if (other++ == 0) {
        first = entry->name;
      }
    }
    if (vision > 0) {
      options_.logger.Log(LogLevel::kInfo,
                          absl::StrCat(vision, " tensors of the image encoder are not loaded"));
    }
    if (other > 0) {
      options_.logger.Log(LogLevel::kWarning,
                          absl::StrCat(other, " tensors are not used, such as ", Printable(first)));
    }
    if (model_->tokenizer_ != nullptr && model_->tokenizer_->vocab_size() > model_->config_.vocab) {
      options_.logger.Log(LogLevel::kWarning,
                          absl::StrCat("the tokenizer has ", model_->tokenizer_->vocab_size(),
                                       " tokens, the model ", model_->config_.vocab));
    }
  }

  const LoadOptions& options_;
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

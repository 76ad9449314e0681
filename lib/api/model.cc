// scout_model_*: argument checks and conversion. No logic.
#include "lib/api/edge.h"

using scout::api::CheckHandle;
using scout::api::Guard;
using scout::api::NullError;

namespace {
constexpr int64_t kMaxThreads = 1024;  // far above what reads faster
}

extern "C" {

void scout_model_options_init(scout_model_options* options) {
  if (options == nullptr) return;
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->log_level = SCOUT_LOG_WARNING;
  options->temperature_tuning = SCOUT_KEEP;
  options->attention_chunk = SCOUT_KEEP;
  options->temperature_scale = -1;
  options->temperature_floor = SCOUT_KEEP;
  options->rope_scaling = SCOUT_KEEP;
}

scout_status scout_model_load(const char* path, const scout_model_options* options,
                              scout_model** model, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (model == nullptr) return NullError("model");
    *model = nullptr;
    if (path == nullptr) return NullError("path");
    scout_model_options o;
    scout_model_options_init(&o);
    SCOUT_RETURN_IF_ERROR(scout::api::ReadOptions(options, "scout_model_options", sizeof o, &o));
    constexpr uint32_t kFlags = SCOUT_MODEL_METADATA_ONLY | SCOUT_MODEL_DIGEST |
                                SCOUT_MODEL_FRESH_DIGEST | SCOUT_MODEL_FILE_LAYOUT;
    if ((o.flags & ~kFlags) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("scout_model_options.flags has unknown bits: ", o.flags));
    }
    SCOUT_RETURN_IF_ERROR(
        scout::api::CheckReserved(static_cast<uint32_t>(o.reserved), "scout_model_options"));
    if (o.n_threads < 0 || o.n_threads > kMaxThreads) {
      return absl::InvalidArgumentError(absl::StrCat(
          "scout_model_options.n_threads is ", o.n_threads, ", outside [0, ", kMaxThreads, "]"));
    }
    scout::LoadOptions load;
    load.metadata_only = (o.flags & SCOUT_MODEL_METADATA_ONLY) != 0;
    load.digest = (o.flags & SCOUT_MODEL_DIGEST) != 0;
    load.fresh_digest = (o.flags & SCOUT_MODEL_FRESH_DIGEST) != 0;
    load.file_layout = (o.flags & SCOUT_MODEL_FILE_LAYOUT) != 0;
    if (o.cache_dir != nullptr) load.cache_dir = o.cache_dir;
    load.n_threads = o.n_threads;
    load.overrides.temperature_tuning = o.temperature_tuning;
    load.overrides.attention_chunk = o.attention_chunk;
    load.overrides.temperature_scale = o.temperature_scale;
    load.overrides.temperature_floor = o.temperature_floor;
    load.overrides.rope_theta = o.rope_theta;
    load.overrides.rope_scaling = o.rope_scaling;
    load.overrides.rope_factor = o.rope_factor;
    load.overrides.rope_low_freq_factor = o.rope_low_freq_factor;
    load.overrides.rope_high_freq_factor = o.rope_high_freq_factor;
    load.overrides.rope_original_context = o.rope_original_context;
    if (o.progress != nullptr) {
      load.progress = [&o](int64_t done, int64_t total) {
        return o.progress(o.progress_user, done, total) == 0;
      };
    }
    load.logger = scout::Logger(o.log, o.log_user, o.log_level);
    auto handle = std::make_unique<scout_model>();
    SCOUT_ASSIGN_OR_RETURN(handle->impl, scout::Model::Load(path, load));
    *model = handle.release();
    return absl::OkStatus();
  });
}

void scout_model_free(scout_model* model) {
  if (model != nullptr && !model->forked()) delete model;
}

scout_status scout_model_get_info(const scout_model* model, scout_model_info* info,
                                  scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(model, "model"));
    const scout::ModelConfig& c = model->impl->config();
    scout_model_info i{};
    i.n_layers = static_cast<int32_t>(c.n_layers);
    i.n_global_layers = static_cast<int32_t>(c.n_global_layers());
    i.n_moe_layers = static_cast<int32_t>(c.n_moe_layers());
    i.n_experts = static_cast<int32_t>(c.n_experts);
    i.n_experts_used = static_cast<int32_t>(c.n_experts_used);
    i.n_heads = static_cast<int32_t>(c.n_heads);
    i.n_kv_heads = static_cast<int32_t>(c.n_kv_heads);
    i.head_dim = static_cast<int32_t>(c.head_dim);
    i.has_tokenizer = model->impl->tokenizer() != nullptr;
    i.hidden_size = c.hidden;
    i.vocab_size = c.vocab;
    i.context_length = c.context_length;
    i.attention_chunk = c.attention_chunk;
    i.n_parameters = model->impl->n_parameters();
    i.weight_bytes = model->impl->weight_bytes();
    return scout::api::WriteResult(&i, "scout_model_info", sizeof i, info);
  });
}

scout_status scout_model_describe(const scout_model* model, char* json, int64_t capacity,
                                  int64_t* size, scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    SCOUT_RETURN_IF_ERROR(CheckHandle(model, "model"));
    SCOUT_ASSIGN_OR_RETURN(const std::string text, model->impl->DescribeJson());
    return scout::api::WriteArray(text.data(), static_cast<int64_t>(text.size()), "json", json,
                                  capacity, size);
  });
}

scout_status scout_model_tokenizer(const scout_model* model, scout_tokenizer** tokenizer,
                                   scout_error** error) {
  return Guard(error, [&]() -> absl::Status {
    if (tokenizer == nullptr) return NullError("tokenizer");
    *tokenizer = nullptr;
    SCOUT_RETURN_IF_ERROR(CheckHandle(model, "model"));
    if (model->impl->tokenizer() == nullptr) {
      return absl::NotFoundError(
          absl::StrCat(model->impl->path(),
                       " has no tokenizer: no tokenizer.json or tokenizer.model in a folder, no "
                       "tokenizer.ggml.model in a GGUF file"));
    }
    auto handle = std::make_unique<scout_tokenizer>();
    handle->impl = model->impl->tokenizer();
    *tokenizer = handle.release();
    return absl::OkStatus();
  });
}

}  // extern "C"

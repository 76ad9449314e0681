// scout info: what is known about a model, as JSON. SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <string>

#include "tools/commands.h"
#include "tools/open.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

Failure Describe(const scout_model* model, std::string* text) {
  int64_t size = 0;
  scout_error* error = nullptr;
  scout_status status = scout_model_describe(model, nullptr, 0, &size, &error);
  if (status != SCOUT_OK && status != SCOUT_BUFFER_TOO_SMALL) return FromLibrary(status, error);
  scout_error_free(error);
  text->resize(size);
  TOOL_CALL(scout_model_describe, model, text->data(), static_cast<int64_t>(text->size()), &size);
  return Ok();
}

Failure Info(const Args& args) {
  TOOL_TRY(args.AtMost(0));
  Model model;
  uint32_t flags = args.Has("weights") ? 0 : SCOUT_MODEL_METADATA_ONLY;
  if (args.Has("digest")) flags |= SCOUT_MODEL_DIGEST | SCOUT_MODEL_FRESH_DIGEST;
  // Whoever asks what a model is wants to hear of parts that are not used, such as an image
  // encoder.
  TOOL_TRY(LoadModel(args, flags, &model, args.Has("quiet") ? SCOUT_LOG_WARNING : SCOUT_LOG_INFO));
  std::string text;
  TOOL_TRY(Describe(model.get(), &text));
  auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) return RunError("the library's description is not JSON");
  // A 0 would look like the size.
  if (!args.Has("weights") && json.is_object() && json.contains("weight_bytes")) {
    json["weight_bytes"] = "not loaded (--weights loads them)";
  }
  text = json.dump(args.Has("compact") ? -1 : 2, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace);
  return Out(text + "\n");
}

}  // namespace

Command InfoCommand() {
  return {
      "info",
      "-m PATH [options]",
      "describe a model as JSON",
      "Reads and checks the configuration and the table of tensors, not the weights. Tensors that\n"
      "are not used (an image encoder) are a line on stderr, of the other commands only with -v.",
      Join({ModelOption(),
            {{0, "weights", nullptr, "load and check the weights too"},
             {0, "digest", nullptr, "read the weights for their digest, whatever is in the cache"},
             {0, "compact", nullptr, "one line"}},
            OverrideOptions()}),
      Info};
}

}  // namespace scout::tool

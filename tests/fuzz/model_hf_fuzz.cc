// A model from a folder of config.json and model.safetensors, both from any bytes: an error, or
// weights of the shapes that the forward pass takes. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/model/config.* lib/model/model.* lib/model/weight* lib/model/config_json.cc
// Sources: lib/format/safetensors* lib/format/json.* lib/model/repack.* lib/model/quant_config.*
// Sources: lib/model/unused.* lib/model/name_pattern.* lib/format/tensor_check.*
#include "lib/model/model.h"
#include "tests/fuzz/model_oracle.h"
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

namespace {

// An input is the length of config.json (2 bytes, little-endian), config.json, model.safetensors.
struct Files {
  std::string config, weights;

  explicit Files(std::string_view bytes) {
    if (bytes.size() < 2) return;
    const size_t length = std::min<size_t>(
        static_cast<uint8_t>(bytes[0]) | size_t{static_cast<uint8_t>(bytes[1])} << 8,
        bytes.size() - 2);
    config = bytes.substr(2, length);
    weights = bytes.substr(2 + length);
  }
};

[[maybe_unused]] std::string MutateFolder(std::string_view bytes, scout::test::Random& random) {
  Files files(bytes);
  if (random.OneIn(2)) {
    files.config = scout::test::MutateJson(files.config, random);
    files.config.resize(std::min<size_t>(files.config.size(), 0xFFFF));
  } else {
    files.weights = scout::test::MutateSafetensors(files.weights, random);
  }
  const size_t n = files.config.size();
  return std::string{static_cast<char>(n), static_cast<char>(n >> 8)} + files.config +
         files.weights;
}

}  // namespace

SCOUT_CUSTOM_MUTATOR(MutateFolder);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const scout::test::Scratch folder;
  const Files files({reinterpret_cast<const char*>(data), size});
  folder.Write("config.json", files.config);
  folder.Write("model.safetensors", files.weights);
  const auto model = scout::Model::Load(folder.path(), {});
  if (model.ok()) {
    scout::test::Require(scout::test::ModelFault(**model).empty());
  } else {
    scout::test::RequireFileError(model.status());
  }
  return 0;
}

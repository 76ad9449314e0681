// model.safetensors.index.json from any bytes, beside two shards: an error, or both shards'
// tensors. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/format/safetensors_folder.cc lib/format/json.*
#include "lib/format/safetensors.h"
#include "tests/fuzz/mutators.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

namespace {

// A safetensors file with one tensor of two bytes.
std::string Shard(const char* tensor) {
  const std::string header =
      std::string("{\"") + tensor + "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
  return std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "ab";
}

}  // namespace

SCOUT_CUSTOM_MUTATOR(scout::test::MutateJson);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const scout::test::Scratch folder;
  static const bool written = !folder.Write("a.safetensors", Shard("x")).empty() &&
                              !folder.Write("b.safetensors", Shard("y")).empty();
  scout::test::Require(written);
  folder.Write("model.safetensors.index.json", {reinterpret_cast<const char*>(data), size});
  const auto table = scout::ReadSafetensorsFolder(folder.path());
  if (!table.ok()) {
    scout::test::RequireFileError(table.status());
    return 0;
  }
  // Nothing but the shards of this folder was read.
  for (const auto& file : table->files) {
    scout::test::Require(file->path() == folder.path() + "/a.safetensors" ||
                         file->path() == folder.path() + "/b.safetensors");
  }
  scout::test::Require(table->files.size() == table->tensors.size());
  return 0;
}

// A folder of safetensors: one file, or shards named by an index.
// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <utility>

#include "lib/format/json.h"
#include "lib/format/safetensors.h"

namespace scout {
namespace {

constexpr int64_t kMaxIndexBytes = int64_t{64} << 20;
constexpr size_t kMaxShards = 1024;  // each keeps a file descriptor; Maverick has 55

// A plain file name inside the folder: nothing that leads elsewhere.
bool IsShardName(const std::string& name) {
  return IsPlainName(name) && name.size() <= 255 && name[0] != '.' &&
         name.find('/') == std::string::npos && name.find('\\') == std::string::npos;
}

absl::Status ReadShards(const std::string& folder, const Json& weight_map, TensorTable* table) {
  std::set<std::string> shards;
  for (size_t i = 0; i < weight_map.items().size(); ++i) {
    const std::string& tensor = weight_map.names()[i];
    const Json& shard = weight_map.items()[i];
    if (!shard.is_string() || !IsShardName(shard.as_string())) {
      return AtPlace(
          CorruptError(absl::StrCat("weight_map: the file of tensor ", Printable(tensor), " is ",
                                    shard.is_string() ? "\"" + Printable(shard.as_string()) + "\""
                                                      : std::string("no string"),
                                    ", not a plain file name")),
          {.tensor = Printable(tensor)});
    }
    shards.insert(shard.as_string());
    if (shards.size() > kMaxShards) {
      return UnsupportedError(absl::StrCat("weight_map names more than ", kMaxShards, " files"));
    }
  }
  for (const std::string& shard : shards) {
    const std::string path = folder + "/" + shard;
    absl::Status status = AppendSafetensors(path, table);
    if (absl::IsNotFound(status)) {
      return AtPlace(absl::NotFoundError(
                         absl::StrCat("the shard ", shard, " that the index names is missing")),
                     {.file = path});
    }
    SCOUT_RETURN_IF_ERROR(status);
  }
  for (size_t i = 0; i < weight_map.items().size(); ++i) {
    const std::string& name = weight_map.names()[i];
    const std::string& shard = weight_map.items()[i].as_string();
    const std::string path = folder + "/" + shard;
    const TensorEntry* entry = table->find(name);
    if (entry == nullptr || table->files[static_cast<size_t>(entry->file)]->path() != path) {
      return AtPlace(CorruptError(absl::StrCat("tensor ", Printable(name), " is not in ", shard,
                                               ", where the index puts it")),
                     {.file = path, .tensor = Printable(name)});
    }
  }
  // Every tensor of the index is there once; more tensors than that are ones it does not name.
  if (table->tensors.size() != weight_map.items().size()) {
    for (const TensorEntry& t : table->tensors) {
      if (weight_map.find(t.name) != nullptr) continue;
      return AtPlace(
          CorruptError(absl::StrCat("tensor ", t.name, " is in a shard, but not in the ", "index")),
          {.file = table->files[static_cast<size_t>(t.file)]->path(), .tensor = t.name});
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TensorTable> ReadSafetensorsFolder(const std::string& folder) {
  TensorTable table;
  absl::Status single = AppendSafetensors(folder + "/model.safetensors", &table);
  if (single.ok()) return table;
  if (!absl::IsNotFound(single)) return single;
  const std::string index_path = folder + "/model.safetensors.index.json";
  absl::StatusOr<std::string> text = ReadWholeFile(index_path, kMaxIndexBytes);
  if (absl::IsNotFound(text.status())) {
    return AtPlace(absl::NotFoundError(absl::StrCat(
                       folder, " has neither model.safetensors nor model.safetensors.index.json")),
                   {.file = folder});
  }
  if (!text.ok()) return text.status();
  absl::StatusOr<Json> index = ParseJson(*text, {.max_bytes = kMaxIndexBytes});
  if (!index.ok()) return AtPlace(index.status(), {.file = index_path});
  const Json* weight_map = index->find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object() || weight_map->items().empty()) {
    return AtPlace(CorruptError("weight_map is missing, empty or no object"), {.file = index_path});
  }
  absl::Status status = ReadShards(folder, *weight_map, &table);
  if (!status.ok()) return AtPlace(status, {.file = index_path});
  return table;
}

}  // namespace scout

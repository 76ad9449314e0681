// Safetensors files, single or sharded with an index. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "lib/format/byte_source.h"
#include "lib/format/checkpoint.h"

namespace scout {

// Reads the tensor table of a folder: model.safetensors, or the shards that
// model.safetensors.index.json names (the index and the shards must agree; shard names with '/' or
// leading dots are refused).
absl::StatusOr<TensorTable> ReadSafetensorsFolder(const std::string& folder);
// One file, appended to the table, which an error leaves as it was. DataLoss, NotFound, Unavailable
// with file, tensor and offset. An empty tensor and a type that this library does not know are
// entries that are not `supported`.
absl::Status AppendSafetensors(const std::string& path, TensorTable* table);
// The tensors of one file's bytes in file order, each with `file` as its index.
absl::StatusOr<std::vector<TensorEntry>> ParseSafetensors(const ByteSource& source, int file);

}  // namespace scout

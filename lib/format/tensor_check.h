// Checks that every container's tensor table needs. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "lib/format/checkpoint.h"

namespace scout {

// Bytes of `shape` in blocks of `block_elems` elements and `block_bytes` bytes along the innermost
// dimension. Each dimension must be >= 1 already. DataLoss naming the tensor where the product
// overflows or a row is no whole number of blocks.
absl::StatusOr<int64_t> TensorBytes(const TensorEntry& entry, int64_t block_elems,
                                    int64_t block_bytes);

// Checks tensors [first, end) of `tensors`, all of one file of `file_size` bytes whose data starts
// at `data_start`: ranges inside the file and free of overlap. With `no_holes` the ranges must
// cover [data_start, file_size) without a gap. Leaves that range in file order.
absl::Status CheckTensorRanges(int64_t data_start, int64_t file_size, bool no_holes, size_t first,
                               std::vector<TensorEntry>* tensors);

// Adds tensors [first, end) of the table to by_name. DataLoss naming a tensor that is there twice.
absl::Status IndexTensors(size_t first, TensorTable* table);

}  // namespace scout

// From the packed integers of quantised checkpoints to blocks of this library.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/quant/types.h"
#include "lib/util/status.h"

namespace scout {

// One scale and zero point per group of elements of a row, in the blocks' own form.
struct GroupScales {
  int64_t group = 1;           // elements; a multiple of the block's
  int64_t n_groups = 1;        // per row
  bool bf16 = false;           // bits are those of a bfloat16, else float16
  std::vector<uint16_t> bits;  // (rows, n_groups)
  std::vector<uint8_t> zeros;  // (rows, n_groups), 0 .. 15
};

// A tensor's bytes in a float type.
struct FloatBytes {
  const uint8_t* data = nullptr;
  kernels::QuantType type = kernels::QuantType::kF32;
  int64_t n = 0;
};

// Scales as 16-bit numbers, finite ones: f32 that are no such numbers are Unsupported. Of a
// (rows, n_groups) tensor, or with `transposed` a (n_groups, rows) one.
absl::Status ReadScales(const FloatBytes& from, bool transposed, int64_t rows, GroupScales* out);

// Zero points of 4 bits. compressed-tensors: row r is nibble r % 8 of word (r / 8, group), or,
// where not packed, an int8 -8 .. 7 per (row, group), 8 less than the nibble. AWQ: as its weights.
void ReadPackedZeros(const uint8_t* words, int64_t rows, GroupScales* out);
absl::Status ReadInt8Zeros(const uint8_t* values, int64_t rows, GroupScales* out);
void ReadAwqZeros(const uint8_t* words, int64_t rows, GroupScales* out);

// Rows [first, first + height) of a matrix, I4_32 or I4_128 blocks, to dst (its
// first row). src: (height, cols / 8) words, column 8 j + k in nibble k of word j.
void PackRows(const uint8_t* src, const GroupScales& scales, kernels::QuantType type, int64_t first,
              int64_t height, uint8_t* dst);
// Columns [first, first + height) of all `rows` rows, multiples of the block. src: (height, rows /
// 8) words; nibble k of word j is row 8 j + (0, 2, 4, 6, 1, 3, 5, 7)[k]. dst: the matrix.
void PackAwqColumns(const uint8_t* src, const GroupScales& scales, kernels::QuantType type,
                    int64_t first, int64_t height, int64_t rows, int64_t cols, uint8_t* dst);

}  // namespace scout

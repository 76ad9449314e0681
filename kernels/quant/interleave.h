// Rows of quantised matrices interleaved 32 at a time, for kernels whose lanes are output rows.
// SPDX-License-Identifier: Apache-2.0
//
// A matrix is cut into groups of 32 rows and each group into chunks of 256 columns, one chunk
// behind the other. A chunk holds the same bytes as the file's blocks of these rows and columns in
// another order: a block is a list of fields (its packed integers as words of 4 bytes, its scales),
// and word e of field f of block b of all 32 rows lies side by side:
//   field 0: (blocks of a chunk, words, 32 rows); field 1; ...
// The packed integers come first, so that they are aligned to 64 bytes where the chunk is. Rows
// behind the matrix's last one and blocks behind a row's last one are zero bytes, which decode to
// zeros. So the interleaved matrix takes the file's bytes, rounded up to whole chunks.
//
// The structs below are the chunks of each format. In those of I4 the nibbles of a word are in
// another order than in the block, so that they are ordered like those of all other formats: the
// low nibbles are weights 8 i .. 8 i + 3, the high ones weights 8 i + 4 .. 8 i + 7.
#pragma once

#include <cstdint>

#include "kernels/quant/types.h"

namespace scout::kernels {

inline constexpr int64_t kGroupRows = 32;
inline constexpr int64_t kGroupCols = 256;

// Whether the type has interleaved chunks: every type with blocks of integers.
bool can_interleave(QuantType type);
// Bytes of a chunk, and of a matrix of (rows, cols); a multiple of 64. 0 for types without.
int64_t chunk_bytes(QuantType type);
int64_t interleaved_bytes(QuantType type, int64_t rows, int64_t cols);

// One chunk from n_rows (at most 32) rows of n_cols (at most 256, whole blocks) columns: `rows` is
// the first row's first block, others follow every row_bytes.
void interleave_chunk(QuantType type, const void* rows, int64_t row_bytes, int64_t n_rows,
                      int64_t n_cols, void* chunk);
// The other way: the blocks of one row, 0 .. 31, of a chunk: chunk_bytes / 32 bytes.
void extract_row(QuantType type, const void* chunk, int64_t row, void* blocks);
// Rows [first_row, first_row + n_rows) of a matrix of `cols` columns into its interleaved form.
// first_row is a multiple of 32; a last group that is not full gets zero rows.
void interleave_rows(QuantType type, const void* rows, int64_t row_bytes, int64_t first_row,
                     int64_t n_rows, int64_t cols, void* matrix);

// (words, rows, bytes of a word)
using GroupBytes = uint8_t[kGroupRows];
using GroupHalves = uint16_t[kGroupRows];
using GroupWords = uint8_t[kGroupRows][4];

struct ChunkQ8_0 {
  GroupWords q[8][8];
  GroupHalves d[8];
};
struct ChunkQ4_0 {  // IQ4_NL too
  GroupWords n[8][4];
  GroupHalves d[8];
};
struct ChunkQ4_1 {
  GroupWords n[8][4];
  GroupHalves d[8], m[8];
};
struct ChunkQ5_0 {
  GroupWords n[8][4], high[8];
  GroupHalves d[8];
};
struct ChunkQ5_1 {
  GroupWords n[8][4], high[8];
  GroupHalves d[8], m[8];
};
struct ChunkQ4_K {
  GroupWords n[32];
  GroupBytes s[12];
  GroupHalves d, dmin;
};
struct ChunkQ5_K {
  GroupWords n[32], high[8];
  GroupBytes s[12];
  GroupHalves d, dmin;
};
struct ChunkQ6_K {
  GroupWords lo[32], hi[16];
  GroupBytes scale[16];
  GroupHalves d;
};
struct ChunkQ2_K {
  GroupWords n[16];
  GroupBytes s[16];
  GroupHalves d, dmin;
};
struct ChunkQ3_K {
  GroupWords n[16], high[8];
  GroupBytes s[12];
  GroupHalves d;
};
struct ChunkIq4Xs {
  GroupWords n[32];
  GroupBytes s_low[4];
  GroupHalves d, s_high;
};
struct ChunkMxfp4 {
  GroupWords n[8][4];
  GroupBytes e[8];
};
template <int64_t kElems>
struct ChunkI4 {
  GroupWords n[256 / kElems][kElems / 8];
  GroupHalves scale[256 / kElems];
  GroupBytes zero[256 / kElems];
};

}  // namespace scout::kernels

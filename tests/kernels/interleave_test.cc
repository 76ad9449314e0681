// Interleaved rows: nothing is lost, what is missing is zero. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/interleave.h"

#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

TEST(Interleave, EveryRowComesBack) {
  int types = 0;
  for (QuantType type : all_types()) {
    const QuantTraits& traits = quant_traits(type);
    SCOPED_TRACE(traits.name);
    ASSERT_EQ(can_interleave(type), !traits.is_float);
    if (traits.is_float) {
      EXPECT_EQ(chunk_bytes(type), 0);
      continue;
    }
    ++types;
    // Two groups, the second not full; a row that ends inside a chunk where blocks are small.
    const int64_t n_rows = 37, cols = traits.block_elems == 256 ? 512 : 512 + traits.block_elems;
    const int64_t row_bytes = cols / traits.block_elems * traits.block_bytes;
    const int64_t chunks = (cols + kGroupCols - 1) / kGroupCols;
    Input<uint8_t> rows(static_cast<size_t>(n_rows * row_bytes));
    Random random(7);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<uint8_t>(random.bits());
    const int64_t bytes = interleaved_bytes(type, n_rows, cols);
    ASSERT_EQ(bytes, 2 * chunks * chunk_bytes(type));
    EXPECT_EQ(chunk_bytes(type) % 64, 0);
    EXPECT_EQ(interleaved_bytes(type, 64, 512), 64 * 512 / traits.block_elems * traits.block_bytes);
    Output<uint8_t> all(static_cast<size_t>(bytes));
    // In two calls, as a loader with pieces does.
    interleave_rows(type, rows.data(), row_bytes, 0, 32, cols, all.data());
    interleave_rows(type, rows.data() + 32 * row_bytes, row_bytes, 32, n_rows - 32, cols,
                    all.data());
    EXPECT_TRUE(all.margins_untouched());
    const int64_t part = chunk_bytes(type) / kGroupRows;
    for (int64_t r = 0; r < 64; ++r) {
      std::vector<uint8_t> got(static_cast<size_t>(chunks * part));
      for (int64_t c = 0; c < chunks; ++c) {
        const uint8_t* chunk = all.data() + (r / kGroupRows * chunks + c) * chunk_bytes(type);
        extract_row(type, chunk, r % kGroupRows, got.data() + c * part);
      }
      std::vector<uint8_t> want(got.size());  // zeros behind the row and behind the matrix
      if (r < n_rows) memcpy(want.data(), rows.data() + r * row_bytes, row_bytes);
      ASSERT_EQ(got, want) << "row " << r;
    }
  }
  EXPECT_EQ(types, 15);
}

// The order that kernels read: word e of block b of row r in field 0 lies at ((b, e), r).
TEST(Interleave, WordsOfRowsLieSideBySide) {
  const QuantTraits& traits = quant_traits(QuantType::kQ8_0);
  Input<uint8_t> rows(static_cast<size_t>(32 * 8 * traits.block_bytes));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<uint8_t>(i * 31 + i / 251);
  ChunkQ8_0 chunk;
  interleave_chunk(QuantType::kQ8_0, rows.data(), 8 * traits.block_bytes, 32, 256, &chunk);
  for (int64_t b = 0; b < 8; ++b) {
    for (int64_t r = 0; r < 32; ++r) {
      const uint8_t* block = rows.data() + (r * 8 + b) * traits.block_bytes;
      uint16_t d;
      memcpy(&d, block, 2);
      EXPECT_EQ(chunk.d[b][r], d);
      for (int64_t e = 0; e < 8; ++e) {
        EXPECT_EQ(memcmp(chunk.q[b][e][r], block + 2 + 4 * e, 4), 0) << b << " " << r << " " << e;
      }
    }
  }
}

// Nibbles of I4 words are sorted: low ones first.
TEST(Interleave, NibblesOfI4AreSorted) {
  Input<uint8_t> block(67);
  block[3] = 0x10;  // weights 0 .. 7 are 0 .. 7
  block[4] = 0x32;
  block[5] = 0x54;
  block[6] = 0x76;
  ChunkI4<128> chunk;
  interleave_chunk(QuantType::kI4_128, block.data(), 67, 1, 128, &chunk);
  for (uint8_t i = 0; i < 4; ++i) EXPECT_EQ(chunk.n[0][0][0][i], i | (i + 4) << 4);
}

}  // namespace
}  // namespace scout::kernels

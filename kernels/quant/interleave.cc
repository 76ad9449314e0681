#include "kernels/quant/interleave.h"

#include <cstddef>
#include <cstring>

#include "kernels/quant/i4.h"
#include "kernels/quant/iq4.h"
#include "kernels/quant/mxfp4.h"
#include "kernels/quant/q2_k.h"
#include "kernels/quant/q3_k.h"
#include "kernels/quant/q4_0.h"
#include "kernels/quant/q4_1.h"
#include "kernels/quant/q4_k.h"
#include "kernels/quant/q5_0.h"
#include "kernels/quant/q5_1.h"
#include "kernels/quant/q5_k.h"
#include "kernels/quant/q6_k.h"
#include "kernels/quant/q8_0.h"

namespace scout::kernels {
namespace {

// A run of `count` words of `bytes` (1, 2 or 4) each at `offset` of a block.
struct Field {
  int offset, bytes, count;
  bool nibble_pairs = false;  // 8 nibbles of a word in order, to be sorted as interleave.h says
};
struct Fields {
  const Field* list = nullptr;
  int n = 0;
};

#define SCOUT_FIELD(block, name, bytes)                 \
  {                                                     \
    static_cast<int>(offsetof(block, name)), bytes,     \
        static_cast<int>(sizeof(block::name)) / (bytes) \
  }

constexpr Field kQ8_0Fields[] = {SCOUT_FIELD(BlockQ8_0, q, 4), SCOUT_FIELD(BlockQ8_0, d, 2)};
constexpr Field kQ4_0Fields[] = {SCOUT_FIELD(BlockQ4_0, n, 4), SCOUT_FIELD(BlockQ4_0, d, 2)};
constexpr Field kQ4_1Fields[] = {SCOUT_FIELD(BlockQ4_1, n, 4), SCOUT_FIELD(BlockQ4_1, d, 2),
                                 SCOUT_FIELD(BlockQ4_1, m, 2)};
constexpr Field kQ5_0Fields[] = {SCOUT_FIELD(BlockQ5_0, n, 4), SCOUT_FIELD(BlockQ5_0, high, 4),
                                 SCOUT_FIELD(BlockQ5_0, d, 2)};
constexpr Field kQ5_1Fields[] = {SCOUT_FIELD(BlockQ5_1, n, 4), SCOUT_FIELD(BlockQ5_1, high, 4),
                                 SCOUT_FIELD(BlockQ5_1, d, 2), SCOUT_FIELD(BlockQ5_1, m, 2)};
constexpr Field kQ4_KFields[] = {SCOUT_FIELD(BlockQ4_K, n, 4), SCOUT_FIELD(BlockQ4_K, s, 1),
                                 SCOUT_FIELD(BlockQ4_K, d, 2), SCOUT_FIELD(BlockQ4_K, dmin, 2)};
constexpr Field kQ5_KFields[] = {SCOUT_FIELD(BlockQ5_K, n, 4), SCOUT_FIELD(BlockQ5_K, high, 4),
                                 SCOUT_FIELD(BlockQ5_K, s, 1), SCOUT_FIELD(BlockQ5_K, d, 2),
                                 SCOUT_FIELD(BlockQ5_K, dmin, 2)};
constexpr Field kQ6_KFields[] = {SCOUT_FIELD(BlockQ6_K, lo, 4), SCOUT_FIELD(BlockQ6_K, hi, 4),
                                 SCOUT_FIELD(BlockQ6_K, scale, 1), SCOUT_FIELD(BlockQ6_K, d, 2)};
constexpr Field kQ2_KFields[] = {SCOUT_FIELD(BlockQ2_K, n, 4), SCOUT_FIELD(BlockQ2_K, s, 1),
                                 SCOUT_FIELD(BlockQ2_K, d, 2), SCOUT_FIELD(BlockQ2_K, dmin, 2)};
constexpr Field kQ3_KFields[] = {SCOUT_FIELD(BlockQ3_K, n, 4), SCOUT_FIELD(BlockQ3_K, high, 4),
                                 SCOUT_FIELD(BlockQ3_K, s, 1), SCOUT_FIELD(BlockQ3_K, d, 2)};
constexpr Field kIq4NlFields[] = {SCOUT_FIELD(BlockIq4Nl, n, 4), SCOUT_FIELD(BlockIq4Nl, d, 2)};
constexpr Field kIq4XsFields[] = {SCOUT_FIELD(BlockIq4Xs, n, 4), SCOUT_FIELD(BlockIq4Xs, s_low, 1),
                                  SCOUT_FIELD(BlockIq4Xs, d, 2),
                                  SCOUT_FIELD(BlockIq4Xs, s_high, 2)};
constexpr Field kMxfp4Fields[] = {SCOUT_FIELD(BlockMxfp4, n, 4), SCOUT_FIELD(BlockMxfp4, e, 1)};
constexpr Field kI4_32Fields[] = {{3, 4, 4, true}, {0, 2, 1}, {2, 1, 1}};
constexpr Field kI4_128Fields[] = {{3, 4, 16, true}, {0, 2, 1}, {2, 1, 1}};
#undef SCOUT_FIELD
static_assert(offsetof(BlockI4_32, n) == 3 && offsetof(BlockI4_128, n) == 3);

template <typename Chunk>
constexpr bool holds(int64_t block_bytes, int64_t block_elems) {
  return static_cast<int64_t>(sizeof(Chunk)) ==
             kGroupRows * kGroupCols / block_elems * block_bytes &&
         sizeof(Chunk) % 64 == 0;
}
static_assert(holds<ChunkQ8_0>(sizeof(BlockQ8_0), 32) && holds<ChunkQ4_0>(sizeof(BlockQ4_0), 32));
static_assert(holds<ChunkQ4_1>(sizeof(BlockQ4_1), 32) && holds<ChunkQ5_0>(sizeof(BlockQ5_0), 32));
static_assert(holds<ChunkQ5_1>(sizeof(BlockQ5_1), 32) && holds<ChunkMxfp4>(sizeof(BlockMxfp4), 32));
static_assert(holds<ChunkQ4_K>(sizeof(BlockQ4_K), 256) && holds<ChunkQ5_K>(sizeof(BlockQ5_K), 256));
static_assert(holds<ChunkQ6_K>(sizeof(BlockQ6_K), 256) && holds<ChunkQ2_K>(sizeof(BlockQ2_K), 256));
static_assert(holds<ChunkQ3_K>(sizeof(BlockQ3_K), 256));
static_assert(holds<ChunkIq4Xs>(sizeof(BlockIq4Xs), 256));
static_assert(holds<ChunkI4<32>>(sizeof(BlockI4_32), 32));
static_assert(holds<ChunkI4<128>>(sizeof(BlockI4_128), 128));

template <int kN>
constexpr Fields list(const Field (&fields)[kN]) {
  return {fields, kN};
}

Fields fields_of(QuantType type) {
  switch (type) {
    case QuantType::kQ8_0:
      return list(kQ8_0Fields);
    case QuantType::kQ4_0:
      return list(kQ4_0Fields);
    case QuantType::kQ4_1:
      return list(kQ4_1Fields);
    case QuantType::kQ5_0:
      return list(kQ5_0Fields);
    case QuantType::kQ5_1:
      return list(kQ5_1Fields);
    case QuantType::kQ4_K:
      return list(kQ4_KFields);
    case QuantType::kQ5_K:
      return list(kQ5_KFields);
    case QuantType::kQ6_K:
      return list(kQ6_KFields);
    case QuantType::kQ2_K:
      return list(kQ2_KFields);
    case QuantType::kQ3_K:
      return list(kQ3_KFields);
    case QuantType::kIQ4_NL:
      return list(kIq4NlFields);
    case QuantType::kIQ4_XS:
      return list(kIq4XsFields);
    case QuantType::kMXFP4:
      return list(kMxfp4Fields);
    case QuantType::kI4_32:
      return list(kI4_32Fields);
    case QuantType::kI4_128:
      return list(kI4_128Fields);
    case QuantType::kF32:
    case QuantType::kF16:
    case QuantType::kBF16:
    case QuantType::kF8_E4M3:
    case QuantType::kCount:
      return {};
  }
  return {};
}

// Nibbles 0 .. 7, lowest first, to (0, 4, 1, 5, 2, 6, 3, 7), and back.
inline uint32_t spread_nibbles(uint32_t x) {  // 4 nibbles to the low halves of 4 bytes
  x = (x | x << 8) & 0x00ff00ffu;
  return (x | x << 4) & 0x0f0f0f0fu;
}
inline uint32_t join_nibbles(uint32_t x) {
  x = (x | x >> 4) & 0x00ff00ffu;
  return (x | x >> 8) & 0xffffu;
}
inline uint32_t sort_nibbles(uint32_t x) {
  return spread_nibbles(x & 0xffffu) | spread_nibbles(x >> 16) << 4;
}
inline uint32_t unsort_nibbles(uint32_t x) {
  return join_nibbles(x & 0x0f0f0f0fu) | join_nibbles(x >> 4 & 0x0f0f0f0fu) << 16;
}

// count words of kBytes from each of n_rows rows to (count, 32) words.
template <int kBytes>
inline void gather_words(const uint8_t* rows, int64_t row_bytes, int64_t n_rows, int count,
                         uint8_t* to) {
  for (int64_t r = 0; r < n_rows; ++r) {
    const uint8_t* from = rows + r * row_bytes;
    for (int e = 0; e < count; ++e) {
      memcpy(to + (e * kGroupRows + r) * kBytes, from + e * kBytes, kBytes);
    }
  }
}
template <typename Change>
void change_words(uint8_t* words, int64_t n, Change change) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t x;
    memcpy(&x, words + 4 * i, 4);
    x = change(x);
    memcpy(words + 4 * i, &x, 4);
  }
}

}  // namespace

bool can_interleave(QuantType type) { return fields_of(type).n > 0; }

int64_t chunk_bytes(QuantType type) {
  if (!can_interleave(type)) return 0;
  const QuantTraits& traits = quant_traits(type);
  return kGroupRows * (kGroupCols / traits.block_elems) * traits.block_bytes;
}

int64_t interleaved_bytes(QuantType type, int64_t rows, int64_t cols) {
  const int64_t groups = (rows + kGroupRows - 1) / kGroupRows;
  const int64_t chunks = (cols + kGroupCols - 1) / kGroupCols;
  return groups * chunks * chunk_bytes(type);
}

void interleave_chunk(QuantType type, const void* rows, int64_t row_bytes, int64_t n_rows,
                      int64_t n_cols, void* chunk) {
  const QuantTraits& traits = quant_traits(type);
  const uint8_t* from = static_cast<const uint8_t*>(rows);
  uint8_t* to = static_cast<uint8_t*>(chunk);
  const int64_t room = kGroupCols / traits.block_elems, blocks = n_cols / traits.block_elems;
  if (n_rows < kGroupRows || blocks < room) memset(to, 0, static_cast<size_t>(chunk_bytes(type)));
  const Fields fields = fields_of(type);
  for (int f = 0; f < fields.n; ++f) {
    const Field& field = fields.list[f];
    const int64_t words = field.count * kGroupRows;
    for (int64_t b = 0; b < blocks; ++b) {
      const uint8_t* src = from + b * traits.block_bytes + field.offset;
      uint8_t* dst = to + b * words * field.bytes;
      if (field.bytes == 4) {
        gather_words<4>(src, row_bytes, n_rows, field.count, dst);
        if (field.nibble_pairs) change_words(dst, words, sort_nibbles);
      } else if (field.bytes == 2) {
        gather_words<2>(src, row_bytes, n_rows, field.count, dst);
      } else {
        gather_words<1>(src, row_bytes, n_rows, field.count, dst);
      }
    }
    to += room * words * field.bytes;
  }
}

void extract_row(QuantType type, const void* chunk, int64_t row, void* blocks) {
  const QuantTraits& traits = quant_traits(type);
  const uint8_t* from = static_cast<const uint8_t*>(chunk);
  const Fields fields = fields_of(type);
  for (int f = 0; f < fields.n; ++f) {
    const Field& field = fields.list[f];
    for (int64_t b = 0; b < kGroupCols / traits.block_elems; ++b) {
      uint8_t* to = static_cast<uint8_t*>(blocks) + b * traits.block_bytes + field.offset;
      for (int e = 0; e < field.count; ++e) {
        memcpy(to + e * field.bytes, from + row * field.bytes, static_cast<size_t>(field.bytes));
        from += kGroupRows * field.bytes;
      }
      if (field.nibble_pairs) change_words(to, field.count, unsort_nibbles);
    }
  }
}

void interleave_rows(QuantType type, const void* rows, int64_t row_bytes, int64_t first_row,
                     int64_t n_rows, int64_t cols, void* matrix) {
  const QuantTraits& traits = quant_traits(type);
  const int64_t bytes = chunk_bytes(type);
  const int64_t chunks = (cols + kGroupCols - 1) / kGroupCols;
  const int64_t chunk_row_bytes = kGroupCols / traits.block_elems * traits.block_bytes;
  uint8_t* to = static_cast<uint8_t*>(matrix) + first_row / kGroupRows * chunks * bytes;
  for (int64_t r = 0; r < n_rows; r += kGroupRows) {
    const uint8_t* from = static_cast<const uint8_t*>(rows) + r * row_bytes;
    const int64_t height = n_rows - r < kGroupRows ? n_rows - r : kGroupRows;
    for (int64_t c = 0; c < chunks; ++c, to += bytes) {
      const int64_t width = cols - c * kGroupCols < kGroupCols ? cols - c * kGroupCols : kGroupCols;
      interleave_chunk(type, from + c * chunk_row_bytes, row_bytes, height, width, to);
    }
  }
}

}  // namespace scout::kernels

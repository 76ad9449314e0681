// Joining of nibbles, scales and zero points. SPDX-License-Identifier: Apache-2.0
#include "lib/model/repack.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/quant/half.h"
#include "kernels/quant/i4.h"

namespace scout {
namespace {

constexpr int64_t kAwqOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};

uint32_t Word(const uint8_t* words, int64_t i) {
  uint32_t word;
  std::memcpy(&word, words + 4 * i, sizeof(word));
  return word;
}

template <int64_t kElems>
void PackRowsOf(const uint8_t* src, const GroupScales& s, int64_t first, int64_t height,
                uint8_t* dst) {
  auto* block = reinterpret_cast<kernels::BlockI4<kElems>*>(dst);
  const int64_t blocks_per_group = s.group / kElems;
  for (int64_t r = 0; r < height; ++r) {
    for (int64_t g = 0; g < s.n_groups; ++g) {
      const auto at = static_cast<size_t>((first + r) * s.n_groups + g);
      for (int64_t b = 0; b < blocks_per_group; ++b, ++block, src += kElems / 2) {
        kernels::pack_i4(s.bits[at], s.bf16, s.zeros[at], src, block);
      }
    }
  }
}

// Turns a tile of kElems columns and 16 words (128 rows) at a time: it stays in the first cache.
template <int64_t kElems>
void PackAwqOf(const uint8_t* src, const GroupScales& s, int64_t first, int64_t height,
               int64_t rows, int64_t cols, uint8_t* dst) {
  constexpr int64_t kTile = 16;
  const int64_t words = rows / 8, blocks = cols / kElems;
  uint8_t tile[kTile * 8][kElems / 2];
  for (int64_t c = 0; c < height; c += kElems) {
    const int64_t block = (first + c) / kElems, group = (first + c) / s.group;
    for (int64_t w0 = 0; w0 < words; w0 += kTile) {
      const int64_t n = std::min(kTile, words - w0);
      for (int64_t i = 0; i < kElems; i += 2) {
        for (int64_t w = 0; w < n; ++w) {
          const uint32_t low = Word(src, (c + i) * words + w0 + w);
          const uint32_t high = Word(src, (c + i + 1) * words + w0 + w);
          for (int64_t k = 0; k < 8; ++k) {
            const uint32_t pair = ((low >> (4 * k)) & 15u) | (((high >> (4 * k)) & 15u) << 4);
            tile[w * 8 + kAwqOrder[k]][i / 2] = static_cast<uint8_t>(pair);
          }
        }
      }
      for (int64_t r = 0; r < n * 8; ++r) {
        const int64_t row = w0 * 8 + r;
        const auto at = static_cast<size_t>(row * s.n_groups + group);
        auto* to = reinterpret_cast<kernels::BlockI4<kElems>*>(dst) + row * blocks + block;
        kernels::pack_i4(s.bits[at], s.bf16, s.zeros[at], tile[r], to);
      }
    }
  }
}

}  // namespace

absl::Status ReadScales(const FloatBytes& from, bool transposed, int64_t rows, GroupScales* out) {
  const bool is_f32 = from.type == kernels::QuantType::kF32;
  std::vector<float> wide(static_cast<size_t>(from.n));
  kernels::quant_traits(from.type).decode(from.data, wide.data(), from.n);
  // float32 numbers are as a rule widened 16-bit ones: of which kind, the first pass finds out.
  bool as_f16 = true, as_bf16 = true;
  for (int64_t i = 0; i < from.n; ++i) {
    const float v = wide[static_cast<size_t>(i)];
    if (!std::isfinite(v)) {
      return CorruptError(absl::StrCat("scale ", i, " is not a finite number"));
    }
    as_f16 = as_f16 && kernels::f16_to_f32(kernels::f32_to_f16(v)) == v;
    as_bf16 = as_bf16 && kernels::bf16_to_f32(kernels::f32_to_bf16(v)) == v;
  }
  if (is_f32 && !as_f16 && !as_bf16) {
    return UnsupportedError("float32 scales that neither float16 nor bfloat16 can hold");
  }
  out->bf16 = is_f32 ? !as_f16 : from.type == kernels::QuantType::kBF16;
  out->bits.resize(wide.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < out->n_groups; ++g) {
      const float v = wide[static_cast<size_t>(transposed ? g * rows + r : r * out->n_groups + g)];
      out->bits[static_cast<size_t>(r * out->n_groups + g)] =
          out->bf16 ? kernels::f32_to_bf16(v) : kernels::f32_to_f16(v);
    }
  }
  return absl::OkStatus();
}

void ReadPackedZeros(const uint8_t* words, int64_t rows, GroupScales* out) {
  out->zeros.resize(static_cast<size_t>(rows * out->n_groups));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < out->n_groups; ++g) {
      const uint32_t word = Word(words, r / 8 * out->n_groups + g);
      out->zeros[static_cast<size_t>(r * out->n_groups + g)] =
          static_cast<uint8_t>((word >> (4 * (r % 8))) & 15u);
    }
  }
}

absl::Status ReadInt8Zeros(const uint8_t* values, int64_t rows, GroupScales* out) {
  out->zeros.resize(static_cast<size_t>(rows * out->n_groups));
  for (size_t i = 0; i < out->zeros.size(); ++i) {
    const int zero = static_cast<int8_t>(values[i]);
    if (zero < -8 || zero > 7) {
      return CorruptError(absl::StrCat("zero point ", i, " is ", zero, ", outside [-8, 7]"));
    }
    out->zeros[i] = static_cast<uint8_t>(zero + 8);
  }
  return absl::OkStatus();
}

void ReadAwqZeros(const uint8_t* words, int64_t rows, GroupScales* out) {
  out->zeros.resize(static_cast<size_t>(rows * out->n_groups));
  for (int64_t g = 0; g < out->n_groups; ++g) {
    for (int64_t w = 0; w < rows / 8; ++w) {
      const uint32_t word = Word(words, g * (rows / 8) + w);
      for (int64_t k = 0; k < 8; ++k) {
        out->zeros[static_cast<size_t>((w * 8 + kAwqOrder[k]) * out->n_groups + g)] =
            static_cast<uint8_t>((word >> (4 * k)) & 15u);
      }
    }
  }
}

void PackRows(const uint8_t* src, const GroupScales& scales, kernels::QuantType type, int64_t first,
              int64_t height, uint8_t* dst) {
  type == kernels::QuantType::kI4_128 ? PackRowsOf<128>(src, scales, first, height, dst)
                                      : PackRowsOf<32>(src, scales, first, height, dst);
}

void PackAwqColumns(const uint8_t* src, const GroupScales& scales, kernels::QuantType type,
                    int64_t first, int64_t height, int64_t rows, int64_t cols, uint8_t* dst) {
  type == kernels::QuantType::kI4_128 ? PackAwqOf<128>(src, scales, first, height, rows, cols, dst)
                                      : PackAwqOf<32>(src, scales, first, height, rows, cols, dst);
}

}  // namespace scout

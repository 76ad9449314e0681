// The table of element types, and GGUF's numbers for them. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/types.h"

#include <cstddef>
#include <cstring>

#include "kernels/quant/f8.h"
#include "kernels/quant/half.h"
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

void decode_f32(const void* src, float* dst, int64_t n) {
  memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
}

void encode_f32(const float* src, void* dst, int64_t n) {
  memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
}

// 16-bit elements may lie at any address, so they are copied out byte-wise.
template <float (*kDecode)(uint16_t)>
void decode_16(const void* src, float* dst, int64_t n) {
  const unsigned char* bytes = static_cast<const unsigned char*>(src);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t h;
    memcpy(&h, bytes + 2 * i, 2);
    dst[i] = kDecode(h);
  }
}

template <uint16_t (*kEncode)(float)>
void encode_16(const float* src, void* dst, int64_t n) {
  unsigned char* bytes = static_cast<unsigned char*>(dst);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t h = kEncode(src[i]);
    memcpy(bytes + 2 * i, &h, 2);
  }
}

void decode_f8(const void* src, float* dst, int64_t n) {
  const uint8_t* bytes = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; ++i) dst[i] = f8_e4m3_to_f32(bytes[i]);
}

void encode_f8(const float* src, void* dst, int64_t n) {
  uint8_t* bytes = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; ++i) bytes[i] = f32_to_f8_e4m3(src[i]);
}

template <typename Block, int64_t kElems, void (*kDecode)(const Block&, float*)>
void decode_blocks(const void* src, float* dst, int64_t n) {
  const Block* blocks = static_cast<const Block*>(src);
  for (int64_t i = 0; i < n / kElems; ++i) kDecode(blocks[i], dst + i * kElems);
}

template <typename Block, int64_t kElems, void (*kEncode)(const float*, Block*)>
void encode_blocks(const float* src, void* dst, int64_t n) {
  Block* blocks = static_cast<Block*>(dst);
  for (int64_t i = 0; i < n / kElems; ++i) kEncode(src + i * kElems, blocks + i);
}

template <typename Block, int64_t kElems, void (*kDecode)(const Block&, float*),
          void (*kEncode)(const float*, Block*)>
constexpr QuantTraits blocks(const char* name) {
  return {name,
          kElems,
          sizeof(Block),
          false,
          decode_blocks<Block, kElems, kDecode>,
          encode_blocks<Block, kElems, kEncode>};
}

constexpr size_t kTypes = static_cast<size_t>(QuantType::kCount);

// In the order of QuantType.
constexpr QuantTraits kTraits[kTypes] = {
    {"F32", 1, 4, true, decode_f32, encode_f32},
    {"F16", 1, 2, true, decode_16<f16_to_f32>, encode_16<f32_to_f16>},
    {"BF16", 1, 2, true, decode_16<bf16_to_f32>, encode_16<f32_to_bf16>},
    blocks<BlockQ8_0, kQ8_0Elems, decode_q8_0, encode_q8_0>("Q8_0"),
    blocks<BlockQ4_0, kQ4_0Elems, decode_q4_0, encode_q4_0>("Q4_0"),
    blocks<BlockQ4_K, kQ4_KElems, decode_q4_k, encode_q4_k>("Q4_K"),
    blocks<BlockQ6_K, kQ6_KElems, decode_q6_k, encode_q6_k>("Q6_K"),
    blocks<BlockQ4_1, kQ4_1Elems, decode_q4_1, encode_q4_1>("Q4_1"),
    blocks<BlockQ5_0, kQ5_0Elems, decode_q5_0, encode_q5_0>("Q5_0"),
    blocks<BlockQ5_1, kQ5_1Elems, decode_q5_1, encode_q5_1>("Q5_1"),
    blocks<BlockQ2_K, kQ2_KElems, decode_q2_k, encode_q2_k>("Q2_K"),
    blocks<BlockQ3_K, kQ3_KElems, decode_q3_k, encode_q3_k>("Q3_K"),
    blocks<BlockQ5_K, kQ5_KElems, decode_q5_k, encode_q5_k>("Q5_K"),
    blocks<BlockIq4Nl, kIq4NlElems, decode_iq4_nl, encode_iq4_nl>("IQ4_NL"),
    blocks<BlockIq4Xs, kIq4XsElems, decode_iq4_xs, encode_iq4_xs>("IQ4_XS"),
    blocks<BlockMxfp4, kMxfp4Elems, decode_mxfp4, encode_mxfp4>("MXFP4"),
    blocks<BlockI4_32, 32, decode_i4<32>, encode_i4_32>("I4_32"),
    blocks<BlockI4_128, 128, decode_i4<128>, encode_i4_128>("I4_128"),
    {"F8_E4M3", 1, 1, true, decode_f8, encode_f8},
};

struct GgufType {
  const char* name;
  QuantType type;  // kCount: known by name only
};

constexpr QuantType kNone = QuantType::kCount;

// Indexed by GGUF's number. 4, 5, 31 to 33 and 36 to 38 were given out and later withdrawn.
constexpr GgufType kGguf[] = {
    {"F32", QuantType::kF32},  // 0
    {"F16", QuantType::kF16},
    {"Q4_0", QuantType::kQ4_0},
    {"Q4_1", QuantType::kQ4_1},
    {"Q4_2", kNone},
    {"Q4_3", kNone},
    {"Q5_0", QuantType::kQ5_0},
    {"Q5_1", QuantType::kQ5_1},
    {"Q8_0", QuantType::kQ8_0},
    {"Q8_1", kNone},
    {"Q2_K", QuantType::kQ2_K},  // 10
    {"Q3_K", QuantType::kQ3_K},
    {"Q4_K", QuantType::kQ4_K},
    {"Q5_K", QuantType::kQ5_K},
    {"Q6_K", QuantType::kQ6_K},
    {"Q8_K", kNone},
    {"IQ2_XXS", kNone},
    {"IQ2_XS", kNone},
    {"IQ3_XXS", kNone},
    {"IQ1_S", kNone},
    {"IQ4_NL", QuantType::kIQ4_NL},  // 20
    {"IQ3_S", kNone},
    {"IQ2_S", kNone},
    {"IQ4_XS", QuantType::kIQ4_XS},
    {"I8", kNone},
    {"I16", kNone},
    {"I32", kNone},
    {"I64", kNone},
    {"F64", kNone},
    {"IQ1_M", kNone},
    {"BF16", QuantType::kBF16},  // 30
    {"Q4_0_4_4", kNone},
    {"Q4_0_4_8", kNone},
    {"Q4_0_8_8", kNone},
    {"TQ1_0", kNone},
    {"TQ2_0", kNone},
    {"IQ4_NL_4_4", kNone},
    {"IQ4_NL_4_8", kNone},
    {"IQ4_NL_8_8", kNone},
    {"MXFP4", QuantType::kMXFP4},
    {"NVFP4", kNone},  // 40
    {"Q1_0", kNone},
};
constexpr size_t kGgufCount = sizeof(kGguf) / sizeof(kGguf[0]);
static_assert(kGgufCount == 42);

}  // namespace

const QuantTraits& quant_traits(QuantType type) {
  const size_t i = static_cast<size_t>(type);
  return kTraits[i < kTypes ? i : 0];
}

bool quant_type_from_gguf(uint32_t ggml_type, QuantType* type) {
  if (ggml_type >= kGgufCount || kGguf[ggml_type].type == kNone) return false;
  *type = kGguf[ggml_type].type;
  return true;
}

const char* gguf_type_name(uint32_t ggml_type) {
  return ggml_type < kGgufCount ? kGguf[ggml_type].name : nullptr;
}

}  // namespace scout::kernels

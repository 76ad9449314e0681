// Element types of weight tensors and the size of their blocks. SPDX-License-Identifier: Apache-2.0
// One header per block format beside this one holds its struct, layout and scalar codec.
#pragma once

#include <cstdint>

namespace scout::kernels {

// Values are this library's own; kernels/quant/types.cc maps GGUF type numbers to them. F8_E4M3 and
// the I4 types have no such number: the loader makes them of quantised safetensors.
enum class QuantType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_K,
  kQ6_K,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ5_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kI4_32,
  kI4_128,
  kF8_E4M3,
  kCount
};

struct QuantTraits {
  const char* name;     // "Q4_K"
  int64_t block_elems;  // elements of a block, along a row
  int64_t block_bytes;  // bytes of a block
  bool is_float;        // no block scale: F32, F16, BF16, F8_E4M3
  void (*decode)(const void* src, float* dst, int64_t n);  // n elements, a multiple of block_elems
  void (*encode)(const float* src, void* dst, int64_t n);  // round to nearest; same rule for n
};

// Traits of a type, never null. Static storage.
const QuantTraits& quant_traits(QuantType type);

// GGUF's ggml_type number to ours. Returns false where this library does not know the type.
bool quant_type_from_gguf(uint32_t ggml_type, QuantType* type);
// "Q5_K" for a number that GGUF defines, whether or not it is supported; nullptr for others.
const char* gguf_type_name(uint32_t ggml_type);

}  // namespace scout::kernels

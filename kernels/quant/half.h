// Scalar float16 and bfloat16 <-> float32, exact on every value, with plain integer arithmetic.
// SPDX-License-Identifier: Apache-2.0
//
// float16:  1 sign, 5 exponent (bias 15), 10 fraction bits; range 2^-24 .. 65504.
// bfloat16: the upper half of a float32.
// Narrowing rounds to nearest, ties to even; overflow gives infinity; a NaN stays a (quiet) NaN of
// the same sign.
//
// These functions, and those of the block headers beside this one, have internal linkage on
// purpose: files compiled for different instruction sets include them, and a shared inline function
// would let the linker keep the copy that only some machines can run.
#pragma once

#include <cstdint>
#include <cstring>

namespace scout::kernels {

static inline uint32_t f32_bits(float v) {
  uint32_t u;
  memcpy(&u, &v, sizeof(u));
  return u;
}

static inline float f32_from_bits(uint32_t u) {
  float v;
  memcpy(&v, &u, sizeof(v));
  return v;
}

static inline float bf16_to_f32(uint16_t h) {
  return f32_from_bits(static_cast<uint32_t>(h) << 16);
}

static inline uint16_t f32_to_bf16(float v) {
  const uint32_t u = f32_bits(v);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  // Half of the last kept bit, less one unless that bit is odd: ties go to even.
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// Masks rather than branches, so that loops over it vectorise.
static inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  const uint32_t is_small = 0u - static_cast<uint32_t>(magnitude < 0x400u);
  const uint32_t is_special = 0u - static_cast<uint32_t>(magnitude >= 0x7c00u);
  const uint32_t is_nan = 0u - static_cast<uint32_t>(magnitude > 0x7c00u);
  // The exponent moves from bias 15 to 127; that of infinity and NaN goes on to 255.
  const uint32_t wide = (magnitude << 13) + (112u << 23) + ((112u << 23) & is_special);
  // Subnormal or zero: the float32 numbers from 0.5 on are 2^-24 apart, so the difference is exact
  // and, unlike a product with a subnormal, does not depend on the caller's denormals-are-zero
  // mode.
  const uint32_t small = f32_bits(f32_from_bits(0x3f000000u | magnitude) - 0.5f);
  return f32_from_bits(sign | (0x400000u & is_nan) | (small & is_small) | (wide & ~is_small));
}

static inline uint16_t f32_to_f16(float v) {
  const uint32_t u = f32_bits(v);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  // 65520 and above round to infinity.
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude >= 0x38800000u) {  // 2^-14 and above: a normal float16
    const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | (rounded >> 13));
  }
  if (magnitude <= 0x33000000u) return static_cast<uint16_t>(sign);  // up to 2^-25: ties to zero
  // Subnormal: count units of 2^-24. shift is 14 to 24.
  const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
  const uint32_t shift = 126u - (magnitude >> 23);
  const uint32_t kept = significand >> shift;
  const uint32_t rest = significand & ((1u << shift) - 1u);
  const uint32_t half = 1u << (shift - 1u);
  const uint32_t up = (rest > half || (rest == half && (kept & 1u))) ? 1u : 0u;
  return static_cast<uint16_t>(sign | (kept + up));
}

}  // namespace scout::kernels

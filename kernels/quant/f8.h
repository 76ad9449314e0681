// Scalar float8 E4M3 (the OCP form without infinities) <-> float32. SPDX-License-Identifier:
// Apache-2.0
//
// 1 sign, 4 exponent (bias 7), 3 fraction bits; range 2^-9 .. 448; 0x7f and 0xff are NaN. Every
// value is a float16 too. Narrowing rounds to nearest, ties to even, and saturates at 448.
#pragma once

#include <cstdint>

#include "kernels/quant/half.h"

namespace scout::kernels {

inline constexpr float kF8E4M3Max = 448.0f;

// The float16 of the same fields is 2^-8 times the value; exact, subnormals included.
static inline float f8_e4m3_to_f32(uint8_t v) {
  const uint32_t magnitude = v & 0x7fu;
  const uint32_t is_nan = 0u - static_cast<uint32_t>(magnitude == 0x7fu);
  const uint32_t half = (static_cast<uint32_t>(v & 0x80u) << 8) | (magnitude << 7);
  return f16_to_f32(static_cast<uint16_t>(half | (0x7e00u & is_nan))) * 256.0f;
}

static inline uint8_t f32_to_f8_e4m3(float v) {
  const uint32_t u = f32_bits(v);
  const uint32_t sign = (u >> 24) & 0x80u;
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint8_t>(sign | 0x7fu);
  if (magnitude >= 0x43e00000u) return static_cast<uint8_t>(sign | 0x7eu);  // 448 and above
  if (magnitude >= 0x3c800000u) {                                           // 2^-6: normal
    const uint32_t rounded = magnitude - 0x3c000000u + 0x7ffffu + ((magnitude >> 20) & 1u);
    return static_cast<uint8_t>(sign | (rounded >> 20));
  }
  // Subnormal: units of 2^-9. Below 2^14 the float32 numbers from 2^14 on are 2^-9 apart, so the
  // addition rounds to nearest even.
  const float shifted = f32_from_bits(magnitude) + 16384.0f;
  return static_cast<uint8_t>(sign | (f32_bits(shifted) - 0x46800000u));
}

}  // namespace scout::kernels

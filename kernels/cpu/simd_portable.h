// 16 float lanes without intrinsics: four 16-byte vectors of the compiler (SSE2, NEON, ...).
// SPDX-License-Identifier: Apache-2.0
//
// The names are those of simd_avx512.h. fma() is a product and a sum, each rounded.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/quant/f8.h"
#include "kernels/quant/half.h"

#define SCOUT_INLINE inline __attribute__((always_inline))

namespace scout::kernels {
namespace {

// 8 of 16 registers hold accumulators.
constexpr int kTileOuts = 2, kTileRows = 1;
constexpr int kTileVecs = 1;
constexpr int kTileQueries = 2, kTileVectors = 1;

typedef float F32x4 __attribute__((vector_size(16)));
typedef int32_t I32x4 __attribute__((vector_size(16)));
typedef int16_t I16x8 __attribute__((vector_size(16)));
typedef int16_t I16x4 __attribute__((vector_size(8)));
typedef int8_t I8x16 __attribute__((vector_size(16)));

struct F32x16 {
  F32x4 v[4];
};
struct I32x16 {
  I32x4 v[4];
};
struct I8x64 {
  int8_t v[64];
};
struct Mask16 {
  I32x4 v[4];  // all ones or zero
};

// f(0) .. f(3) as the four parts of a vector.
template <typename Vector, typename F>
SCOUT_INLINE Vector parts(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}
template <typename Part>
SCOUT_INLINE Part load_bytes(const void* p) {
  Part v;
  memcpy(&v, p, sizeof(v));
  return v;
}
// yes where m is all ones, else no.
SCOUT_INLINE F32x4 blend(I32x4 m, F32x4 yes, F32x4 no) {
  return reinterpret_cast<F32x4>((m & reinterpret_cast<I32x4>(yes)) |
                                 (~m & reinterpret_cast<I32x4>(no)));
}
SCOUT_INLINE F32x4 fill(float x) { return F32x4{x, x, x, x}; }

// ---- memory; addresses need no alignment ----
SCOUT_INLINE Mask16 first_lanes(int64_t n) {  // lanes below n; any n
  const int32_t m = n >= 16 ? 16 : n <= 0 ? 0 : static_cast<int32_t>(n);
  const I32x4 lane = {0, 1, 2, 3};
  return parts<Mask16>([&](int i) { return lane + 4 * i < m; });
}
SCOUT_INLINE F32x16 set1(float x) {
  return parts<F32x16>([&](int) { return fill(x); });
}
SCOUT_INLINE F32x16 zero() { return set1(0.0f); }
SCOUT_INLINE F32x16 load(const float* p) {
  return parts<F32x16>([&](int i) { return load_bytes<F32x4>(p + 4 * i); });
}
SCOUT_INLINE F32x16 load_part(const float* p, int64_t n) {  // lanes from n on are 0, not read
  if (n >= 16) return load(p);
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
SCOUT_INLINE void store(float* p, F32x16 a) { memcpy(p, &a, sizeof(a)); }
SCOUT_INLINE void store_part(float* p, F32x16 a, int64_t n) {
  if (n >= 16) return store(p, a);
  float lanes[16];
  store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
SCOUT_INLINE F32x16 load_f16(const void* p) {
  const char* bytes = static_cast<const char*>(p);
  return parts<F32x16>([&](int i) {
    const I32x4 h = __builtin_convertvector(load_bytes<I16x4>(bytes + 8 * i), I32x4);
    const I32x4 magnitude = (h & 0x7fff) << 13;
    // The exponent's bias goes from 15 to 127 by a product, which also normalises subnormals.
    const F32x4 finite = reinterpret_cast<F32x4>(magnitude) * fill(0x1p112f);
    const I32x4 special = magnitude >= 0x0f800000;  // infinity, NaN (made quiet)
    const I32x4 quiet = (magnitude > 0x0f800000) & 0x400000;
    const F32x4 value =
        blend(special, reinterpret_cast<F32x4>(magnitude | 0x7f800000 | quiet), finite);
    return reinterpret_cast<F32x4>(reinterpret_cast<I32x4>(value) | (h & INT32_MIN));
  });
}
SCOUT_INLINE F32x16 load_bf16(const void* p) {
  const char* bytes = static_cast<const char*>(p);
  return parts<F32x16>([&](int i) {
    typedef uint16_t U16x4 __attribute__((vector_size(8)));
    typedef uint32_t U32x4 __attribute__((vector_size(16)));
    const U32x4 h = __builtin_convertvector(load_bytes<U16x4>(bytes + 8 * i), U32x4);
    return reinterpret_cast<F32x4>(h << 16);
  });
}
SCOUT_INLINE F32x16 load_f8(const void* p) {
  const uint8_t* bytes = static_cast<const uint8_t*>(p);
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = f8_e4m3_to_f32(bytes[i]);
  return load(lanes);
}
SCOUT_INLINE F32x16 load_i8(const int8_t* p) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = static_cast<float>(p[i]);
  return load(lanes);
}
SCOUT_INLINE void store_f16(uint16_t* p, F32x16 a) {
  float lanes[16];
  store(lanes, a);
  for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(lanes[i]);
}

// ---- arithmetic ----
SCOUT_INLINE F32x16 operator+(F32x16 a, F32x16 b) {
  return parts<F32x16>([&](int i) { return a.v[i] + b.v[i]; });
}
SCOUT_INLINE F32x16 operator-(F32x16 a, F32x16 b) {
  return parts<F32x16>([&](int i) { return a.v[i] - b.v[i]; });
}
SCOUT_INLINE F32x16 operator*(F32x16 a, F32x16 b) {
  return parts<F32x16>([&](int i) { return a.v[i] * b.v[i]; });
}
SCOUT_INLINE F32x16 operator/(F32x16 a, F32x16 b) {
  return parts<F32x16>([&](int i) { return a.v[i] / b.v[i]; });
}
// a * b + c
SCOUT_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return parts<F32x16>([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
// c - a * b
SCOUT_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) {
  return parts<F32x16>([&](int i) { return c.v[i] - a.v[i] * b.v[i]; });
}
// a > b ? a : b and a < b ? a : b: b where one is not a number
SCOUT_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return parts<F32x16>([&](int i) { return blend(a.v[i] > b.v[i], a.v[i], b.v[i]); });
}
SCOUT_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return parts<F32x16>([&](int i) { return blend(a.v[i] < b.v[i], a.v[i], b.v[i]); });
}
SCOUT_INLINE F32x16 abs(F32x16 a) {
  return parts<F32x16>(
      [&](int i) { return reinterpret_cast<F32x4>(reinterpret_cast<I32x4>(a.v[i]) & 0x7fffffff); });
}
SCOUT_INLINE F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return parts<F32x16>([&](int i) { return blend(m.v[i], yes.v[i], no.v[i]); });
}
// Fixed tree: halves are added (compared) until one lane is left.
SCOUT_INLINE float sum(F32x16 a) {
  const F32x4 c = (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
  return (c[0] + c[2]) + (c[1] + c[3]);
}
SCOUT_INLINE float max_lane(F32x16 a) {
  float lanes[16];
  store(lanes, a);
  float largest = lanes[0];
  for (int i = 1; i < 16; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}
SCOUT_INLINE float first(F32x16 a) { return a.v[0][0]; }

// ---- 32-bit integers ----
SCOUT_INLINE I32x16 bits(F32x16 a) {
  return parts<I32x16>([&](int i) { return reinterpret_cast<I32x4>(a.v[i]); });
}
SCOUT_INLINE F32x16 from_bits(I32x16 a) {
  return parts<F32x16>([&](int i) { return reinterpret_cast<F32x4>(a.v[i]); });
}
SCOUT_INLINE I32x16 set1_i32(int32_t x) {
  return parts<I32x16>([&](int) { return I32x4{x, x, x, x}; });
}
SCOUT_INLINE I32x16 operator+(I32x16 a, I32x16 b) {
  return parts<I32x16>([&](int i) { return a.v[i] + b.v[i]; });
}
SCOUT_INLINE I32x16 operator-(I32x16 a, I32x16 b) {
  return parts<I32x16>([&](int i) { return a.v[i] - b.v[i]; });
}
template <int kBits>
SCOUT_INLINE I32x16 shift_left(I32x16 a) {
  return parts<I32x16>([&](int i) { return a.v[i] << kBits; });
}
template <int kBits>
SCOUT_INLINE I32x16 shift_right(I32x16 a) {  // arithmetic
  return parts<I32x16>([&](int i) { return a.v[i] >> kBits; });
}
SCOUT_INLINE F32x16 to_float(I32x16 a) {
  return parts<F32x16>([&](int i) { return __builtin_convertvector(a.v[i], F32x4); });
}
SCOUT_INLINE void store_i8(int8_t* p, I32x16 a) {  // each fits
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(a.v[i / 4][i % 4]);
}

// ---- shuffles ----
// Pairs (x0, x1) turned by pairs (cos, sin): x0 cos - x1 sin, x1 cos + x0 sin.
SCOUT_INLINE F32x16 rotate_pairs(F32x16 x, F32x16 cos_sin) {
  return parts<F32x16>([&](int i) {
    const F32x4 cos = __builtin_shufflevector(cos_sin.v[i], cos_sin.v[i], 0, 0, 2, 2);
    const F32x4 sin =
        __builtin_shufflevector(cos_sin.v[i], cos_sin.v[i], 1, 1, 3, 3) * F32x4{-1, 1, -1, 1};
    return x.v[i] * cos + __builtin_shufflevector(x.v[i], x.v[i], 1, 0, 3, 2) * sin;
  });
}

// ---- 8-bit dot products ----
SCOUT_INLINE I8x64 join(const int8_t* a, const int8_t* b) {  // 32 integers each
  I8x64 w;
  memcpy(w.v, a, 32);
  memcpy(w.v + 32, b, 32);
  return w;
}

struct I16x16 {
  I16x8 low, high;
};
// 16 bytes. Each byte twice makes 16 bits; the shift leaves the sign-extended one.
SCOUT_INLINE I16x16 widen(const int8_t* p) {
  const I8x16 v = load_bytes<I8x16>(p);
  const I8x16 low = __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const I8x16 high =
      __builtin_shufflevector(v, v, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15);
  return {reinterpret_cast<I16x8>(low) >> 8, reinterpret_cast<I16x8>(high) >> 8};
}
// Weights as dot4() takes them.
template <bool kSigned>
SCOUT_INLINE I8x64 dot_weights(I8x64 w) {
  return w;
}

// 4 weights of each of 16 rows times the same 4 activations.
struct Quad {
  I16x8 twice;
};
constexpr int kSignedBias = 0;
constexpr bool kSignedDots = false;  // bytes are signed in any case
SCOUT_INLINE Quad quad(const int8_t* p) {
  return {I16x8{p[0], p[1], p[2], p[3], p[0], p[1], p[2], p[3]}};
}
template <bool kSigned>
SCOUT_INLINE I32x16 dot4(I32x16 sums, const I8x64& w, Quad q) {
  return parts<I32x16>([&](int i) {
    const I16x16 wide = widen(w.v + 16 * i);
    const I32x4 low = reinterpret_cast<I32x4>(wide.low * q.twice);
    const I32x4 high = reinterpret_cast<I32x4>(wide.high * q.twice);
    // Two products of a row in each word: sign extension by shifts, then the row's two words.
    const I32x4 a = ((low << 16) >> 16) + (low >> 16);
    const I32x4 b = ((high << 16) >> 16) + (high >> 16);
    return sums.v[i] + __builtin_shufflevector(a, b, 0, 2, 4, 6) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7);
  });
}

// ---- integers of packed weights: 64 in order, one per byte ----
SCOUT_INLINE I8x64 load_bytes(const void* p) {
  I8x64 w;
  memcpy(w.v, p, sizeof(w.v));
  return w;
}
SCOUT_INLINE void store_bytes(void* p, const I8x64& w) { memcpy(p, w.v, sizeof(w.v)); }
// Bits kShift .. kShift + 3 of 16 words, each in a byte of its own.
template <int kShift>
SCOUT_INLINE I8x64 spread_bits(const void* words) {
  I8x64 w;
  for (int i = 0; i < 16; ++i) {
    uint32_t x;
    memcpy(&x, static_cast<const uint8_t*>(words) + 4 * i, sizeof(x));
    for (int j = 0; j < 4; ++j) w.v[4 * i + j] = static_cast<int8_t>((x >> (kShift + j)) & 1);
  }
  return w;
}
// (p[i] >> kFirst) & kMask of 32 bytes, then (p[i] >> kSecond) & kMask of the same.
template <int kFirst, int kSecond, int kMask>
SCOUT_INLINE I8x64 fields(const uint8_t* p) {
  I8x64 w;
  for (int i = 0; i < 32; ++i) w.v[i] = static_cast<int8_t>((p[i] >> kFirst) & kMask);
  for (int i = 0; i < 32; ++i) w.v[i + 32] = static_cast<int8_t>((p[i] >> kSecond) & kMask);
  return w;
}
// (p[i] >> kShift) & kMask of 64 bytes.
template <int kShift, int kMask>
SCOUT_INLINE I8x64 shifted(const uint8_t* p) {
  I8x64 w;
  for (int i = 0; i < 64; ++i) w.v[i] = static_cast<int8_t>((p[i] >> kShift) & kMask);
  return w;
}
// Of 16 bytes at a the low nibbles, then the high ones; then the same at b.
SCOUT_INLINE I8x64 nibbles(const uint8_t* a, const uint8_t* b) {
  I8x64 w;
  for (int i = 0; i < 16; ++i) w.v[i] = static_cast<int8_t>(a[i] & 15);
  for (int i = 0; i < 16; ++i) w.v[i + 16] = static_cast<int8_t>(a[i] >> 4);
  for (int i = 0; i < 16; ++i) w.v[i + 32] = static_cast<int8_t>(b[i] & 15);
  for (int i = 0; i < 16; ++i) w.v[i + 48] = static_cast<int8_t>(b[i] >> 4);
  return w;
}
// Of each of 16 bytes at a, then at b, the low nibble and the high one.
SCOUT_INLINE I8x64 nibble_pairs(const uint8_t* a, const uint8_t* b) {
  I8x64 w;
  for (int i = 0; i < 16; ++i) {
    w.v[2 * i] = static_cast<int8_t>(a[i] & 15);
    w.v[2 * i + 1] = static_cast<int8_t>(a[i] >> 4);
    w.v[2 * i + 32] = static_cast<int8_t>(b[i] & 15);
    w.v[2 * i + 33] = static_cast<int8_t>(b[i] >> 4);
  }
  return w;
}
// low | high << kShift, which must fit a byte.
template <int kShift>
SCOUT_INLINE I8x64 merge(I8x64 low, I8x64 high) {
  for (int i = 0; i < 64; ++i) low.v[i] = static_cast<int8_t>(low.v[i] | high.v[i] << kShift);
  return low;
}
// w + 16 where the bit is set.
SCOUT_INLINE I8x64 add_bit4(I8x64 w, uint64_t bits) {
  for (int i = 0; i < 64; ++i) w.v[i] = static_cast<int8_t>(w.v[i] + (((bits >> i) & 1) << 4));
  return w;
}
// The first 32 less `first`, the others less `second`.
SCOUT_INLINE I8x64 minus(I8x64 w, int first, int second) {
  for (int i = 0; i < 32; ++i) w.v[i] = static_cast<int8_t>(w.v[i] - first);
  for (int i = 32; i < 64; ++i) w.v[i] = static_cast<int8_t>(w.v[i] - second);
  return w;
}
// table[w], w in 0 .. 15.
SCOUT_INLINE I8x64 lookup(const int8_t (&table)[16], I8x64 w) {
  for (int i = 0; i < 64; ++i) w.v[i] = table[w.v[i]];
  return w;
}

// 8 float16 (low 4 first), each in two neighbouring lanes.
SCOUT_INLINE F32x16 f16_pairs(uint64_t low, uint64_t high) {
  uint16_t twice[16];
  for (int i = 0; i < 4; ++i) {
    twice[2 * i] = twice[2 * i + 1] = static_cast<uint16_t>(low >> (16 * i));
    twice[8 + 2 * i] = twice[9 + 2 * i] = static_cast<uint16_t>(high >> (16 * i));
  }
  return load_f16(twice);
}
// 8 unsigned bytes, each in two neighbouring lanes.
SCOUT_INLINE F32x16 u8_pairs(uint64_t bytes) {
  float twice[16];
  for (int i = 0; i < 8; ++i) {
    twice[2 * i] = twice[2 * i + 1] = static_cast<float>((bytes >> (8 * i)) & 255);
  }
  return load(twice);
}
SCOUT_INLINE float f16_scalar(uint16_t h) { return f16_to_f32(h); }

}  // namespace
}  // namespace scout::kernels

// 16 float lanes on AVX-512 (F, BW, DQ, VL, VNNI): one zmm register per vector.
// SPDX-License-Identifier: Apache-2.0
//
// simd_avx2.h and simd_portable.h define the same names; the *-inl.h files are written over them.
// Everything has internal linkage, so no other file can end up running this code.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/quant/q4_0.h"
#include "kernels/quant/q4_k.h"
#include "kernels/quant/q6_k.h"

#define SCOUT_INLINE inline __attribute__((always_inline))

namespace scout::kernels {
namespace {

// Register tiles: outputs x rows of the float product, query heads and vectors of attention.
// 24 accumulators of 32 registers each. They change the speed, never a bit of the results.
constexpr int kTileOuts = 8, kTileRows = 3;
constexpr int kTileQueries = 6, kTileVectors = 4;

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};
struct I8x64 {
  __m512i v;
};
struct Mask16 {
  __mmask16 v;
};

// ---- memory; addresses need no alignment ----
SCOUT_INLINE Mask16 first_lanes(int64_t n) {  // lanes below n; any n
  return {static_cast<__mmask16>(n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1)};
}
SCOUT_INLINE F32x16 zero() { return {_mm512_setzero_ps()}; }
SCOUT_INLINE F32x16 set1(float x) { return {_mm512_set1_ps(x)}; }
SCOUT_INLINE F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
SCOUT_INLINE F32x16 load_part(const float* p, int64_t n) {  // lanes from n on are 0, not read
  return {_mm512_maskz_loadu_ps(first_lanes(n).v, p)};
}
SCOUT_INLINE void store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
SCOUT_INLINE void store_part(float* p, F32x16 a, int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n).v, a.v);
}
SCOUT_INLINE F32x16 load_f16(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
SCOUT_INLINE F32x16 load_bf16(const void* p) {
  const __m256i h = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))};
}
SCOUT_INLINE F32x16 load_i8(const int8_t* p) {
  const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q))};
}
SCOUT_INLINE void store_f16(uint16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

// ---- arithmetic ----
SCOUT_INLINE F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
SCOUT_INLINE F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
SCOUT_INLINE F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
SCOUT_INLINE F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
// a * b + c
SCOUT_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// c - a * b
SCOUT_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
// a > b ? a : b and a < b ? a : b: b where one is not a number
SCOUT_INLINE F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
SCOUT_INLINE F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
SCOUT_INLINE F32x16 abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
SCOUT_INLINE F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return {_mm512_mask_blend_ps(m.v, no.v, yes.v)};
}
// Fixed tree: halves are added (compared) until one lane is left.
SCOUT_INLINE float sum(F32x16 a) {
  const __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
SCOUT_INLINE float max_lane(F32x16 a) {
  const __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}
SCOUT_INLINE float first(F32x16 a) { return _mm512_cvtss_f32(a.v); }

// ---- 32-bit integers ----
SCOUT_INLINE I32x16 bits(F32x16 a) { return {_mm512_castps_si512(a.v)}; }
SCOUT_INLINE F32x16 from_bits(I32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
SCOUT_INLINE I32x16 set1_i32(int32_t x) { return {_mm512_set1_epi32(x)}; }
SCOUT_INLINE I32x16 operator+(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
SCOUT_INLINE I32x16 operator-(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
template <int kBits>
SCOUT_INLINE I32x16 shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
SCOUT_INLINE I32x16 shift_right(I32x16 a) {  // arithmetic
  return {_mm512_srai_epi32(a.v, kBits)};
}
SCOUT_INLINE F32x16 to_float(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }

// ---- shuffles ----
// Lanes 4 g .. 4 g + 3, each four times: scales of 16 values to the 4 lanes of their dot products.
template <int kGroup>
SCOUT_INLINE F32x16 spread(F32x16 a) {
  constexpr int g = 4 * kGroup;
  const __m512i index = _mm512_setr_epi32(g, g, g, g, g + 1, g + 1, g + 1, g + 1, g + 2, g + 2,
                                          g + 2, g + 2, g + 3, g + 3, g + 3, g + 3);
  return {_mm512_permutexvar_ps(index, a.v)};
}
// Pairs (x0, x1) turned by pairs (cos, sin): x0 cos - x1 sin, x1 cos + x0 sin.
SCOUT_INLINE F32x16 rotate_pairs(F32x16 x, F32x16 cos_sin) {
  const __m512 swapped = _mm512_permute_ps(x.v, 0xb1);
  const __m512 cross = _mm512_mul_ps(swapped, _mm512_movehdup_ps(cos_sin.v));
  return {_mm512_fmaddsub_ps(x.v, _mm512_moveldup_ps(cos_sin.v), cross)};
}

// ---- 8-bit dot products ----
SCOUT_INLINE I8x64 join(const int8_t* a, const int8_t* b) {  // 32 integers each
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
}

// Activations ready for dot(). vpdpbusd takes unsigned times signed, so signed weights go in as
// w + 128 and the sums start at -128 times the activations'; integers, hence exact.
struct DotRow {
  __m512i q, start;
};
SCOUT_INLINE DotRow dot_row(const int8_t* q) {
  const __m512i v = _mm512_loadu_si512(q);
  const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(-128), v);
  return {v, _mm512_sub_epi32(_mm512_setzero_si512(), sums)};
}
// 16 sums of 4 neighbours; the weights of one instantiation are all unsigned or all signed.
template <bool kSigned>
SCOUT_INLINE I32x16 dot(I8x64 w, const DotRow& row) {
  if constexpr (kSigned) return {_mm512_dpbusd_epi32(row.start, w.v, row.q)};
  return {_mm512_dpbusd_epi32(_mm512_setzero_si512(), w.v, row.q)};
}
template <bool kSigned>
SCOUT_INLINE I8x64 dot_weights(I8x64 w) {
  if constexpr (kSigned) return {_mm512_xor_si512(w.v, _mm512_set1_epi8(-128))};
  return w;
}

// ---- unpacking of weight blocks: 64 integers in order ----
SCOUT_INLINE I8x64 unpack(const BlockQ4_0& a, const BlockQ4_0& b) {
  const __m128i na = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.n));
  const __m128i nb = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b.n));
  const __m512i both =
      _mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(na), nb, 1));
  const __m512i twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3), both);
  const __m512i n = _mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
  return {_mm512_sub_epi8(_mm512_and_si512(n, _mm512_set1_epi8(15)), _mm512_set1_epi8(8))};
}
template <int kQuarter>
SCOUT_INLINE I8x64 unpack(const BlockQ4_K& b) {
  const __m256i n = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.n + 32 * kQuarter));
  const __m512i shifted =
      _mm512_srlv_epi64(_mm512_broadcast_i64x4(n), _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4));
  return {_mm512_and_si512(shifted, _mm512_set1_epi8(15))};
}
template <int kQuarter>
SCOUT_INLINE I8x64 unpack(const BlockQ6_K& b) {
  constexpr int kHalf = kQuarter / 2, kHigh = kQuarter % 2;
  const __m512i lo = _mm512_srli_epi16(_mm512_loadu_si512(b.lo + 64 * kHalf), 4 * kHigh);
  const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.hi + 32 * kHalf));
  constexpr int s = 4 * kHigh;
  const __m512i two = _mm512_srlv_epi64(_mm512_broadcast_i64x4(hi),
                                        _mm512_setr_epi64(s, s, s, s, s + 2, s + 2, s + 2, s + 2));
  const __m512i top = _mm512_slli_epi16(_mm512_and_si512(two, _mm512_set1_epi8(3)), 4);
  const __m512i n = _mm512_or_si512(_mm512_and_si512(lo, _mm512_set1_epi8(15)), top);
  return {_mm512_sub_epi8(n, _mm512_set1_epi8(32))};
}

// 8 float16 (low 4 first), each in two neighbouring lanes.
SCOUT_INLINE F32x16 f16_pairs(uint64_t low, uint64_t high) {
  const __m128i h = _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  const __m256i twice = _mm256_set_m128i(_mm_unpackhi_epi16(h, h), _mm_unpacklo_epi16(h, h));
  return {_mm512_cvtph_ps(twice)};
}
// 8 unsigned bytes, each in two neighbouring lanes.
SCOUT_INLINE F32x16 u8_pairs(uint64_t bytes) {
  const __m128i b = _mm_cvtsi64_si128(static_cast<long long>(bytes));
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpacklo_epi8(b, b)))};
}
SCOUT_INLINE float f16_scalar(uint16_t h) { return _cvtsh_ss(h); }

}  // namespace
}  // namespace scout::kernels

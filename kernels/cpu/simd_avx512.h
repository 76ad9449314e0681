// 16 float lanes on AVX-512 (F, BW, DQ, VL, VNNI): one zmm register per vector.
// SPDX-License-Identifier: Apache-2.0
//
// simd_avx2.h and simd_portable.h define the same names; the *-inl.h files are written over them.
// Everything has internal linkage, so no other file can end up running this code.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define SCOUT_INLINE inline __attribute__((always_inline))

namespace scout::kernels {
namespace {

// Register tiles: outputs x rows of the float product, query heads and vectors of attention.
// 24 accumulators of 32 registers each. They change the speed, never a bit of the results.
constexpr int kTileOuts = 8, kTileRows = 3;
constexpr int kTileQueries = 6, kTileVectors = 4;
// Vectors of 16 outputs that the integer product holds at a time, of 2.
constexpr int kTileVecs = 2;

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
// Float8 E4M3: the float16 of the same fields is 2^-8 times the value (kernels/quant/f8.h).
SCOUT_INLINE F32x16 load_f8(const void* p) {
  const __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m256i top = _mm256_set1_epi16(0x3f80);
  const __m256i magnitude = _mm256_and_si256(_mm256_slli_epi16(v, 7), top);
  const __m256i sign = _mm256_and_si256(_mm256_slli_epi16(v, 8), _mm256_set1_epi16(-0x8000));
  const __m256i nan =
      _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, top), _mm256_set1_epi16(0x7e00));
  const __m256i half = _mm256_or_si256(_mm256_or_si256(magnitude, sign), nan);
  return {_mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0f))};
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
SCOUT_INLINE void store_i8(int8_t* p, I32x16 a) {  // each fits
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}

// ---- shuffles ----
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

template <bool kSigned>
SCOUT_INLINE I8x64 dot_weights(I8x64 w) {
  if constexpr (kSigned) return {_mm512_xor_si512(w.v, _mm512_set1_epi8(-128))};
  return w;
}

// Four values of a row of activations, for 16 rows of weights: to each lane of `sums` the products
// of its own 4 weights. What is unsigned is at most 127; signed weights are stored as
// dot_weights<true>(w) = w + kSignedBias.
struct Quad {
  __m512i v;
};
constexpr int kSignedBias = 128;
constexpr bool kSignedDots = false;  // no product of their own
SCOUT_INLINE Quad quad(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof(four));
  return {_mm512_set1_epi32(four)};
}
template <bool kSigned>
SCOUT_INLINE I32x16 dot4(I32x16 sums, I8x64 w, Quad q) {
  return {_mm512_dpbusd_epi32(sums.v, w.v, q.v)};
}

// ---- integers of packed weights: 64 in order, one per byte ----
SCOUT_INLINE I8x64 load_bytes(const void* p) { return {_mm512_loadu_si512(p)}; }
SCOUT_INLINE void store_bytes(void* p, I8x64 w) { _mm512_storeu_si512(p, w.v); }
// Bits kShift .. kShift + 3 of 16 words, each in a byte of its own.
template <int kShift>
SCOUT_INLINE I8x64 spread_bits(const void* words) {
  const __m512i x = _mm512_srli_epi32(_mm512_loadu_si512(words), kShift);
  const __m512i four = _mm512_and_si512(x, _mm512_set1_epi32(15));
  const __m512i wide = _mm512_mullo_epi32(four, _mm512_set1_epi32(0x00204081));
  return {_mm512_and_si512(wide, _mm512_set1_epi8(1))};
}
SCOUT_INLINE __m256i load_256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
SCOUT_INLINE __m256i load_128s(const uint8_t* a, const uint8_t* b) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
// (p[i] >> kFirst) & kMask of 32 bytes, then (p[i] >> kSecond) & kMask of the same.
template <int kFirst, int kSecond, int kMask>
SCOUT_INLINE I8x64 fields(const uint8_t* p) {
  const __m512i shift =
      _mm512_setr_epi64(kFirst, kFirst, kFirst, kFirst, kSecond, kSecond, kSecond, kSecond);
  const __m512i n = _mm512_srlv_epi64(_mm512_broadcast_i64x4(load_256(p)), shift);
  return {_mm512_and_si512(n, _mm512_set1_epi8(kMask))};
}
// (p[i] >> kShift) & kMask of 64 bytes.
template <int kShift, int kMask>
SCOUT_INLINE I8x64 shifted(const uint8_t* p) {
  const __m512i n = _mm512_srli_epi16(_mm512_loadu_si512(p), kShift);
  return {_mm512_and_si512(n, _mm512_set1_epi8(kMask))};
}
// Of 16 bytes at a the low nibbles, then the high ones; then the same at b.
SCOUT_INLINE I8x64 nibbles(const uint8_t* a, const uint8_t* b) {
  const __m512i both = _mm512_castsi256_si512(load_128s(a, b));
  const __m512i twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3), both);
  const __m512i n = _mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
  return {_mm512_and_si512(n, _mm512_set1_epi8(15))};
}
// Of each of 16 bytes at a, then at b, the low nibble and the high one.
SCOUT_INLINE I8x64 nibble_pairs(const uint8_t* a, const uint8_t* b) {
  const __m512i wide = _mm512_cvtepu8_epi16(load_128s(a, b));
  const __m512i n = _mm512_or_si512(wide, _mm512_slli_epi16(wide, 4));
  return {_mm512_and_si512(n, _mm512_set1_epi8(15))};
}
// low | high << kShift, which must fit a byte.
template <int kShift>
SCOUT_INLINE I8x64 merge(I8x64 low, I8x64 high) {
  return {_mm512_or_si512(low.v, _mm512_slli_epi16(high.v, kShift))};
}
// w + 16 where the bit is set.
SCOUT_INLINE I8x64 add_bit4(I8x64 w, uint64_t bits) {
  return {_mm512_mask_add_epi8(w.v, bits, w.v, _mm512_set1_epi8(16))};
}
// The first 32 less `first`, the others less `second`.
SCOUT_INLINE I8x64 minus(I8x64 w, int first, int second) {
  const __m512i low = _mm512_set1_epi8(static_cast<char>(first));
  const __m512i high = _mm512_set1_epi8(static_cast<char>(second));
  return {_mm512_sub_epi8(w.v, _mm512_mask_blend_epi64(0xf0, low, high))};
}
// table[w], w in 0 .. 15.
SCOUT_INLINE I8x64 lookup(const int8_t (&table)[16], I8x64 w) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), w.v)};
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

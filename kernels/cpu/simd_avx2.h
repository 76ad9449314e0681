// 16 float lanes on AVX2 (with FMA and F16C): two ymm registers per vector.
// SPDX-License-Identifier: Apache-2.0
//
// The names, and what they do to the bit, are those of simd_avx512.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define SCOUT_INLINE inline __attribute__((always_inline))

namespace scout::kernels {
namespace {

// 12 of 16 registers hold accumulators.
constexpr int kTileOuts = 2, kTileRows = 3;
constexpr int kTileQueries = 6, kTileVectors = 1;
constexpr int kTileVecs = 1;

struct F32x16 {
  __m256 a, b;  // lanes 0..7, 8..15
};
struct I32x16 {
  __m256i a, b;
};
struct I8x64 {
  __m256i a, b;
};
struct Mask16 {
  __m256i a, b;
};

// ---- memory; addresses need no alignment ----
SCOUT_INLINE Mask16 first_lanes(int64_t n) {  // lanes below n; any n
  const __m256i limit = _mm256_set1_epi32(n >= 16 ? 16 : n <= 0 ? 0 : static_cast<int>(n));
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_cmpgt_epi32(limit, lane),
          _mm256_cmpgt_epi32(limit, _mm256_add_epi32(lane, _mm256_set1_epi32(8)))};
}
SCOUT_INLINE F32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
SCOUT_INLINE F32x16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SCOUT_INLINE F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SCOUT_INLINE F32x16 load_part(const float* p, int64_t n) {  // lanes from n on are 0, not read
  if (n >= 16) return load(p);
  const Mask16 m = first_lanes(n);
  return {_mm256_maskload_ps(p, m.a), _mm256_maskload_ps(p + 8, m.b)};
}
SCOUT_INLINE void store(float* p, F32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
SCOUT_INLINE void store_part(float* p, F32x16 x, int64_t n) {
  if (n >= 16) return store(p, x);
  const Mask16 m = first_lanes(n);
  _mm256_maskstore_ps(p, m.a, x.a);
  _mm256_maskstore_ps(p + 8, m.b, x.b);
}
SCOUT_INLINE F32x16 load_f16(const void* p) {
  const __m128i* h = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
}
SCOUT_INLINE F32x16 load_bf16(const void* p) {
  const __m128i* h = static_cast<const __m128i*>(p);
  const __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128(h));
  const __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128(h + 1));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
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
  const __m256 scale = _mm256_set1_ps(256.0f);
  return {_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), scale),
          _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)), scale)};
}
SCOUT_INLINE F32x16 load_i8(const int8_t* p) {
  const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)))};
}
SCOUT_INLINE void store_f16(uint16_t* p, F32x16 x) {
  __m128i* h = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(h, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(h + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}

// ---- arithmetic ----
SCOUT_INLINE F32x16 operator+(F32x16 x, F32x16 y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
SCOUT_INLINE F32x16 operator-(F32x16 x, F32x16 y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
SCOUT_INLINE F32x16 operator*(F32x16 x, F32x16 y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
SCOUT_INLINE F32x16 operator/(F32x16 x, F32x16 y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
// x * y + z
SCOUT_INLINE F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
// z - x * y
SCOUT_INLINE F32x16 fnma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
// x > y ? x : y and x < y ? x : y: y where one is not a number
SCOUT_INLINE F32x16 max(F32x16 x, F32x16 y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
SCOUT_INLINE F32x16 min(F32x16 x, F32x16 y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
SCOUT_INLINE F32x16 abs(F32x16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
SCOUT_INLINE F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_castsi256_ps(m.a)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_castsi256_ps(m.b))};
}
// Fixed tree: halves are added (compared) until one lane is left.
SCOUT_INLINE float sum(F32x16 x) {
  const __m256 b = _mm256_add_ps(x.a, x.b);
  const __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
SCOUT_INLINE float max_lane(F32x16 x) {
  const __m256 b = _mm256_max_ps(x.a, x.b);
  const __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}
SCOUT_INLINE float first(F32x16 x) { return _mm256_cvtss_f32(x.a); }

// ---- 32-bit integers ----
SCOUT_INLINE I32x16 bits(F32x16 x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
SCOUT_INLINE F32x16 from_bits(I32x16 x) {
  return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
SCOUT_INLINE I32x16 set1_i32(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
SCOUT_INLINE I32x16 operator+(I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
SCOUT_INLINE I32x16 operator-(I32x16 x, I32x16 y) {
  return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
template <int kBits>
SCOUT_INLINE I32x16 shift_left(I32x16 x) {
  return {_mm256_slli_epi32(x.a, kBits), _mm256_slli_epi32(x.b, kBits)};
}
template <int kBits>
SCOUT_INLINE I32x16 shift_right(I32x16 x) {  // arithmetic
  return {_mm256_srai_epi32(x.a, kBits), _mm256_srai_epi32(x.b, kBits)};
}
SCOUT_INLINE F32x16 to_float(I32x16 x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
SCOUT_INLINE void store_i8(int8_t* p, I32x16 x) {  // each fits
  const __m256i half = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
  const __m128i low = _mm256_castsi256_si128(half), high = _mm256_extracti128_si256(half, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(low, high));
}

// ---- shuffles ----
SCOUT_INLINE __m256 rotate_pairs(__m256 x, __m256 cos_sin) {
  const __m256 cross = _mm256_mul_ps(_mm256_permute_ps(x, 0xb1), _mm256_movehdup_ps(cos_sin));
  return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(cos_sin), cross);
}
// Pairs (x0, x1) turned by pairs (cos, sin): x0 cos - x1 sin, x1 cos + x0 sin.
SCOUT_INLINE F32x16 rotate_pairs(F32x16 x, F32x16 cos_sin) {
  return {rotate_pairs(x.a, cos_sin.a), rotate_pairs(x.b, cos_sin.b)};
}

// ---- 8-bit dot products ----
SCOUT_INLINE __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
SCOUT_INLINE I8x64 join(const int8_t* a, const int8_t* b) {  // 32 integers each
  return {load_256(a), load_256(b)};
}

// vpmaddubsw adds two products in 16 bits, saturating: |w| <= 128 and |q| <= 127 stay below.
template <bool kSigned>
SCOUT_INLINE __m256i dot_256(__m256i w, __m256i q) {
  const __m256i pairs = kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w))
                                : _mm256_maddubs_epi16(w, q);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
template <bool kSigned>
SCOUT_INLINE I8x64 dot_weights(I8x64 w) {
  return w;
}

// 4 weights of each of 16 rows times the same 4 activations. Unsigned weights are at most 127.
struct Quad {
  __m256i v;
};
constexpr int kSignedBias = 0;
constexpr bool kSignedDots = true;
SCOUT_INLINE Quad quad(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof(four));
  return {_mm256_set1_epi32(four)};
}
template <bool kSigned>
SCOUT_INLINE I32x16 dot4(I32x16 sums, I8x64 w, Quad q) {
  return {_mm256_add_epi32(sums.a, dot_256<kSigned>(w.a, q.v)),
          _mm256_add_epi32(sums.b, dot_256<kSigned>(w.b, q.v))};
}

// ---- integers of packed weights: 64 in order, one per byte ----
SCOUT_INLINE I8x64 load_bytes(const void* p) {
  return {load_256(static_cast<const uint8_t*>(p)), load_256(static_cast<const uint8_t*>(p) + 32)};
}
SCOUT_INLINE void store_bytes(void* p, I8x64 w) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), w.a);
  _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, w.b);
}
template <int kShift>
SCOUT_INLINE __m256i spread_bits(__m256i x) {
  const __m256i four = _mm256_and_si256(_mm256_srli_epi32(x, kShift), _mm256_set1_epi32(15));
  const __m256i wide = _mm256_mullo_epi32(four, _mm256_set1_epi32(0x00204081));
  return _mm256_and_si256(wide, _mm256_set1_epi8(1));
}
// Bits kShift .. kShift + 3 of 16 words, each in a byte of its own.
template <int kShift>
SCOUT_INLINE I8x64 spread_bits(const void* words) {
  const I8x64 x = load_bytes(words);
  return {spread_bits<kShift>(x.a), spread_bits<kShift>(x.b)};
}
template <int kShift, int kMask>
SCOUT_INLINE __m256i shift_and_mask(__m256i v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, kShift), _mm256_set1_epi8(kMask));
}
// (p[i] >> kFirst) & kMask of 32 bytes, then (p[i] >> kSecond) & kMask of the same.
template <int kFirst, int kSecond, int kMask>
SCOUT_INLINE I8x64 fields(const uint8_t* p) {
  const __m256i v = load_256(p);
  return {shift_and_mask<kFirst, kMask>(v), shift_and_mask<kSecond, kMask>(v)};
}
// (p[i] >> kShift) & kMask of 64 bytes.
template <int kShift, int kMask>
SCOUT_INLINE I8x64 shifted(const uint8_t* p) {
  return {shift_and_mask<kShift, kMask>(load_256(p)),
          shift_and_mask<kShift, kMask>(load_256(p + 32))};
}
// Of 16 bytes at a the low nibbles, then the high ones; then the same at b.
SCOUT_INLINE __m256i nibbles(const uint8_t* p) {
  const __m128i n = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(n, 4), n), _mm256_set1_epi8(15));
}
SCOUT_INLINE I8x64 nibbles(const uint8_t* a, const uint8_t* b) { return {nibbles(a), nibbles(b)}; }
// Of each of 16 bytes at a, then at b, the low nibble and the high one.
SCOUT_INLINE __m256i nibble_pairs(const uint8_t* p) {
  const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_and_si256(_mm256_or_si256(wide, _mm256_slli_epi16(wide, 4)), _mm256_set1_epi8(15));
}
SCOUT_INLINE I8x64 nibble_pairs(const uint8_t* a, const uint8_t* b) {
  return {nibble_pairs(a), nibble_pairs(b)};
}
// low | high << kShift, which must fit a byte.
template <int kShift>
SCOUT_INLINE I8x64 merge(I8x64 low, I8x64 high) {
  return {_mm256_or_si256(low.a, _mm256_slli_epi16(high.a, kShift)),
          _mm256_or_si256(low.b, _mm256_slli_epi16(high.b, kShift))};
}
// w + 16 where the bit is set.
SCOUT_INLINE __m256i add_bit4(__m256i w, uint32_t bits) {
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(static_cast<int>(bits)),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return _mm256_add_epi8(w, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}
SCOUT_INLINE I8x64 add_bit4(I8x64 w, uint64_t bits) {
  return {add_bit4(w.a, static_cast<uint32_t>(bits)),
          add_bit4(w.b, static_cast<uint32_t>(bits >> 32))};
}
// The first 32 less `first`, the others less `second`.
SCOUT_INLINE I8x64 minus(I8x64 w, int first, int second) {
  return {_mm256_sub_epi8(w.a, _mm256_set1_epi8(static_cast<char>(first))),
          _mm256_sub_epi8(w.b, _mm256_set1_epi8(static_cast<char>(second)))};
}
// table[w], w in 0 .. 15.
SCOUT_INLINE I8x64 lookup(const int8_t (&table)[16], I8x64 w) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  const __m256i t = _mm256_broadcastsi128_si256(half);
  return {_mm256_shuffle_epi8(t, w.a), _mm256_shuffle_epi8(t, w.b)};
}

// 8 float16 (low 4 first), each in two neighbouring lanes.
SCOUT_INLINE F32x16 f16_pairs(uint64_t low, uint64_t high) {
  const __m128i h = _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  return {_mm256_cvtph_ps(_mm_unpacklo_epi16(h, h)), _mm256_cvtph_ps(_mm_unpackhi_epi16(h, h))};
}
// 8 unsigned bytes, each in two neighbouring lanes.
SCOUT_INLINE F32x16 u8_pairs(uint64_t bytes) {
  const __m128i b = _mm_cvtsi64_si128(static_cast<long long>(bytes));
  const __m128i twice = _mm_unpacklo_epi8(b, b);
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(twice)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(twice, 8)))};
}
SCOUT_INLINE float f16_scalar(uint16_t h) { return _cvtsh_ss(h); }

}  // namespace
}  // namespace scout::kernels

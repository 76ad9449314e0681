// exp over the vectors of the instruction set at hand. SPDX-License-Identifier: Apache-2.0
namespace scout::kernels {
namespace {

// e^x, at most 2 ulp off: x = n ln 2 + r, |r| <= ln 2 / 2, e^r by a polynomial. -inf gives 0,
// overflow inf, NaN NaN. 2^n is applied in two factors, so subnormal results round once.
SCOUT_INLINE F32x16 exp(F32x16 x) {
  // Beyond these the result is 0 or inf already. The order of operands lets NaN through.
  x = min(set1(89.0f), max(set1(-105.0f), x));
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const F32x16 shifted = fma(x, set1(1.44269504f), set1(kRound));
  const F32x16 n = shifted - set1(kRound);
  // ln 2 in two parts, the first exact times any n here.
  F32x16 r = fnma(n, set1(0.693359375f), x);
  r = fnma(n, set1(-2.12194440e-4f), r);
  F32x16 p = set1(1.98756912e-4f);
  p = fma(p, r, set1(1.39819994e-3f));
  p = fma(p, r, set1(8.33345205e-3f));
  p = fma(p, r, set1(4.16657958e-2f));
  p = fma(p, r, set1(1.66666657e-1f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r * r, r) + set1(1.0f);
  const I32x16 whole = bits(shifted) - set1_i32(0x4b400000);
  const I32x16 half = shift_right<1>(whole);
  const F32x16 scale0 = from_bits(shift_left<23>(half + set1_i32(127)));
  const F32x16 scale1 = from_bits(shift_left<23>(whole - half + set1_i32(127)));
  return p * scale0 * scale1;
}

inline float exp(float x) { return first(exp(set1(x))); }

// Asks for the cache lines of n bytes at p.
SCOUT_INLINE void prefetch(const uint8_t* p, int64_t n) {
  for (int64_t i = 0; i < n; i += 64) __builtin_prefetch(p + i);
}

SCOUT_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace scout::kernels

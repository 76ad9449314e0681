// Encoder of Q4_K blocks: a small least-squares search per sub-block.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/q4_k.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {
namespace {

constexpr int kSub = 32;

// A sub-block as x ~ scale * q - min, both not negative.
struct Fit {
  double scale = 0.0;
  double min = 0.0;
};

double squared_error(const double* x, const int* q, const Fit& fit) {
  double sum = 0.0;
  for (int i = 0; i < kSub; ++i) {
    const double e = fit.scale * q[i] - fit.min - x[i];
    sum += e * e;
  }
  return sum;
}

// The best scale and min for given integers.
Fit solve(const double* x, const int* q) {
  double sq = 0, sqq = 0, sx = 0, sqx = 0;
  for (int i = 0; i < kSub; ++i) {
    sq += q[i];
    sqq += static_cast<double>(q[i]) * q[i];
    sx += x[i];
    sqx += x[i] * q[i];
  }
  Fit fit;
  const double det = kSub * sqq - sq * sq;
  if (det > 0) {
    fit.scale = (kSub * sqx - sq * sx) / det;
    fit.min = (fit.scale * sq - sx) / kSub;
  }
  if (det <= 0 || fit.min < 0) {  // a minimum above zero cannot be written
    fit.min = 0;
    fit.scale = sqq > 0 ? sqx / sqq : 0;
  }
  if (fit.scale < 0) fit.scale = 0;
  return fit;
}

Fit search(const double* x) {
  double low = 0.0, high = 0.0;
  for (int i = 0; i < kSub; ++i) {
    low = std::fmin(low, x[i]);
    high = std::fmax(high, x[i]);
  }
  Fit best{(high - low) / 15.0, -low};
  if (!(best.scale > 0)) return best;
  double best_error = HUGE_VAL;
  // Grids somewhat finer and coarser than the one that spans the whole range: clipping an outlier
  // may cost less than spreading the others.
  for (int step = -8; step <= 12; ++step) {
    const double inverse = (15.0 + 0.15 * step) / (high - low);
    int q[kSub];
    for (int i = 0; i < kSub; ++i) q[i] = nearest_in((x[i] - low) * inverse, 0, 15);
    const Fit fit = solve(x, q);
    const double error = squared_error(x, q, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

}  // namespace

void encode_q4_k(const float* src, BlockQ4_K* dst) {
  double x[kQ4_KElems];
  for (int i = 0; i < kQ4_KElems; ++i) x[i] = finite(src[i]);
  Fit fits[kQ4_KSubs];
  double top_scale = 0.0, top_min = 0.0;
  for (int j = 0; j < kQ4_KSubs; ++j) {
    fits[j] = search(x + kSub * j);
    top_scale = std::fmax(top_scale, fits[j].scale);
    top_min = std::fmax(top_min, fits[j].min);
  }
  dst->d = scale_bits(top_scale / 63.0);
  dst->dmin = scale_bits(top_min / 63.0);
  const double d = f16_to_f32(dst->d);
  const double dmin = f16_to_f32(dst->dmin);
  memset(dst->s, 0, sizeof(dst->s));
  memset(dst->n, 0, sizeof(dst->n));
  for (int j = 0; j < kQ4_KSubs; ++j) {
    const int scale = nearest_in(fits[j].scale * inverse_or_zero(d), 0, 63);
    const int min = nearest_in(fits[j].min * inverse_or_zero(dmin), 0, 63);
    if (j < 4) {
      dst->s[j] = static_cast<uint8_t>(dst->s[j] | scale);
      dst->s[j + 4] = static_cast<uint8_t>(dst->s[j + 4] | min);
    } else {
      dst->s[j + 4] = static_cast<uint8_t>((scale & 15) | ((min & 15) << 4));
      dst->s[j - 4] = static_cast<uint8_t>(dst->s[j - 4] | ((scale >> 4) << 6));
      dst->s[j] = static_cast<uint8_t>(dst->s[j] | ((min >> 4) << 6));
    }
    const double inverse = inverse_or_zero(d * scale);
    for (int i = 0; i < kSub; ++i) {
      const int q = nearest_in((x[kSub * j + i] + dmin * min) * inverse, 0, 15);
      uint8_t* byte = dst->n + 32 * (j / 2) + i;
      *byte = static_cast<uint8_t>(*byte | (q << (4 * (j % 2))));
    }
  }
}

}  // namespace scout::kernels

// Least-squares searches over a few grids. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/fit.h"

#include <cmath>

#include "kernels/quant/encode.h"

namespace scout::kernels {
namespace {

constexpr int kMostElems = 32;

double squared_error(const double* x, const int* q, int n, const Fit& fit) {
  double sum = 0.0;
  for (int i = 0; i < n; ++i) {
    const double e = fit.scale * q[i] - fit.min - x[i];
    sum += e * e;
  }
  return sum;
}

// The best scale and min for given integers.
Fit solve(const double* x, const int* q, int n) {
  double sq = 0, sqq = 0, sx = 0, sqx = 0;
  for (int i = 0; i < n; ++i) {
    sq += q[i];
    sqq += static_cast<double>(q[i]) * q[i];
    sx += x[i];
    sqx += x[i] * q[i];
  }
  Fit fit;
  const double det = n * sqq - sq * sq;
  if (det > 0) {
    fit.scale = (n * sqx - sq * sx) / det;
    fit.min = (fit.scale * sq - sx) / n;
  }
  if (det <= 0 || fit.min < 0) {  // a minimum above zero cannot be written
    fit.min = 0;
    fit.scale = sqq > 0 ? sqx / sqq : 0;
  }
  if (fit.scale < 0) fit.scale = 0;
  return fit;
}

double extreme_of(const double* x, int n) {
  double extreme = 0.0;  // the value of largest magnitude, with its sign
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  return extreme;
}

// Keeps the scale with the least error. With the best scale xq / qq for given integers the squared
// error is sum(x^2) - xq^2 / qq.
struct Best {
  double scale = 0.0;
  double gain = -1.0;
  void offer(double xq, double qq) {
    if (qq > 0 && xq * xq / qq > gain) {
      gain = xq * xq / qq;
      scale = xq / qq;
    }
  }
};

}  // namespace

Fit fit_with_min(const double* x, int n, int top) {
  double low = 0.0, high = 0.0;
  for (int i = 0; i < n; ++i) {
    low = std::fmin(low, x[i]);
    high = std::fmax(high, x[i]);
  }
  Fit best{(high - low) / top, -low};
  if (!(best.scale > 0)) return best;
  double best_error = HUGE_VAL;
  // Grids somewhat finer and coarser than the one that spans the whole range: clipping an outlier
  // may cost less than spreading the others.
  for (int step = -8; step <= 12; ++step) {
    const double inverse = top * (1.0 + 0.01 * step) / (high - low);
    int q[kMostElems];
    for (int i = 0; i < n; ++i) q[i] = nearest_in((x[i] - low) * inverse, 0, top);
    const Fit fit = solve(x, q, n);
    const double error = squared_error(x, q, n, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

double fit_scale(const double* x, int n, int reach) {
  const double extreme = extreme_of(x, n);
  if (extreme == 0.0) return 0.0;
  Best best;
  for (int step = -9; step <= 9; ++step) {
    // The extreme value goes to -reach, the longer side, or a little beside it.
    const double inverse = -(reach + 0.1 * step) / extreme;
    double xq = 0.0, qq = 0.0;
    for (int i = 0; i < n; ++i) {
      const int q = nearest_in(x[i] * inverse, -reach, reach - 1);
      xq += x[i] * q;
      qq += static_cast<double>(q) * q;
    }
    best.offer(xq, qq);
  }
  return best.scale;
}

int nearest_step(double v, const int8_t (&steps)[16]) {
  int i = 0;
  while (i < 15 && v > (steps[i] + steps[i + 1]) / 2.0) ++i;
  return i;
}

double fit_steps(const double* x, int n, const int8_t (&steps)[16]) {
  const double extreme = extreme_of(x, n);
  if (extreme == 0.0) return 0.0;
  Best best;
  for (int step = -7; step <= 7; ++step) {
    const double inverse = (steps[0] + 2.0 * step) / extreme;
    double xq = 0.0, qq = 0.0;
    for (int i = 0; i < n; ++i) {
      const int q = steps[nearest_step(x[i] * inverse, steps)];
      xq += x[i] * q;
      qq += static_cast<double>(q) * q;
    }
    best.offer(xq, qq);
  }
  return best.scale;
}

void set_k_scale_min(uint8_t* s, int j, int scale, int min) {
  if (j < 4) {
    s[j] = static_cast<uint8_t>(s[j] | scale);
    s[j + 4] = static_cast<uint8_t>(s[j + 4] | min);
  } else {
    s[j + 4] = static_cast<uint8_t>((scale & 15) | ((min & 15) << 4));
    s[j - 4] = static_cast<uint8_t>(s[j - 4] | ((scale >> 4) << 6));
    s[j] = static_cast<uint8_t>(s[j] | ((min >> 4) << 6));
  }
}

}  // namespace scout::kernels

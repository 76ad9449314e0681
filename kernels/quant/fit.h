// What the block encoders search: the grid of a sub-block with the least squared error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace scout::kernels {

// A sub-block as x ~ scale * q - min, both not negative.
struct Fit {
  double scale = 0.0;
  double min = 0.0;
};

// Scale and minimum with the least squared error found for q in [0, top]. n is at most 32.
Fit fit_with_min(const double* x, int n, int top);

// The scale (of either sign) for x ~ scale * q, q in [-reach, reach - 1].
double fit_scale(const double* x, int n, int reach);

// The scale (of either sign) for x ~ scale * steps[i], steps ascending.
double fit_steps(const double* x, int n, const int8_t (&steps)[16]);

// Index of the step nearest to v, the lower one of two at the same distance.
int nearest_step(double v, const int8_t (&steps)[16]);

// Writes the 6-bit fields of sub-block j (k_scale_min's) into s, which started as zeros; j ascends.
void set_k_scale_min(uint8_t* s, int j, int scale, int min);

}  // namespace scout::kernels

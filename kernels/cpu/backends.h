// The tables of the CPU backend, one per instruction set. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/ops.h"

namespace scout::kernels {

// To be called only on machines that have the instruction set (kernels/cpu/dispatch.cc asks). Data,
// not functions, so that asking runs no code of another instruction set.
extern const Backend kBackendPortable;
#if defined(__x86_64__)
extern const Backend kBackendAvx2;    // AVX2, FMA, F16C
extern const Backend kBackendAvx512;  // AVX-512 F, BW, DQ, VL, VNNI
#endif

}  // namespace scout::kernels

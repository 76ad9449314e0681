// The CPU backend for "avx512-vnni". SPDX-License-Identifier: Apache-2.0
#if defined(__x86_64__)
// the vectors come before what is written over them.
// clang-format off
#include "kernels/cpu/simd_avx512.h"
#include "kernels/cpu/backend-inl.h"
#include "kernels/cpu/backends.h"
// clang-format on

namespace scout::kernels {

constinit const Backend kBackendAvx512 = make_backend("avx512-vnni");

}  // namespace scout::kernels
#endif

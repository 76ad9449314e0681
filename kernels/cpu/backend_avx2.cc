// The CPU backend for "avx2". SPDX-License-Identifier: Apache-2.0
#if defined(__x86_64__)
// the vectors come before what is written over them.
// clang-format off
#include "kernels/cpu/simd_avx2.h"
#include "kernels/cpu/backend-inl.h"
#include "kernels/cpu/backends.h"
// clang-format on

namespace scout::kernels {

constinit const Backend kBackendAvx2 = make_backend("avx2");

}  // namespace scout::kernels
#endif

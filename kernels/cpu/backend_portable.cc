// The CPU backend for "portable". SPDX-License-Identifier: Apache-2.0
// the vectors come before what is written over them.
// clang-format off
#include "kernels/cpu/simd_portable.h"
#include "kernels/cpu/backend-inl.h"
#include "kernels/cpu/backends.h"
// clang-format on

namespace scout::kernels {

constinit const Backend kBackendPortable = make_backend("portable");

}  // namespace scout::kernels

// All ops over the vectors that the including file chose, and their table.
// SPDX-License-Identifier: Apache-2.0
//
// Include after one simd_*.h. Everything but the table is in an anonymous namespace.
// in the order of their use of each other.
// clang-format off
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/decode-inl.h"
#include "kernels/cpu/attention-inl.h"
#include "kernels/cpu/kv_store-inl.h"
#include "kernels/cpu/matmul_float-inl.h"
#include "kernels/cpu/tile-inl.h"
#include "kernels/cpu/matmul_quant-inl.h"
#include "kernels/cpu/quantize-inl.h"
#include "kernels/cpu/rmsnorm-inl.h"
#include "kernels/cpu/rope-inl.h"
#include "kernels/cpu/rows-inl.h"
#include "kernels/cpu/swiglu-inl.h"
// clang-format on

namespace scout::kernels {
namespace {

constexpr Backend make_backend(const char* isa) {
  return {"cpu",  isa,        rmsnorm, rope,   matmul,   quantize,
          swiglu, scale_rows, add,     gather, kv_store, attention};
}

}  // namespace
}  // namespace scout::kernels

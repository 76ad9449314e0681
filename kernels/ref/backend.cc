// The reference backend's table. SPDX-License-Identifier: Apache-2.0
#include "kernels/ref/ops.h"

namespace scout::kernels {

const Backend& reference_backend() {
  static constexpr Backend kBackend = {
      .name = "reference",
      .isa = "scalar",
      .rmsnorm = ref::rmsnorm,
      .rope = ref::rope,
      .matmul = ref::matmul,
      .quantize = ref::quantize,
      .swiglu = ref::swiglu,
      .scale_rows = ref::scale_rows,
      .add = ref::add,
      .gather = ref::gather,
      .kv_store = ref::kv_store,
      .attention = ref::attention,
  };
  return kBackend;
}

}  // namespace scout::kernels

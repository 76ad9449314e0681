// The scalar operations, one per file of this folder. SPDX-License-Identifier: Apache-2.0
// Clarity first: sums run in double, so that other backends are measured against this one.
#pragma once

#include "kernels/ops.h"

namespace scout::kernels::ref {

void rmsnorm(const RmsNormArgs& a);
void rope(const RopeArgs& a);
void matmul(const MatmulArgs& a);
void quantize(const QuantizeArgs& a);
void swiglu(const SwigluArgs& a);
void scale_rows(const ScaleRowsArgs& a);
void add(const AddArgs& a);
void gather(const GatherArgs& a);
void kv_store(const KvStoreArgs& a);
void attention(const AttentionArgs& a);

}  // namespace scout::kernels::ref

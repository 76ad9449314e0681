// What backends share. SPDX-License-Identifier: Apache-2.0
#include "kernels/ops.h"

namespace scout::kernels {

// Per row of a task and query head: the running (max, sum, output), the partial output of the page
// at hand and the scores of its keys. Then room for one page's worth of doubles, two outputs, and
// slack for rounding parts up to whole cache lines.
size_t attention_scratch(int64_t n_heads, int64_t n_kv_heads, int64_t head_dim,
                         int64_t page_tokens) {
  const int64_t group = n_heads / n_kv_heads;
  const int64_t per_query = page_tokens + 2 * head_dim + 16;
  return static_cast<size_t>(kAttentionRows * group * per_query + 2 * page_tokens + 4 * head_dim +
                             256);
}

}  // namespace scout::kernels

// What a tensor table promises, checked apart from the readers. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "lib/format/checkpoint.h"

namespace scout::test {

inline void Require(bool holds) {
  if (!holds) __builtin_trap();
}

inline void CheckTable(const std::vector<TensorEntry>& tensors, int64_t file_size) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const TensorEntry& t : tensors) {
    __int128 elements = 1;
    bool empty = false;
    for (int64_t d : t.shape) {
      Require(d >= (t.supported ? 1 : 0));
      empty = empty || d == 0;
      elements *= std::max<int64_t>(1, d);
      Require(elements <= INT64_MAX || empty || !t.supported);
      if (elements > INT64_MAX) elements = INT64_MAX;
    }
    Require(!t.supported || elements == t.n_elements());
    Require(!t.name.empty() && !t.type_name.empty());
    Require(t.offset >= 0 && t.nbytes >= 0 && t.offset <= file_size &&
            t.nbytes <= file_size - t.offset);
    if (t.supported) {
      const kernels::QuantTraits& traits = kernels::quant_traits(t.type);
      Require(elements % traits.block_elems == 0);
      Require(elements / traits.block_elems * traits.block_bytes == t.nbytes);
    }
    if (t.nbytes > 0) ranges.emplace_back(t.offset, t.offset + t.nbytes);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) Require(ranges[i - 1].second <= ranges[i].first);
}

}  // namespace scout::test

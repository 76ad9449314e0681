// Mutations that know a format: one or a few fields change or lie, the rest stays consistent, so
// that the change is met by the check it is for. Used by the fuzz targets (as libFuzzer's custom
// mutators) and, with fixed seeds, by unit tests. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/fuzz/random.h"

namespace scout::test {

// Bytes that are no such file, or one cut short, are read as far as they go.
// Counts, kinds, string and array lengths, keys that mean something, names; dimensions, types and
// offsets of tensors. Half of the results are laid out anew: offsets and data follow the tensors.
std::string MutateGguf(std::string_view bytes, Random& random);
// Names, dtypes, shapes, offsets, the header's JSON and its length.
std::string MutateSafetensors(std::string_view bytes, Random& random);
// Values replaced, moved, repeated, wrapped; members added, dropped, renamed. Any text.
std::string MutateJson(std::string_view text, Random& random);

#ifdef SCOUT_LIBFUZZER
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// The body of LLVMFuzzerCustomMutator: every fourth change is one of libFuzzer's own.
template <typename Mutate>
size_t CustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed, Mutate mutate) {
  Random random(seed);
  if (!random.OneIn(4)) {
    const std::string out = mutate({reinterpret_cast<const char*>(data), size}, random);
    if (out.size() <= max_size) {
      std::memcpy(data, out.data(), out.size());
      return out.size();
    }
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

#define SCOUT_CUSTOM_MUTATOR(mutate)                                                     \
  extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, \
                                            unsigned seed) {                             \
    return scout::test::CustomMutator(data, size, max_size, seed, mutate);               \
  }                                                                                      \
  static_assert(true)
#else
#define SCOUT_CUSTOM_MUTATOR(mutate) static_assert(true)
#endif

}  // namespace scout::test

// Which CPU backend this machine can run. SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/backends.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace scout::kernels {
namespace {

#if defined(__x86_64__)
struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA and F16C, and the system saves the ymm registers
  bool avx512 = false;  // F, BW, DQ, VL, VNNI as well, and the system saves zmm and mask registers
};

constexpr bool all_bits(uint64_t value, uint64_t wanted) { return (value & wanted) == wanted; }

// Bits of XCR0: what the operating system saves when it switches threads.
uint64_t saved_state() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

CpuFeatures cpu_features() {
  CpuFeatures f;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !all_bits(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C)) {
    return f;
  }
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;  // with xmm; with opmask and both zmm parts
  const uint64_t saved = saved_state();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !all_bits(saved, kYmm)) return f;
  f.avx2 = all_bits(b, bit_AVX2);
  f.avx512 = f.avx2 && all_bits(saved, kZmm) && all_bits(c, bit_AVX512VNNI) &&
             all_bits(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
  return f;
}
#endif

}  // namespace

const Backend* cpu_backend(Isa isa) {
#if defined(__x86_64__)
  const CpuFeatures f = cpu_features();
  if ((isa == Isa::kAvx512 || isa == Isa::kAuto) && f.avx512) return &kBackendAvx512;
  if ((isa == Isa::kAvx2 || isa == Isa::kAuto) && f.avx2) return &kBackendAvx2;
#endif
  return isa == Isa::kPortable || isa == Isa::kAuto ? &kBackendPortable : nullptr;
}

}  // namespace scout::kernels

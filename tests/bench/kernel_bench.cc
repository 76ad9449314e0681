// Speed of the kernels per instruction set, beside what the machine can do, as JSON on stdout.
// SPDX-License-Identifier: Apache-2.0
//
//   kernel_bench [substring]     only the cases whose name contains it
//
// One thread, in its own CPU time, so that another load on the machine disturbs little. Each figure
// is the median of several repetitions. GB/s counts the bytes of weights or KV pages once per call;
// GOP/s counts a multiplication and an addition as two.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "kernels/quant/interleave.h"

namespace {

using namespace scout::kernels;

double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Median seconds of a call, after one call to warm up: at least 5, at most 50 calls or 0.5 s.
double median_seconds(const std::function<void()>& f) {
  f();
  std::vector<double> times;
  double total = 0;
  while (times.size() < 5 || (times.size() < 50 && total < 0.5)) {
    const double start = thread_seconds();
    f();
    times.push_back(thread_seconds() - start);
    total += times.back();
  }
  std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

class Report {
 public:
  explicit Report(std::string filter) : filter_(std::move(filter)) { printf("{\"results\": ["); }
  ~Report() { printf("\n]}\n"); }
  void run(const std::string& name, double bytes, double ops, const std::function<void()>& f) {
    if (name.find(filter_) == std::string::npos) return;
    const double seconds = median_seconds(f);
    printf("%s\n  {\"name\": \"%s\", \"us\": %.1f, \"GB/s\": %.2f, \"GOP/s\": %.2f}",
           first_ ? "" : ",", name.c_str(), seconds * 1e6, bytes / seconds * 1e-9,
           ops / seconds * 1e-9);
    fflush(stdout);
    first_ = false;
  }

 private:
  std::string filter_;
  bool first_ = true;
};

// ---- what the machine can do ----

void read_all(const std::vector<float>& data) {
  typedef float Vector __attribute__((vector_size(16)));
  Vector sums[16] = {};
  for (size_t i = 0; i + 64 <= data.size(); i += 64) {
    for (size_t j = 0; j < 16; ++j) {
      Vector v;
      memcpy(&v, data.data() + i + 4 * j, sizeof(v));
      sums[j] += v;
    }
  }
  for (const Vector& s : sums) asm volatile("" : : "x"(s));
}

constexpr int64_t kPeakLoops = 2000000;

#if defined(__x86_64__)
// Twelve independent accumulations per loop, more than latency times ports.
#define SCOUT_TWELVE(op, a, b)                                                                    \
  op " " a "," b ",%%" R "mm0\n" op " " a "," b ",%%" R "mm1\n" op " " a "," b ",%%" R "mm2\n" op \
     " " a "," b ",%%" R "mm3\n" op " " a "," b ",%%" R "mm4\n" op " " a "," b ",%%" R "mm5\n" op \
     " " a "," b ",%%" R "mm6\n" op " " a "," b ",%%" R "mm7\n" op " " a "," b ",%%" R "mm8\n" op \
     " " a "," b ",%%" R "mm9\n" op " " a "," b ",%%" R "mm10\n" op " " a "," b ",%%" R "mm11\n"
#define SCOUT_CLOBBERS                                                                     \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13"
#define R "z"
__attribute__((target("avx512f,avx512vnni"))) void vnni_512() {
  for (int64_t i = 0; i < kPeakLoops; ++i) {
    asm volatile(SCOUT_TWELVE("vpdpbusd", "%%zmm12", "%%zmm13") : : : SCOUT_CLOBBERS);
  }
}
__attribute__((target("avx512f"))) void fma_512() {
  asm volatile("vpxorq %%zmm12,%%zmm12,%%zmm12\nvpxorq %%zmm13,%%zmm13,%%zmm13\n"
               :
               :
               : SCOUT_CLOBBERS);
  for (int64_t i = 0; i < kPeakLoops; ++i) {
    asm volatile(SCOUT_TWELVE("vfmadd231ps", "%%zmm12", "%%zmm13") : : : SCOUT_CLOBBERS);
  }
}
#undef R
#define R "y"
__attribute__((target("avx2,fma"))) void fma_256() {
  asm volatile("vpxor %%ymm12,%%ymm12,%%ymm12\nvpxor %%ymm13,%%ymm13,%%ymm13\n"
               :
               :
               : SCOUT_CLOBBERS);
  for (int64_t i = 0; i < kPeakLoops; ++i) {
    asm volatile(SCOUT_TWELVE("vfmadd231ps", "%%ymm12", "%%ymm13") : : : SCOUT_CLOBBERS);
  }
}
#undef R
#endif

void bench_machine(Report* report) {
  const std::vector<float> data(64 << 20, 1.0f);
  report->run("machine/read", 4.0 * static_cast<double>(data.size()), 0, [&] { read_all(data); });
#if defined(__x86_64__)
  const double loops = 12.0 * kPeakLoops;
  if (cpu_backend(Isa::kAvx2)) report->run("machine/fma256", 0, loops * 16, fma_256);
  if (cpu_backend(Isa::kAvx512)) {
    report->run("machine/fma512", 0, loops * 32, fma_512);
    report->run("machine/vnni512", 0, loops * 128, vnni_512);
  }
#endif
}

// ---- ops ----

std::vector<float> wave(size_t n) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = std::sin(0.37f * static_cast<float>(i % 100003));
  return v;
}

constexpr int64_t kCols = 5120;
constexpr int64_t kMostRows = 512;

struct Weights {
  std::vector<uint8_t> bytes, interleaved;
  Matrix matrix, grouped;  // grouped: the interleaved form, where the type has one
};

// At least `bytes` of weights: a few encoded rows, repeated.
Weights make_weights(QuantType type, int64_t bytes) {
  const QuantTraits& traits = quant_traits(type);
  constexpr int64_t kDistinct = 8;
  const int64_t row_bytes = kCols / traits.block_elems * traits.block_bytes;
  const int64_t rows = (bytes / row_bytes / kDistinct + 1) * kDistinct;
  Weights w;
  w.bytes.resize(static_cast<size_t>(rows * row_bytes));
  traits.encode(wave(kDistinct * kCols).data(), w.bytes.data(), kDistinct * kCols);
  for (int64_t r = kDistinct; r < rows; r += kDistinct) {
    memcpy(w.bytes.data() + r * row_bytes, w.bytes.data(),
           static_cast<size_t>(kDistinct * row_bytes));
  }
  w.matrix = {w.bytes.data(), type, rows, kCols, row_bytes};
  if (can_interleave(type)) {
    w.interleaved.resize(static_cast<size_t>(interleaved_bytes(type, rows, kCols)) + 64);
    uint8_t* data = w.interleaved.data();
    while (reinterpret_cast<uintptr_t>(data) % 64 != 0) ++data;
    interleave_rows(type, w.bytes.data(), row_bytes, 0, rows, kCols, data);
    w.grouped = w.matrix;
    w.grouped.data = data;
    w.grouped.layout = MatrixLayout::kInterleaved;
  }
  return w;
}

void bench_matmul(Report* report, const std::vector<const Backend*>& backends) {
  const std::vector<float> x = wave(kMostRows * kCols);
  std::vector<int8_t> q(x.size());
  std::vector<float> scale(x.size() / kFineBlock);
  std::vector<int32_t> sum(x.size() / kActSum);
  for (int t = 0; t < static_cast<int>(QuantType::kCount); ++t) {
    const QuantType type = static_cast<QuantType>(t);
    const QuantTraits& traits = quant_traits(type);
    const QuantRows xq = {q.data(), scale.data(), sum.data(), act_block(type)};
    const Weights w = make_weights(type, 96 << 20);
    std::vector<float> y(static_cast<size_t>(kMostRows * w.matrix.rows));
    for (int64_t rows : {int64_t{1}, int64_t{4}, int64_t{32}, kMostRows}) {
      // Few rows read weights from memory; many rows take a part of them.
      const int64_t outs = rows <= 4 ? w.matrix.rows : 256;
      const int64_t panels = (rows + kPanelRows - 1) / kPanelRows;
      reference_backend().quantize({x.data(), xq, kCols, rows, 0, panels});
      // Decoded to float; integers from the file's rows; integers from interleaved rows.
      for (const char* way : {"float", "int8-rows", "int8"}) {
        const bool integer = way[0] == 'i', grouped = integer && way[4] == '\0';
        if (integer && traits.is_float) continue;
        for (const Backend* b : backends) {
          if (b == &reference_backend() && grouped) continue;
          MatmulArgs a{grouped ? w.grouped : w.matrix,
                       x.data(),
                       integer ? xq : QuantRows{},
                       y.data(),
                       w.matrix.rows,
                       rows,
                       0,
                       outs};
          const double ops = 2.0 * static_cast<double>(rows * outs * kCols);
          report->run(std::string("matmul/") + traits.name + "/" + way + "/rows" +
                          std::to_string(rows) + "/" + b->isa,
                      static_cast<double>(outs * w.matrix.row_bytes), ops, [&] { b->matmul(a); });
        }
      }
    }
  }
}

void bench_attention(Report* report, const std::vector<const Backend*>& backends) {
  constexpr int64_t kHeads = 40, kKvHeads = 8, kDim = 128, kPage = 256, kKeys = 16384;
  constexpr struct {
    const char* name;
    KvFormat format;
  } kFormats[] = {{"f32", KvFormat::kF32}, {"f16", KvFormat::kF16}, {"bf16", KvFormat::kBF16}};
  const std::vector<float> q = wave(kAttentionRows * kHeads * kDim);
  std::vector<float> out(q.size());
  std::vector<float> room(attention_scratch(kHeads, kKvHeads, kDim, kPage) + 16);
  float* scratch = room.data();
  while (reinterpret_cast<uintptr_t>(scratch) % 64 != 0) ++scratch;
  for (const auto& format : kFormats) {
    const int64_t page_bytes = kv_page_bytes(format.format, kPage, kKvHeads, kDim);
    std::vector<uint8_t> memory(static_cast<size_t>(page_bytes * (kKeys / kPage)));  // zeros
    std::vector<const void*> pages;
    for (int64_t p = 0; p < kKeys / kPage; ++p) pages.push_back(memory.data() + p * page_bytes);
    for (int64_t rows : {int64_t{1}, kAttentionRows}) {
      std::vector<int64_t> n_keys;
      for (int64_t r = 0; r < rows; ++r) n_keys.push_back(kKeys - rows + 1 + r);
      const int64_t heads = rows == 1 ? kKvHeads : 1;
      for (const Backend* b : backends) {
        const AttentionArgs a{q.data(), out.data(), pages.data(), n_keys.data(), kHeads,
                              kKvHeads, kDim,       kPage,        format.format, 0,
                              rows,     0,          heads,        scratch,       false};
        const int64_t products = rows * heads * (kHeads / kKvHeads) * kKeys * kDim * 2;
        report->run(
            std::string("attention/") + format.name + "/rows" + std::to_string(rows) + "/" + b->isa,
            static_cast<double>(memory.size()) * static_cast<double>(heads) / kKvHeads,
            2.0 * static_cast<double>(products), [&] { b->attention(a); });
      }
    }
  }
}

void bench_rows(Report* report, const std::vector<const Backend*>& backends) {
  const std::vector<float> x = wave(kMostRows * kCols);
  const std::vector<float> weight(kCols, 1.0f);
  const std::vector<float> cos_sin(kMostRows * 128, 0.5f);
  std::vector<float> y = x;
  std::vector<int8_t> q(x.size());
  std::vector<float> scale(x.size() / kCoarseBlock);
  std::vector<int32_t> sum(x.size() / kActSum);
  const double bytes = 4.0 * static_cast<double>(x.size());
  for (const Backend* b : backends) {
    const std::string isa = std::string("/") + b->isa;
    report->run("rmsnorm" + isa, bytes, 0, [&] {
      b->rmsnorm({x.data(), weight.data(), y.data(), kCols, 0, kMostRows, 1e-5f});
    });
    report->run("rope" + isa, bytes, 0, [&] {
      b->rope({y.data(), cos_sin.data(), kCols / 128, 128, 0, kMostRows});
    });
    report->run("quantize" + isa, bytes, 0, [&] {
      b->quantize({x.data(),
                   {q.data(), scale.data(), sum.data()},
                   kCols,
                   kMostRows,
                   0,
                   (kMostRows + kPanelRows - 1) / kPanelRows});
    });
    report->run("swiglu" + isa, bytes, 0, [&] {
      b->swiglu({x.data(), x.data(), y.data(), kCols, kCols, 0, kMostRows});
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<const Backend*> backends;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (const Backend* b = cpu_backend(isa)) backends.push_back(b);
  }
  backends.push_back(&reference_backend());
  Report report(argc > 1 ? argv[1] : "");
  bench_machine(&report);
  bench_rows(&report, backends);
  bench_matmul(&report, backends);
  bench_attention(&report, backends);
  return 0;
}

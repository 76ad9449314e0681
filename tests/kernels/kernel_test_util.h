// What the kernel tests share: the backends of this machine, seeded data, poisoned outputs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace scout::kernels {

// Unit roundoff of float32. Tolerances of these tests are multiples of it times the sum of the
// magnitudes that went into a result; each test states its formula.
inline constexpr double kU = 1.0 / (1 << 24);

// The reference, and each ISA that this machine has.
inline std::vector<const Backend*> all_backends() {
  std::vector<const Backend*> list = {&reference_backend()};
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (const Backend* b = cpu_backend(isa)) list.push_back(b);
  }
  return list;
}

inline std::vector<QuantType> all_types() {
  std::vector<QuantType> list;
  for (int i = 0; i < static_cast<int>(QuantType::kCount); ++i) {
    list.push_back(static_cast<QuantType>(i));
  }
  return list;
}

// Those with blocks of integers.
inline std::vector<QuantType> block_types() {
  std::vector<QuantType> list;
  for (QuantType type : all_types()) {
    if (!quant_traits(type).is_float) list.push_back(type);
  }
  return list;
}

// Where a block holds 16-bit scales: offsets, -1 for none. MXFP4 has one byte of exponent instead,
// at 0.
struct ScaleBytes {
  int first = -1, second = -1;
};
inline ScaleBytes scale_bytes(QuantType type) {
  switch (type) {
    case QuantType::kQ8_0:
    case QuantType::kQ4_0:
    case QuantType::kQ5_0:
    case QuantType::kIQ4_NL:
    case QuantType::kIQ4_XS:
    case QuantType::kI4_32:
    case QuantType::kI4_128:
      return {0, -1};
    case QuantType::kQ4_1:
    case QuantType::kQ5_1:
    case QuantType::kQ4_K:
    case QuantType::kQ5_K:
      return {0, 2};
    case QuantType::kQ2_K:
      return {80, 82};
    case QuantType::kQ3_K:
      return {108, -1};
    case QuantType::kQ6_K:
      return {208, -1};
    default:
      return {};
  }
}

// Writes the scales of every block: float16 bits, or MXFP4's exponent.
inline void set_scales(QuantType type, unsigned char* bytes, size_t n, uint16_t first,
                       uint16_t second, unsigned char exponent) {
  const ScaleBytes at = scale_bytes(type);
  for (size_t b = 0; b < n; b += static_cast<size_t>(quant_traits(type).block_bytes)) {
    if (at.first >= 0) memcpy(bytes + b + at.first, &first, 2);
    if (at.second >= 0) memcpy(bytes + b + at.second, &second, 2);
    if (type == QuantType::kMXFP4) bytes[b] = exponent;
  }
}

// Runs a test once per backend.
class BackendTest : public testing::TestWithParam<const Backend*> {
 protected:
  const Backend& backend() const { return *GetParam(); }
};

inline std::string backend_name(const testing::TestParamInfo<const Backend*>& info) {
  std::string name = std::string(info.param->name) + "_" + info.param->isa;
  for (char& c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) c = '_';
  }
  return name;
}

#define SCOUT_FOR_ALL_BACKENDS(suite) \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, testing::ValuesIn(all_backends()), backend_name)

// SplitMix64: the same numbers on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }  // [0, 1)
  float normal() {
    return static_cast<float>(std::sqrt(-2.0 * std::log(1.0 - uniform())) *
                              std::cos(6.283185307179586 * uniform()));
  }

 private:
  uint64_t state_;
};

// An input of exactly n elements on the heap: reading past either end is seen by asan.
template <typename T>
class Input {
 public:
  explicit Input(size_t n) : n_(n), data_(new T[n]()) {}
  Input(const T* from, size_t n) : Input(n) {
    if (n > 0) memcpy(data_.get(), from, n * sizeof(T));
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return n_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  size_t n_;
  std::unique_ptr<T[]> data_;
};

inline Input<float> normal_input(size_t n, uint64_t seed) {
  Random random(seed);
  Input<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = random.normal();
  return v;
}

// An output of n elements with a margin on both sides, all bytes 0xFF (a NaN as float32), so that
// an element that is not written, and one that should not be, are both seen.
template <typename T>
class Output {
 public:
  explicit Output(size_t n) : n_(n), all_(n + 2 * kMargin) {
    memset(all_.data(), 0xff, all_.size() * sizeof(T));
  }
  T* data() { return all_.data() + kMargin; }
  const T* data() const { return all_.data() + kMargin; }
  const T& operator[](size_t i) const { return all_[kMargin + i]; }
  size_t size() const { return n_; }
  bool untouched(size_t i) const { return poison(all_[kMargin + i]); }
  bool margins_untouched() const {
    for (size_t i = 0; i < kMargin; ++i) {
      if (!poison(all_[i]) || !poison(all_[kMargin + n_ + i])) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kMargin = 64;
  static bool poison(const T& v) {
    unsigned char bytes[sizeof(T)];
    memcpy(bytes, &v, sizeof(T));
    for (unsigned char b : bytes) {
      if (b != 0xff) return false;
    }
    return true;
  }
  size_t n_;
  std::vector<T> all_;
};

// Rows of 8-bit activations in panels, as QuantRows says, from plain ones: q (rows, cols), scale
// (rows, blocks of `block`). The buffers are cut to size.
struct Panels {
  Input<int8_t> q;
  Input<float> scale;
  Input<int32_t> sum;
  int64_t block;
  QuantRows rows() { return {q.data(), scale.data(), sum.data(), block}; }
};
inline Panels make_panels(const int8_t* q, const float* scale, int64_t rows, int64_t cols,
                          int64_t block) {
  const int64_t padded = act_padded(cols), blocks = (cols + block - 1) / block;
  Panels p{Input<int8_t>(rows * padded), Input<float>(rows * padded / block),
           Input<int32_t>(rows * padded / kActSum), block};
  for (int64_t r0 = 0; r0 < rows; r0 += kPanelRows) {
    const int64_t t = std::min(kPanelRows, rows - r0);
    for (int64_t i = 0; i < t; ++i) {
      const int64_t row = r0 + i;
      for (int64_t c = 0; c < cols; ++c) {
        const int8_t v = q[row * cols + c];
        p.q[r0 * padded + c / 4 * 4 * t + 4 * i + c % 4] = v;
        p.sum[r0 * padded / kActSum + c / kActSum * t + i] += v;
      }
      for (int64_t b = 0; b < blocks; ++b) {
        p.scale[r0 * padded / block + b * t + i] = scale[row * blocks + b];
      }
    }
  }
  return p;
}

inline uint32_t bits_of(float v) {
  uint32_t u;
  memcpy(&u, &v, sizeof(u));
  return u;
}

// Collects the worst |got - want| / tolerance and where it was.
class Worst {
 public:
  void check(double got, double want, double tolerance, int64_t row, int64_t column) {
    ++checked_;
    const double error = std::fabs(got - want);
    // A NaN fails: it is not below any tolerance.
    const double ratio = error <= tolerance
                             ? (tolerance > 0 ? error / tolerance : 0.0)
                             : (tolerance > 0 && error == error ? error / tolerance : HUGE_VAL);
    if (ratio > ratio_ || checked_ == 1) {
      ratio_ = ratio;
      got_ = got;
      want_ = want;
      tolerance_ = tolerance;
      row_ = row;
      column_ = column;
    }
  }
  double ratio() const { return ratio_; }
  testing::AssertionResult ok() const {
    if (checked_ == 0) return testing::AssertionFailure() << "nothing was compared";
    auto result = ratio_ <= 1.0 ? testing::AssertionSuccess() : testing::AssertionFailure();
    return result << "worst at row " << row_ << " column " << column_ << ": got " << got_
                  << ", want " << want_ << ", tolerance " << tolerance_;
  }

 private:
  double ratio_ = 0.0, got_ = 0.0, want_ = 0.0, tolerance_ = 0.0;
  int64_t row_ = -1, column_ = -1, checked_ = 0;
};

}  // namespace scout::kernels

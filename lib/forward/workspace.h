// Scratch of the forward pass: taken once, so that a step cannot run out of memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <new>

#include "kernels/ops.h"

namespace scout {

// n elements, 64-byte aligned, contents undefined. Throws std::bad_alloc.
template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t n)
      : data_(static_cast<T*>(::operator new(static_cast<size_t>(n) * sizeof(T), kAlign))) {}
  ~AlignedBuffer() { ::operator delete(data_, kAlign); }
  AlignedBuffer(AlignedBuffer&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    T* data = other.data_;
    other.data_ = data_;
    data_ = data;
    return *this;
  }
  T* get() const { return data_; }

 private:
  static constexpr std::align_val_t kAlign{64};
  T* data_ = nullptr;
};

// Rows of activations as f32 and, where a quantised matrix follows, as 8-bit blocks.
class ActivationBuffer {
 public:
  ActivationBuffer() = default;
  ActivationBuffer(int64_t n_rows, int64_t cols, bool quantised)
      : cols_(cols), f32_(n_rows * cols) {
    if (!quantised) return;
    const int64_t blocks = n_rows * (cols / kernels::kActBlock);
    q_ = AlignedBuffer<int8_t>(n_rows * cols);
    scale_ = AlignedBuffer<float>(blocks);
    sum_ = AlignedBuffer<float>(blocks);
  }
  float* f32(int64_t row = 0) const { return f32_.get() + row * cols_; }
  int64_t cols() const { return cols_; }
  kernels::QuantRows quant(int64_t row = 0) const {
    const int64_t block = row * (cols_ / kernels::kActBlock);
    return {q_.get() + row * cols_, scale_.get() + block, sum_.get() + block};
  }
  bool can_quantise() const { return q_.get() != nullptr; }

 private:
  int64_t cols_ = 0;
  AlignedBuffer<float> f32_;
  AlignedBuffer<int8_t> q_;
  AlignedBuffer<float> scale_, sum_;
};

}  // namespace scout

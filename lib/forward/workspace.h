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

// Which 8-bit forms of activations are needed: bits.
enum ActForm : int { kNoForm = 0, kCoarseForm = 1, kFineForm = 2 };

// Rows of activations as f32 and, where a quantised matrix follows, in 8 bits.
class ActivationBuffer {
 public:
  ActivationBuffer() = default;
  // forms: of ActForm.
  ActivationBuffer(int64_t n_rows, int64_t cols, int forms) : cols_(cols), f32_(n_rows * cols) {
    const int64_t n = n_rows * kernels::act_padded(cols);
    if ((forms & kCoarseForm) != 0) coarse_ = Form(n, kernels::kCoarseBlock);
    if ((forms & kFineForm) != 0) fine_ = Form(n, kernels::kFineBlock);
  }
  float* f32(int64_t row = 0) const { return f32_.get() + row * cols_; }
  int64_t cols() const { return cols_; }
  // Of rows that were quantised together, `row` being their first. block: of the activations.
  kernels::QuantRows quant(int64_t row, int64_t block) const {
    const Form& form = block == kernels::kFineBlock ? fine_ : coarse_;
    return kernels::rows_from({form.q.get(), form.scale.get(), form.sum.get(), block}, row, cols_);
  }

 private:
  struct Form {
    Form() = default;
    Form(int64_t n, int64_t block) : q(n), scale(n / block), sum(n / kernels::kActSum) {}
    AlignedBuffer<int8_t> q;
    AlignedBuffer<float> scale;
    AlignedBuffer<int32_t> sum;
  };
  int64_t cols_ = 0;
  AlignedBuffer<float> f32_;
  Form coarse_, fine_;
};

}  // namespace scout

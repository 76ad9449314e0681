// Rounding of activations to 8 bits, on every backend. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/types.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

constexpr int64_t kRows = 5;

struct Quantized {
  Output<int8_t> q;
  Output<float> scale, sum;
  explicit Quantized(int64_t cols)
      : q(kRows * cols), scale(kRows * cols / kActBlock), sum(kRows * cols / kActBlock) {}
  QuantRows rows() { return {q.data(), scale.data(), sum.data()}; }
  // Elements of q outside [begin, end) cannot be told from -1 by value alone: blocks can, by scale.
  bool block_untouched(int64_t block) const {
    if (!scale.untouched(block) || !sum.untouched(block)) return false;
    for (int64_t i = block * kActBlock; i < (block + 1) * kActBlock; ++i) {
      if (!q.untouched(i)) return false;
    }
    return true;
  }
};

class Quantize : public BackendTest {};

// What the format promises, block by block:
//   scale = max|x| / 127 within 2 u; |x - scale q| <= scale (1/2 + 1e-4), where 1e-4 covers 127
//   steps of a reciprocal with a few u of error; the largest value is at +-127; sum = scale *
//   sum(q) within 2 u.
TEST_P(Quantize, NearestAndConsistent) {
  for (int64_t cols : {16, 32, 48, 80, 256, 272}) {
    SCOPED_TRACE("cols " + std::to_string(cols));
    Input<float> x = normal_input(kRows * cols, 91 + cols);
    Random random(92);
    for (int64_t b = 0; b < kRows * cols / kActBlock; ++b) {
      const float size = static_cast<float>(std::pow(10.0, 20 * random.uniform() - 10));
      for (int64_t i = b * kActBlock; i < (b + 1) * kActBlock; ++i) x[i] *= size;
    }
    Quantized whole(cols);
    backend().quantize({x.data(), whole.rows(), cols, 0, kRows});
    EXPECT_TRUE(whole.q.margins_untouched());
    EXPECT_TRUE(whole.scale.margins_untouched());
    EXPECT_TRUE(whole.sum.margins_untouched());
    Worst scales, values, sums;
    for (int64_t b = 0; b < kRows * cols / kActBlock; ++b) {
      double largest = 0;
      int total = 0, top = 0;
      for (int64_t i = b * kActBlock; i < (b + 1) * kActBlock; ++i) {
        largest = std::fmax(largest, std::fabs(x[i]));
        total += whole.q[i];
        top = std::max(top, std::abs(whole.q[i]));
      }
      const double scale = whole.scale[b];
      scales.check(scale, largest / 127, 2 * kU * largest / 127, b, 0);
      for (int64_t i = b * kActBlock; i < (b + 1) * kActBlock; ++i) {
        values.check(scale * whole.q[i], x[i], scale * (0.5 + 1e-4), b, i % kActBlock);
      }
      EXPECT_EQ(top, 127) << b;
      sums.check(whole.sum[b], scale * total, 2 * kU * std::fabs(scale * total), b, 0);
    }
    EXPECT_TRUE(scales.ok());
    EXPECT_TRUE(values.ok());
    EXPECT_TRUE(sums.ok());

    for (int64_t begin = 0; begin < kRows; ++begin) {
      const int64_t end = begin + 1 + begin % 2 < kRows ? begin + 1 + begin % 2 : kRows;
      Quantized part(cols);
      backend().quantize({x.data(), part.rows(), cols, begin, end});
      EXPECT_TRUE(part.q.margins_untouched());
      for (int64_t b = 0; b < kRows * cols / kActBlock; ++b) {
        const int64_t row = b * kActBlock / cols;
        if (row < begin || row >= end) {
          EXPECT_TRUE(part.block_untouched(b)) << "row " << row << " of " << begin << ".." << end;
          continue;
        }
        EXPECT_EQ(bits_of(part.scale[b]), bits_of(whole.scale[b]));
        EXPECT_EQ(bits_of(part.sum[b]), bits_of(whole.sum[b]));
        EXPECT_EQ(memcmp(part.q.data() + b * kActBlock, whole.q.data() + b * kActBlock, kActBlock),
                  0);
      }
    }
  }
}

TEST_P(Quantize, ZerosAndTinyBlocksGiveNumbers) {
  for (float v : {0.0f, -0.0f, 1e-45f, -1e-40f, 1e-37f, 3.4e38f}) {
    Input<float> x(kActBlock);
    for (int64_t i = 0; i < kActBlock; ++i) x[i] = i % 2 ? v : -v;
    Input<int8_t> q(kActBlock);
    Input<float> scale(1), sum(1);
    backend().quantize({x.data(), {q.data(), scale.data(), sum.data()}, kActBlock, 0, 1});
    EXPECT_TRUE(std::isfinite(scale[0])) << v;
    EXPECT_TRUE(std::isfinite(sum[0])) << v;
    for (int64_t i = 0; i < kActBlock; ++i) {
      // A step below the smallest normal float32 may count as nothing.
      EXPECT_NEAR(static_cast<double>(scale[0]) * q[i], x[i], 0.51 * scale[0] + 1.6e-36) << v;
      EXPECT_GE(q[i], -127) << v;
    }
  }
}

// A value that is not finite may not vanish: the integer product of its row is not finite either.
TEST_P(Quantize, BrokenValuesReachTheProduct) {
  const int64_t cols = 64;
  const QuantTraits& traits = quant_traits(QuantType::kQ8_0);
  Input<unsigned char> w(static_cast<size_t>(cols / 32 * traits.block_bytes));
  const Input<float> weights = normal_input(cols, 95);
  traits.encode(weights.data(), w.data(), cols);
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    for (int64_t at : {0, 17, 63}) {
      Input<float> x = normal_input(2 * cols, 96);
      x[cols + at] = bad;
      Input<int8_t> q(2 * cols);
      Input<float> scale(2 * cols / kActBlock), sum(2 * cols / kActBlock), y(2);
      const QuantRows rows{q.data(), scale.data(), sum.data()};
      backend().quantize({x.data(), rows, cols, 0, 2});
      MatmulArgs a{};
      a.w = {w.data(), QuantType::kQ8_0, 1, cols, cols / 32 * traits.block_bytes};
      a.xq = rows;
      a.y = y.data();
      a.y_stride = 1;
      a.n_rows = 2;
      a.out_begin = 0;
      a.out_end = 1;
      backend().matmul(a);
      EXPECT_TRUE(std::isfinite(y[0]));
      EXPECT_FALSE(std::isfinite(y[1])) << bad << " at " << at;
    }
  }
}

SCOUT_FOR_ALL_BACKENDS(Quantize);

}  // namespace
}  // namespace scout::kernels

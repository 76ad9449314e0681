// Rounding of activations to 8 bits, on every backend. SPDX-License-Identifier: Apache-2.0
#include "kernels/quant/types.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

constexpr int64_t kRows = 14, kPanels = 3;  // 6, 6 and 2 rows

struct Quantized {
  Output<int8_t> q;
  Output<float> scale;
  Output<int32_t> sum;
  int64_t cols, padded, block;
  Quantized(int64_t n, int64_t in_block)
      : q(kRows * act_padded(n)),
        scale(kRows * act_padded(n) / in_block),
        sum(kRows * act_padded(n) / kActSum),
        cols(n),
        padded(act_padded(n)),
        block(in_block) {}
  QuantRows rows() { return {q.data(), scale.data(), sum.data(), block}; }
  // Where a value of a row lies; `per` values share an entry, 1 for the values themselves.
  int64_t at(int64_t row, int64_t col, int64_t per) const {
    const int64_t r0 = row / kPanelRows * kPanelRows, t = std::min(kPanelRows, kRows - r0);
    const int64_t base = r0 * padded / per;
    if (per == 1) return base + col / 4 * 4 * t + 4 * (row - r0) + col % 4;
    return base + col / per * t + row - r0;
  }
};

class Quantize : public BackendTest {};

// What the format promises, block by block:
//   scale = max|x| / 127 within 2 u; |x - scale q| <= scale (1/2 + 1e-4), where 1e-4 covers 127
//   steps of a reciprocal with a few u of error; the largest value is at +-127; sum = sum of q.
// What pads a row is zero. Backends give the bits of the reference.
void check_quantize(const Backend& backend, int64_t block) {
  for (int64_t cols : {16, 32, 48, 80, 128, 256, 272, 656}) {
    SCOPED_TRACE("cols " + std::to_string(cols));
    Input<float> x = normal_input(kRows * cols, 91 + cols);
    Random random(92);
    for (int64_t i = 0; i < kRows * cols; i += 16) {
      const float size = static_cast<float>(std::pow(10.0, 20 * random.uniform() - 10));
      for (int64_t j = i; j < i + 16; ++j) x[j] *= size;
    }
    Quantized whole(cols, block), truth(cols, block);
    backend.quantize({x.data(), whole.rows(), cols, kRows, 0, kPanels});
    reference_backend().quantize({x.data(), truth.rows(), cols, kRows, 0, kPanels});
    EXPECT_TRUE(whole.q.margins_untouched());
    EXPECT_TRUE(whole.scale.margins_untouched());
    EXPECT_TRUE(whole.sum.margins_untouched());
    EXPECT_EQ(memcmp(whole.q.data(), truth.q.data(), whole.q.size()), 0);
    EXPECT_EQ(memcmp(whole.scale.data(), truth.scale.data(), 4 * whole.scale.size()), 0);
    EXPECT_EQ(memcmp(whole.sum.data(), truth.sum.data(), 4 * whole.sum.size()), 0);
    Worst scales, values;
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < whole.padded; c += block) {
        double largest = 0;
        int top = 0;
        const double scale = whole.scale[whole.at(r, c, block)];
        for (int64_t i = c; i < c + block; ++i) {
          const float v = i < cols ? x[r * cols + i] : 0.0f;
          const int q = whole.q[whole.at(r, i, 1)];
          largest = std::fmax(largest, std::fabs(v));
          top = std::max(top, std::abs(q));
          EXPECT_TRUE(i < cols || q == 0) << i;
          values.check(scale * q, v, scale * (0.5 + 1e-4), r, i);
        }
        scales.check(scale, largest / 127, 2 * kU * largest / 127, r, c);
        EXPECT_EQ(top, c < cols ? 127 : 0) << r << " " << c;
      }
      for (int64_t c = 0; c < whole.padded; c += kActSum) {
        int32_t total = 0;
        for (int64_t i = c; i < c + kActSum; ++i) total += whole.q[whole.at(r, i, 1)];
        EXPECT_EQ(whole.sum[whole.at(r, c, kActSum)], total);
      }
    }
    EXPECT_TRUE(scales.ok());
    EXPECT_TRUE(values.ok());

    // A panel at a time gives the same bits and touches no other.
    for (int64_t p = 0; p < kPanels; ++p) {
      Quantized part(cols, block);
      backend.quantize({x.data(), part.rows(), cols, kRows, p, p + 1});
      EXPECT_TRUE(part.q.margins_untouched());
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t c = 0; c < whole.padded; ++c) {
          const int64_t q = part.at(r, c, 1), scale = part.at(r, c, block);
          const int64_t sum = part.at(r, c, kActSum);
          if (r / kPanelRows != p) {
            ASSERT_TRUE(part.q.untouched(q) && part.scale.untouched(scale) &&
                        part.sum.untouched(sum))
                << "row " << r << " column " << c << " of panel " << p;
            continue;
          }
          ASSERT_EQ(part.q[q], whole.q[q]);
          ASSERT_EQ(bits_of(part.scale[scale]), bits_of(whole.scale[scale]));
          ASSERT_EQ(part.sum[sum], whole.sum[sum]);
        }
      }
    }
  }
}

TEST_P(Quantize, NearestAndConsistent) {
  check_quantize(backend(), kCoarseBlock);
  check_quantize(backend(), kFineBlock);
}

TEST_P(Quantize, ZerosAndTinyBlocksGiveNumbers) {
  for (float v : {0.0f, -0.0f, 1e-45f, -1e-40f, 1e-37f, 3.4e38f}) {
    Input<float> x(kCoarseBlock);
    for (int64_t i = 0; i < kCoarseBlock; ++i) x[i] = i % 2 ? v : -v;
    Input<int8_t> q(kActPad);
    Input<float> scale(kActPad / kCoarseBlock);
    Input<int32_t> sum(kActPad / kActSum);
    backend().quantize({x.data(), {q.data(), scale.data(), sum.data()}, kCoarseBlock, 1, 0, 1});
    EXPECT_TRUE(std::isfinite(scale[0])) << v;
    for (int64_t i = 0; i < kCoarseBlock; ++i) {
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
      Input<int8_t> q(2 * kActPad);
      Input<float> scale(2 * kActPad / kFineBlock), y(2);
      Input<int32_t> sum(2 * kActPad / kActSum);
      const QuantRows rows{q.data(), scale.data(), sum.data(), kFineBlock};
      backend().quantize({x.data(), rows, cols, 2, 0, 1});
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

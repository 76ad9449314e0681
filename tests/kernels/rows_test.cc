// Ops that work row by row, on every backend: rmsnorm, rope, swiglu, scale, add, gather.
// SPDX-License-Identifier: Apache-2.0
//
// Each op runs over slices of its rows with poisoned outputs; the bits of a row must not depend on
// the slice, and rows outside it must not be touched.
#include <functional>
#include <utility>

#include "kernels/quant/types.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

constexpr int64_t kRows = 7;
const std::pair<int64_t, int64_t> kSlices[] = {{0, kRows}, {0, 1}, {2, 3}, {6, 7}, {1, 6}, {4, 4}};
const int64_t kDims[] = {1, 2, 3, 15, 16, 17, 34, 64, 70, 131, 320};

class Rows : public BackendTest {
 protected:
  // `op` writes rows [begin, end) of an output of kRows * dim. Returns the bits of all rows.
  std::vector<float> check_slices(
      int64_t dim, const std::function<void(float* y, int64_t begin, int64_t end)>& op) {
    std::vector<float> whole;
    for (const auto& [begin, end] : kSlices) {
      Output<float> y(static_cast<size_t>(kRows * dim));
      op(y.data(), begin, end);
      EXPECT_TRUE(y.margins_untouched());
      if (whole.empty()) whole.assign(y.data(), y.data() + kRows * dim);
      for (int64_t i = 0; i < kRows * dim; ++i) {
        const size_t at = static_cast<size_t>(i);
        if (i >= begin * dim && i < end * dim) {
          EXPECT_EQ(bits_of(y[at]), bits_of(whole[at])) << "row " << i / dim << " of " << begin;
        } else {
          EXPECT_TRUE(y.untouched(at)) << "row " << i / dim << " of " << begin;
        }
      }
    }
    return whole;
  }
};

// |y - y64| <= u * (8 + dim / 16) * |y64|: half of the relative error of the sum of squares (dim /
// 8 additions in a row), and a few roundings.
TEST_P(Rows, RmsNorm) {
  const float eps = 1e-5f;
  for (int64_t dim : kDims) {
    for (bool weighted : {true, false}) {
      for (float size : {1.0f, 1e-3f, 1e4f}) {
        SCOPED_TRACE("dim " + std::to_string(dim) + " size " + std::to_string(size));
        Input<float> x = normal_input(kRows * dim, 41 + dim);
        for (size_t i = 0; i < x.size(); ++i) x[i] *= size;
        const Input<float> w = normal_input(dim, 43);
        const std::vector<float> y = check_slices(dim, [&](float* out, int64_t b, int64_t e) {
          backend().rmsnorm({x.data(), weighted ? w.data() : nullptr, out, dim, b, e, eps});
        });
        Worst worst;
        for (int64_t r = 0; r < kRows; ++r) {
          double squares = 0;
          for (int64_t i = 0; i < dim; ++i) {
            squares += static_cast<double>(x[r * dim + i]) * x[r * dim + i];
          }
          const double norm = std::sqrt(squares / static_cast<double>(dim) + eps);
          for (int64_t i = 0; i < dim; ++i) {
            const double want = x[r * dim + i] / norm * (weighted ? w[i] : 1.0);
            worst.check(y[r * dim + i], want,
                        kU * (8 + static_cast<double>(dim) / 16) * std::fabs(want) + 1e-37, r, i);
          }
        }
        EXPECT_TRUE(worst.ok());
        // In place.
        Input<float> z(x.data(), x.size());
        backend().rmsnorm({z.data(), weighted ? w.data() : nullptr, z.data(), dim, 0, kRows, eps});
        EXPECT_EQ(memcmp(z.data(), y.data(), z.size() * sizeof(float)), 0);
      }
    }
  }
}

// |y - y64| <= 3 u * (|a cos| + |b sin|).
TEST_P(Rows, Rope) {
  for (int64_t head_dim : {2, 6, 16, 32, 34, 64, 70, 96, 128}) {
    for (int64_t heads : {1, 3, 5}) {
      SCOPED_TRACE("head_dim " + std::to_string(head_dim) + " heads " + std::to_string(heads));
      const int64_t dim = heads * head_dim;
      const Input<float> x = normal_input(kRows * dim, 51 + dim);
      Input<float> cos_sin(kRows * head_dim);
      Random random(52);
      for (size_t i = 0; i < cos_sin.size(); i += 2) {
        const double angle = 100 * random.uniform();
        cos_sin[i] = static_cast<float>(std::cos(angle));
        cos_sin[i + 1] = static_cast<float>(std::sin(angle));
      }
      const std::vector<float> y = check_slices(dim, [&](float* out, int64_t b, int64_t e) {
        // The op works in place: give it the rows of the slice, and leave the poison elsewhere.
        memcpy(out + b * dim, x.data() + b * dim, (e - b) * dim * sizeof(float));
        backend().rope({out, cos_sin.data(), heads, head_dim, b, e});
      });
      Worst worst;
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t i = 0; i < dim; i += 2) {
          const double c = cos_sin[r * head_dim + i % head_dim];
          const double s = cos_sin[r * head_dim + i % head_dim + 1];
          const double a = x[r * dim + i], b = x[r * dim + i + 1];
          worst.check(y[r * dim + i], a * c - b * s, 3 * kU * (std::fabs(a * c) + std::fabs(b * s)),
                      r, i);
          worst.check(y[r * dim + i + 1], a * s + b * c,
                      3 * kU * (std::fabs(a * s) + std::fabs(b * c)), r, i + 1);
        }
      }
      EXPECT_TRUE(worst.ok());
    }
  }
}

// |y - y64| <= 24 u * |y64| (an exponential of a few ulp), and 1e-30 * |up| where exp(-v) leaves
// the range of float32.
TEST_P(Rows, Swiglu) {
  for (int64_t dim : kDims) {
    SCOPED_TRACE("dim " + std::to_string(dim));
    const int64_t stride = dim + 5;
    Input<float> gate = normal_input((kRows - 1) * stride + dim, 61);
    const Input<float> up = normal_input((kRows - 1) * stride + dim, 62);
    const float ends[] = {0.0f, -0.0f, 30.0f, -30.0f, 87.5f, -87.5f, 100.0f, -100.0f, 1e4f, -1e4f};
    for (size_t i = 0; i < gate.size(); ++i) {
      gate[i] *= 4;
      if (i % 3 == 0) gate[i] = ends[(i / 3) % 10];
    }
    const std::vector<float> y = check_slices(dim, [&](float* out, int64_t b, int64_t e) {
      backend().swiglu({gate.data(), up.data(), out, stride, dim, b, e});
    });
    Worst worst;
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t i = 0; i < dim; ++i) {
        const double g = gate[r * stride + i], u = up[r * stride + i];
        const double want = g / (1 + std::exp(-g)) * u;
        worst.check(y[r * dim + i], want, 24 * kU * std::fabs(want) + 1e-30 * std::fabs(u), r, i);
      }
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST_P(Rows, SwigluKeepsNan) {
  Input<float> gate = normal_input(37, 63), up = normal_input(37, 64), y(37);
  gate[1] = gate[20] = gate[36] = NAN;
  up[2] = up[35] = NAN;
  backend().swiglu({gate.data(), up.data(), y.data(), 37, 37, 0, 1});
  for (int i = 0; i < 37; ++i) {
    EXPECT_EQ(std::isnan(y[i]), std::isnan(gate[i]) || std::isnan(up[i])) << i;
  }
}

// One rounding each: the bits are known.
TEST_P(Rows, ScaleAndAdd) {
  for (int64_t dim : kDims) {
    SCOPED_TRACE("dim " + std::to_string(dim));
    const Input<float> x = normal_input(kRows * dim, 71), b = normal_input(kRows * dim, 72);
    const Input<float> scale = normal_input(kRows, 73);
    const std::vector<float> scaled = check_slices(dim, [&](float* out, int64_t begin, int64_t e) {
      backend().scale_rows({x.data(), scale.data(), out, dim, begin, e});
    });
    const std::vector<float> added = check_slices(dim, [&](float* out, int64_t begin, int64_t e) {
      memcpy(out + begin * dim, x.data() + begin * dim, (e - begin) * dim * sizeof(float));
      backend().add({out, b.data(), dim, begin, e});
    });
    Input<float> in_place(x.data(), x.size());
    backend().scale_rows({in_place.data(), scale.data(), in_place.data(), dim, 0, kRows});
    for (int64_t i = 0; i < kRows * dim; ++i) {
      ASSERT_EQ(bits_of(scaled[i]), bits_of(x[i] * scale[i / dim])) << i;
      ASSERT_EQ(bits_of(in_place[i]), bits_of(scaled[i])) << i;
      ASSERT_EQ(bits_of(added[i]), bits_of(x[i] + b[i])) << i;
    }
  }
}

// The bits of the scalar decoder, on every backend.
TEST_P(Rows, Gather) {
  for (QuantType type : all_types()) {
    const QuantTraits& traits = quant_traits(type);
    for (int64_t blocks : {1, 3}) {
      const int64_t cols = traits.is_float ? 34 * blocks : traits.block_elems * blocks;
      SCOPED_TRACE(std::string(traits.name) + " cols " + std::to_string(cols));
      const int64_t outs = 9;
      const int64_t row_bytes = cols / traits.block_elems * traits.block_bytes;
      Input<unsigned char> w(static_cast<size_t>(outs * row_bytes));
      const Input<float> values = normal_input(outs * cols, 81);
      traits.encode(values.data(), w.data(), outs * cols);
      std::vector<float> decoded(outs * cols);
      traits.decode(w.data(), decoded.data(), outs * cols);
      const int32_t id_list[kRows] = {8, 0, 3, 3, 7, 1, 8};
      const Input<int32_t> ids(id_list, kRows);
      const std::vector<float> y = check_slices(cols, [&](float* out, int64_t b, int64_t e) {
        backend().gather({{w.data(), type, outs, cols, row_bytes}, ids.data(), out, b, e});
      });
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          ASSERT_EQ(bits_of(y[r * cols + c]), bits_of(decoded[id_list[r] * cols + c])) << r << c;
        }
      }
      const Input<float> scale = normal_input(outs, 82);
      Matrix scaled{w.data(), type, outs, cols, row_bytes};
      scaled.row_scale = scale.data();
      const std::vector<float> z = check_slices(cols, [&](float* out, int64_t b, int64_t e) {
        backend().gather({scaled, ids.data(), out, b, e});
      });
      for (int64_t i = 0; i < kRows * cols; ++i) {
        ASSERT_EQ(bits_of(z[i]), bits_of(y[i] * scale[id_list[i / cols]])) << i;
      }
    }
  }
}

SCOUT_FOR_ALL_BACKENDS(Rows);

}  // namespace
}  // namespace scout::kernels

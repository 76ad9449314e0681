// matmul on every backend, type and odd shape. SPDX-License-Identifier: Apache-2.0
#include <new>

#include "kernels/quant/interleave.h"
#include "kernels/quant/types.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

constexpr int64_t kMaxRows = 33;
constexpr int64_t kMaxOuts = 64;

// Activations with what the test needs to know about them.
struct Activations {
  Input<float> x;      // as the float path sees them
  Input<int8_t> q;     // (kMaxRows, cols), as the integer path sees them
  Input<float> scale;  // (kMaxRows, blocks)
  int64_t block;
};

// block: of those that share a scale, 0 for none.
Activations activations(int64_t cols, int64_t block, uint64_t seed) {
  const bool integer = block > 0;
  const int64_t blocks = integer ? (cols + block - 1) / block : 0;
  Activations a{normal_input(kMaxRows * cols, seed), Input<int8_t>(integer ? kMaxRows * cols : 0),
                Input<float>(kMaxRows * blocks), block};
  if (!integer) return a;
  Random random(seed + 1);
  for (int64_t b = 0; b < kMaxRows * blocks; ++b) {
    a.scale[b] = static_cast<float>(0.002 + 0.02 * random.uniform());
  }
  for (int64_t i = 0; i < kMaxRows * cols; ++i) {
    // Every 16 values have some of full size, and one 16 in nine only those.
    const int q = i / 16 % 9 == 0 ? ((random.bits() & 1) ? 127 : -127)
                                  : static_cast<int>(random.bits() % 255) - 127;
    a.q[i] = static_cast<int8_t>(q);
    a.x[i] = a.scale[i / cols * blocks + i % cols / block] * static_cast<float>(q);
  }
  return a;
}

struct Expected {
  std::vector<double> y;          // (kMaxRows, kMaxOuts)
  std::vector<double> magnitude;  // sum of |w x|
};

// From the decoded weights and the activations in float64.
Expected expected(const std::vector<float>& w, const Activations& a, int64_t cols, bool integer) {
  Expected e{std::vector<double>(kMaxRows * kMaxOuts), std::vector<double>(kMaxRows * kMaxOuts)};
  for (int64_t r = 0; r < kMaxRows; ++r) {
    for (int64_t o = 0; o < kMaxOuts; ++o) {
      double y = 0, magnitude = 0;
      for (int64_t c = 0; c < cols; ++c) {
        const int64_t i = r * cols + c;
        double x = a.x[i];
        if (integer) {
          const int64_t blocks = (cols + a.block - 1) / a.block;
          x = static_cast<double>(a.scale[r * blocks + c / a.block]) * a.q[i];
        }
        const double product = x * w[o * cols + c];
        y += product;
        magnitude += std::fabs(product);
      }
      e.y[r * kMaxOuts + o] = y;
      e.magnitude[r * kMaxOuts + o] = magnitude;
    }
  }
  return e;
}

// Exactly n bytes at a multiple of 64.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t n) : data_(static_cast<uint8_t*>(::operator new(n, kAlign))) {}
  ~AlignedBytes() { ::operator delete(data_, kAlign); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  uint8_t* data() { return data_; }

 private:
  static constexpr std::align_val_t kAlign{64};
  uint8_t* data_;
};

struct Problem {
  QuantType type;
  int64_t cols;
  bool integer;
  std::vector<unsigned char> bytes;  // kMaxOuts rows
  Activations act;
  Expected want;
  int64_t row_bytes;
  std::vector<float> row_scale;  // kMaxOuts, or none
};

void set_expected(Problem* p) {
  std::vector<float> decoded(kMaxOuts * p->cols);
  quant_traits(p->type).decode(p->bytes.data(), decoded.data(), kMaxOuts * p->cols);
  p->want = expected(decoded, p->act, p->cols, p->integer);
  for (size_t i = 0; i < p->want.y.size() && !p->row_scale.empty(); ++i) {
    p->want.y[i] *= p->row_scale[i % kMaxOuts];
    p->want.magnitude[i] *= std::fabs(p->row_scale[i % kMaxOuts]);
  }
}

Problem make_problem(QuantType type, int64_t cols, bool integer, bool row_scale = false) {
  const QuantTraits& traits = quant_traits(type);
  Problem p{type, cols, integer, {}, activations(cols, integer ? act_block(type) : 0, 11 + cols),
            {},   0,    {}};
  p.row_bytes = cols / traits.block_elems * traits.block_bytes;
  p.bytes.resize(kMaxOuts * p.row_bytes);
  const Input<float> w = normal_input(kMaxOuts * cols, 23 + cols);
  traits.encode(w.data(), p.bytes.data(), kMaxOuts * cols);
  if (row_scale) {
    const Input<float> scales = normal_input(kMaxOuts, 37);
    p.row_scale.assign(scales.data(), scales.data() + kMaxOuts);
  }
  set_expected(&p);
  return p;
}

// Runs rows [row0, row0 + rows) and outputs [out_begin, out_end) of a matrix of `outs` rows, all
// inputs cut to size; checks what must not be touched; returns the (rows, out_end - out_begin)
// result.
std::vector<float> run(const Backend& backend, const Problem& p, int64_t row0, int64_t rows,
                       int64_t outs, int64_t out_begin, int64_t out_end, int64_t pad_bytes = 0,
                       bool interleaved = false) {
  const int64_t row_bytes = p.row_bytes + pad_bytes;
  Input<unsigned char> w(static_cast<size_t>((outs - 1) * row_bytes + p.row_bytes));
  memset(w.data(), 0xff, w.size());
  for (int64_t o = 0; o < outs; ++o) {
    memcpy(w.data() + o * row_bytes, p.bytes.data() + o * p.row_bytes,
           static_cast<size_t>(p.row_bytes));
  }
  const int64_t stride = outs + 3;
  Output<float> y(static_cast<size_t>(rows * stride));
  MatmulArgs a{};
  const Input<float> row_scale(p.row_scale.data(), p.row_scale.empty() ? 0 : outs);
  a.w = {w.data(), p.type, outs, p.cols, row_bytes};
  if (!p.row_scale.empty()) a.w.row_scale = row_scale.data();
  AlignedBytes groups(interleaved ? interleaved_bytes(p.type, outs, p.cols) : 0);
  if (interleaved) {
    interleave_rows(p.type, w.data(), row_bytes, 0, outs, p.cols, groups.data());
    a.w.data = groups.data();
    a.w.layout = MatrixLayout::kInterleaved;
  }
  const Input<float> x(p.act.x.data() + row0 * p.cols, p.integer ? 0 : rows * p.cols);
  const int64_t block = p.integer ? p.act.block : kCoarseBlock;
  const int64_t blocks = p.integer ? (p.cols + block - 1) / block : 0;
  const int64_t q_cols = p.integer ? p.cols : 0;
  Panels panels = make_panels(p.act.q.data() + row0 * q_cols, p.act.scale.data() + row0 * blocks,
                              p.integer ? rows : 0, p.cols, block);
  if (p.integer) {
    a.xq = panels.rows();
  } else {
    a.x = x.data();
  }
  a.y = y.data();
  a.y_stride = stride;
  a.n_rows = rows;
  a.out_begin = out_begin;
  a.out_end = out_end;
  backend.matmul(a);
  EXPECT_TRUE(y.margins_untouched());
  std::vector<float> result;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < stride; ++o) {
      const size_t i = static_cast<size_t>(r * stride + o);
      if (o >= out_begin && o < out_end) {
        result.push_back(y[i]);
      } else {
        EXPECT_TRUE(y.untouched(i)) << "row " << r << " column " << o << " was written";
      }
    }
  }
  return result;
}

// |y - y64| <= u * (8 + sqrt(cols)) * spread * sum|w x|: the roundings of a sum of n terms add up
// like a random walk (at worst they grow with n / lanes, which these inputs do not reach), and 8
// for the reduction of the lanes. spread is 1 where the terms added are w x itself; formats with
// minimums or zero points add scale * q * x and min * x, which are larger: 4.
void check_close(const std::vector<float>& got, const Problem& p, int64_t rows, int64_t outs) {
  Worst worst;
  const bool minimums =  // a second scale of a block is that of its minimums
      scale_bytes(p.type).second >= 0 || p.type == QuantType::kI4_32 ||
      p.type == QuantType::kI4_128;
  const double spread = p.integer && minimums ? 4 : 1;
  const double factor = kU * (8 + std::sqrt(static_cast<double>(p.cols))) * spread;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < outs; ++o) {
      const size_t i = static_cast<size_t>(r * kMaxOuts + o);
      worst.check(got[r * outs + o], p.want.y[i], factor * p.want.magnitude[i] + 1e-30, r, o);
    }
  }
  EXPECT_TRUE(worst.ok());
}

// Every run's bits equal those of the run of everything at once: no dependence on the number of
// rows, on a row's place, on the slice of outputs or on the matrix around them.
void check_same(const std::vector<float>& got, const std::vector<float>& whole, int64_t row0,
                int64_t rows, int64_t out_begin, int64_t out_end) {
  const int64_t outs = out_end - out_begin;
  ASSERT_EQ(got.size(), static_cast<size_t>(rows * outs));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < outs; ++o) {
      ASSERT_EQ(bits_of(got[r * outs + o]), bits_of(whole[(row0 + r) * kMaxOuts + out_begin + o]))
          << "row " << row0 << " + " << r << " of " << rows << ", output " << out_begin << " + "
          << o;
    }
  }
}

const std::vector<int64_t> kFloatColumns = {2, 14, 16, 34, 70, 128, 274, 514};
const std::vector<int64_t> kBlockColumns = {32, 64, 96, 160, 288, 544};
const std::vector<int64_t> kGroupColumns = {128, 256, 384, 640};
const std::vector<int64_t> kSuperColumns = {256, 512, 768};

const std::vector<int64_t>& columns_of(const QuantTraits& traits) {
  switch (traits.block_elems) {
    case 1:
      return kFloatColumns;
    case 32:
      return kBlockColumns;
    case 128:
      return kGroupColumns;
    default:
      return kSuperColumns;
  }
}

class Matmul : public BackendTest {
 protected:
  void check_type(QuantType type, bool integer, bool row_scale = false) {
    const QuantTraits& traits = quant_traits(type);
    for (int64_t cols : columns_of(traits)) {
      SCOPED_TRACE(std::string(traits.name) + (integer ? " integer" : " float") + ", cols " +
                   std::to_string(cols));
      const Problem p = make_problem(type, cols, integer, row_scale);
      const std::vector<float> whole = run(backend(), p, 0, kMaxRows, kMaxOuts, 0, kMaxOuts);
      check_close(whole, p, kMaxRows, kMaxOuts);
      for (int64_t rows : {1, 2, 3, 7, 17, 33}) {
        for (int64_t outs : {1, 5, 16, 19, 64}) {
          check_same(run(backend(), p, 0, rows, outs, 0, outs), whole, 0, rows, 0, outs);
        }
      }
      for (int64_t row : {0, 1, 5, 16, 32}) {
        check_same(run(backend(), p, row, 1, kMaxOuts, 0, kMaxOuts), whole, row, 1, 0, kMaxOuts);
      }
      for (int64_t cut : {1, 2, 7, 16, 33, 63}) {
        check_same(run(backend(), p, 0, 7, kMaxOuts, 0, cut), whole, 0, 7, 0, cut);
        check_same(run(backend(), p, 2, 3, kMaxOuts, cut, kMaxOuts), whole, 2, 3, cut, kMaxOuts);
        check_same(run(backend(), p, 4, 1, kMaxOuts, cut, cut + 1), whole, 4, 1, cut, cut + 1);
      }
      check_same(run(backend(), p, 3, 7, 19, 5, 5), whole, 3, 7, 5, 5);  // an empty slice
      // Rows of the matrix that lie further apart than they are long.
      const int64_t pad = traits.block_bytes;
      check_same(run(backend(), p, 3, 7, 19, 0, 19, pad), whole, 3, 7, 0, 19);
      if (can_interleave(type)) {
        for (int64_t outs : {1, 19, 32, 64}) {
          check_same(run(backend(), p, 3, 7, outs, 0, outs, 0, true), whole, 3, 7, 0, outs);
        }
        check_same(run(backend(), p, 0, kMaxRows, 64, 0, 64, 0, true), whole, 0, kMaxRows, 0, 64);
        check_same(run(backend(), p, 4, 1, 64, 33, 50, 0, true), whole, 4, 1, 33, 50);
      }
      if (HasFatalFailure()) return;
    }
  }
};

TEST_P(Matmul, F32) { check_type(QuantType::kF32, false); }
TEST_P(Matmul, F16) { check_type(QuantType::kF16, false); }
TEST_P(Matmul, BF16) { check_type(QuantType::kBF16, false); }
TEST_P(Matmul, F8_E4M3) { check_type(QuantType::kF8_E4M3, false); }
TEST_P(Matmul, Q8_0) { check_type(QuantType::kQ8_0, false); }
TEST_P(Matmul, Q4_0) { check_type(QuantType::kQ4_0, false); }
TEST_P(Matmul, Q4_K) { check_type(QuantType::kQ4_K, false); }
TEST_P(Matmul, Q6_K) { check_type(QuantType::kQ6_K, false); }
TEST_P(Matmul, Q4_1) { check_type(QuantType::kQ4_1, false); }
TEST_P(Matmul, Q5_0) { check_type(QuantType::kQ5_0, false); }
TEST_P(Matmul, Q5_1) { check_type(QuantType::kQ5_1, false); }
TEST_P(Matmul, Q2_K) { check_type(QuantType::kQ2_K, false); }
TEST_P(Matmul, Q3_K) { check_type(QuantType::kQ3_K, false); }
TEST_P(Matmul, Q5_K) { check_type(QuantType::kQ5_K, false); }
TEST_P(Matmul, IQ4_NL) { check_type(QuantType::kIQ4_NL, false); }
TEST_P(Matmul, IQ4_XS) { check_type(QuantType::kIQ4_XS, false); }
TEST_P(Matmul, MXFP4) { check_type(QuantType::kMXFP4, false); }
TEST_P(Matmul, I4_32) { check_type(QuantType::kI4_32, false); }
TEST_P(Matmul, I4_128) { check_type(QuantType::kI4_128, false); }
TEST_P(Matmul, IntegerQ8_0) { check_type(QuantType::kQ8_0, true); }
TEST_P(Matmul, IntegerQ4_0) { check_type(QuantType::kQ4_0, true); }
TEST_P(Matmul, IntegerQ4_K) { check_type(QuantType::kQ4_K, true); }
TEST_P(Matmul, IntegerQ6_K) { check_type(QuantType::kQ6_K, true); }
TEST_P(Matmul, IntegerQ4_1) { check_type(QuantType::kQ4_1, true); }
TEST_P(Matmul, IntegerQ5_0) { check_type(QuantType::kQ5_0, true); }
TEST_P(Matmul, IntegerQ5_1) { check_type(QuantType::kQ5_1, true); }
TEST_P(Matmul, IntegerQ2_K) { check_type(QuantType::kQ2_K, true); }
TEST_P(Matmul, IntegerQ3_K) { check_type(QuantType::kQ3_K, true); }
TEST_P(Matmul, IntegerQ5_K) { check_type(QuantType::kQ5_K, true); }
TEST_P(Matmul, IntegerIQ4_NL) { check_type(QuantType::kIQ4_NL, true); }
TEST_P(Matmul, IntegerIQ4_XS) { check_type(QuantType::kIQ4_XS, true); }
TEST_P(Matmul, IntegerMXFP4) { check_type(QuantType::kMXFP4, true); }
TEST_P(Matmul, IntegerI4_32) { check_type(QuantType::kI4_32, true); }
TEST_P(Matmul, IntegerI4_128) { check_type(QuantType::kI4_128, true); }

TEST_P(Matmul, RowScales) {
  check_type(QuantType::kF8_E4M3, false, true);
  check_type(QuantType::kQ4_0, false, true);
  check_type(QuantType::kQ4_0, true, true);
  check_type(QuantType::kQ4_K, true, true);
}

// Fields of any value, which encoders do not write all: zero points of both ends, negative scales,
// a bfloat16 scale (I4) in one block and a float16 one in the next.
TEST_P(Matmul, AnyBlocks) {
  for (QuantType type : block_types()) {
    for (bool integer : {false, true}) {
      SCOPED_TRACE(std::string(quant_traits(type).name) + (integer ? " integer" : " float"));
      const bool super = quant_traits(type).block_elems > 32;
      Problem p = make_problem(type, super ? 768 : 288, integer);
      Random random(91);
      for (unsigned char& byte : p.bytes) byte = static_cast<unsigned char>(random.bits());
      for (size_t at = 0; at < p.bytes.size();
           at += static_cast<size_t>(quant_traits(type).block_bytes)) {
        const uint16_t sign = random.bits() % 8 == 0 ? 0x8000 : 0;
        const uint16_t first = static_cast<uint16_t>(0x2c00 | sign | random.bits() % 0x400);
        const uint16_t second = static_cast<uint16_t>(0x2c00 | random.bits() % 0x400);
        set_scales(type, p.bytes.data() + at, 1, first, second,
                   static_cast<unsigned char>(120 + random.bits() % 8));
        // A bfloat16 of the same size as the float16 scales of the other blocks.
        const bool grouped = type == QuantType::kI4_32 || type == QuantType::kI4_128;
        if (grouped && (p.bytes[at + 2] & 0x10) != 0) {
          const uint16_t wide = static_cast<uint16_t>(0x3d80 | sign | random.bits() % 0x80);
          memcpy(p.bytes.data() + at, &wide, 2);
        }
      }
      set_expected(&p);
      check_close(run(backend(), p, 0, 7, kMaxOuts, 0, kMaxOuts), p, 7, kMaxOuts);
    }
  }
}

// Infinite and NaN scales show in the outputs of their rows and in no others.
TEST_P(Matmul, BrokenScalesStayInTheirRows) {
  for (QuantType type : block_types()) {
    for (bool integer : {false, true}) {
      const bool super = quant_traits(type).block_elems > 32;
      Problem p = make_problem(type, super ? 768 : 96, integer);
      const std::vector<float> clean = run(backend(), p, 0, 7, kMaxOuts, 0, kMaxOuts);
      const uint16_t broken[] = {0x7c00, 0xfc00, 0x7e00, 0xffff};
      for (int64_t o = 1; o < kMaxOuts; o += 2) {
        unsigned char* block = p.bytes.data() + o * p.row_bytes;
        if (type == QuantType::kI4_32 || type == QuantType::kI4_128) {
          block[2] = static_cast<unsigned char>(block[2] & 0x0f);
        }
        set_scales(type, block, 1, broken[o / 2 % 4], broken[(o / 2 + 1) % 4], 255);
      }
      const std::vector<float> got = run(backend(), p, 0, 7, kMaxOuts, 0, kMaxOuts);
      for (size_t i = 0; i < got.size(); ++i) {
        if (i % 2 == 1) {
          ASSERT_FALSE(std::isfinite(got[i])) << quant_traits(type).name << " " << integer << i;
        } else {
          ASSERT_EQ(bits_of(got[i]), bits_of(clean[i])) << quant_traits(type).name << integer;
        }
      }
    }
  }
}

// The ends of every field: all bits set or cleared, with the activations at +-127.
TEST_P(Matmul, IntegerAtTheEndsOfTheRange) {
  for (QuantType type : block_types()) {
    const QuantTraits& traits = quant_traits(type);
    for (int fill : {0x00, 0xff, 0x80, 0x7f}) {
      SCOPED_TRACE(std::string(traits.name) + " filled with " + std::to_string(fill));
      const int64_t cols = 512;
      Problem p = make_problem(type, cols, true);
      memset(p.bytes.data(), fill, p.bytes.size());
      set_scales(type, p.bytes.data(), p.bytes.size(), 0x2c00, 0x2800, 123);  // 2^-4, 2^-5
      for (size_t i = 0; i < p.act.q.size(); ++i) p.act.q[i] = i / 16 % 3 == 0 ? -127 : 127;
      set_expected(&p);
      check_close(run(backend(), p, 0, 7, kMaxOuts, 0, kMaxOuts), p, 7, kMaxOuts);
    }
  }
}

// A broken activation reaches the outputs of its own row and no other.
TEST_P(Matmul, NanStaysInItsRow) {
  Problem p = make_problem(QuantType::kBF16, 70, false);
  const std::vector<float> clean = run(backend(), p, 0, 7, 19, 0, 19);
  p.act.x[3 * 70 + 69] = NAN;
  const std::vector<float> broken = run(backend(), p, 0, 7, 19, 0, 19);
  for (int64_t i = 0; i < 7 * 19; ++i) {
    if (i / 19 == 3) {
      EXPECT_TRUE(std::isnan(broken[i]));
    } else {
      EXPECT_EQ(bits_of(broken[i]), bits_of(clean[i]));
    }
  }
}

SCOUT_FOR_ALL_BACKENDS(Matmul);

}  // namespace
}  // namespace scout::kernels

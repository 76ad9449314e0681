// y = x * w^T: decoded weights times f32, or integer blocks. SPDX-License-Identifier: Apache-2.0
//
// A tile of rows shares each decoded piece of a weight row. Every (row, output) pair has its own
// accumulators, fed in the order of the columns, so its value does not depend on the tiling.
#include "kernels/quant/i4.h"
#include "kernels/quant/iq4.h"
#include "kernels/quant/mxfp4.h"
#include "kernels/quant/q2_k.h"
#include "kernels/quant/q3_k.h"
#include "kernels/quant/q4_0.h"
#include "kernels/quant/q4_1.h"
#include "kernels/quant/q4_k.h"
#include "kernels/quant/q5_0.h"
#include "kernels/quant/q5_1.h"
#include "kernels/quant/q5_k.h"
#include "kernels/quant/q6_k.h"
#include "kernels/quant/q8_0.h"
#include "kernels/ref/ops.h"

namespace scout::kernels::ref {
namespace {

constexpr int64_t kRowTile = 8;
constexpr int64_t kLanes = 8;  // independent sums: column c goes to lane c % kLanes

inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

// The element of output o from its sum.
inline float finish(const Matrix& w, int64_t o, double sum) {
  return static_cast<float>(w.row_scale == nullptr ? sum : sum * w.row_scale[o]);
}

// Adds the products of n columns to the lanes. n is a multiple of kLanes but in the last piece.
inline void accumulate(const float* w, const float* x, int64_t n, double* lanes) {
  const int64_t whole = n - n % kLanes;
  double sum[kLanes];
  for (int64_t j = 0; j < kLanes; ++j) sum[j] = lanes[j];
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) {
      sum[j] += static_cast<double>(w[i + j]) * static_cast<double>(x[i + j]);
    }
  }
  for (int64_t i = whole; i < n; ++i) {
    sum[i - whole] += static_cast<double>(w[i]) * static_cast<double>(x[i]);
  }
  for (int64_t j = 0; j < kLanes; ++j) lanes[j] = sum[j];
}

void matmul_float(const MatmulArgs& a) {
  const QuantTraits& traits = quant_traits(a.w.type);
  for (int64_t r0 = 0; r0 < a.n_rows; r0 += kRowTile) {
    const int64_t rows = min64(kRowTile, a.n_rows - r0);
    for (int64_t o = a.out_begin; o < a.out_end; ++o) {
      unsigned char room[kMostBytes];
      double lanes[kRowTile][kLanes] = {};
      for (int64_t c = 0; c < a.w.cols; c += kPiece) {
        const int64_t n = min64(kPiece, a.w.cols - c);
        float w[kPiece];
        traits.decode(weight_blocks(a.w, o, c, room), w, n);
        for (int64_t r = 0; r < rows; ++r) {
          accumulate(w, a.x + (r0 + r) * a.w.cols + c, n, lanes[r]);
        }
      }
      for (int64_t r = 0; r < rows; ++r) {
        double total = 0.0;
        for (int64_t j = 0; j < kLanes; ++j) total += lanes[r][j];
        a.y[(r0 + r) * a.y_stride + o] = finish(a.w, o, total);
      }
    }
  }
}

// One weight block as integers, with scale and minimum per kActSum of them:
// weight = scale * q - min.
struct Unpacked {
  int8_t q[kPiece];
  float scale[kPiece / kActSum];
  float min[kPiece / kActSum];
};

template <int64_t kElems>
void unpack_group(const BlockI4<kElems>& b, Unpacked* u) {
  unpack_i4(b, u->q);
  for (int64_t j = 0; j < kElems / kActSum; ++j) u->scale[j] = i4_scale(b.scale, b.zero);
}

void unpack(QuantType type, const void* src, Unpacked* u) {
  const int64_t elems = quant_traits(type).block_elems;
  for (int64_t j = 0; j < elems / kActSum; ++j) u->min[j] = 0.0f;
  switch (type) {
    case QuantType::kQ8_0: {
      const BlockQ8_0& b = *static_cast<const BlockQ8_0*>(src);
      memcpy(u->q, b.q, sizeof(b.q));
      u->scale[0] = u->scale[1] = f16_to_f32(b.d);
      break;
    }
    case QuantType::kQ4_0: {
      const BlockQ4_0& b = *static_cast<const BlockQ4_0*>(src);
      unpack_q4_0(b, u->q);
      u->scale[0] = u->scale[1] = f16_to_f32(b.d);
      break;
    }
    case QuantType::kQ4_K: {
      const BlockQ4_K& b = *static_cast<const BlockQ4_K*>(src);
      unpack_q4_k(b, u->q);
      for (int j = 0; j < kQ4_KSubs; ++j) {
        uint8_t scale, min;
        k_scale_min(b.s, j, &scale, &min);
        u->scale[2 * j] = u->scale[2 * j + 1] = f16_to_f32(b.d) * static_cast<float>(scale);
        u->min[2 * j] = u->min[2 * j + 1] = f16_to_f32(b.dmin) * static_cast<float>(min);
      }
      break;
    }
    case QuantType::kQ6_K: {
      const BlockQ6_K& b = *static_cast<const BlockQ6_K*>(src);
      unpack_q6_k(b, u->q);
      for (int j = 0; j < kQ6_KSubs; ++j) {
        u->scale[j] = f16_to_f32(b.d) * static_cast<float>(b.scale[j]);
      }
      break;
    }
    case QuantType::kQ4_1: {
      const BlockQ4_1& b = *static_cast<const BlockQ4_1*>(src);
      unpack_q4_1(b, u->q);
      u->scale[0] = u->scale[1] = f16_to_f32(b.d);
      u->min[0] = u->min[1] = -f16_to_f32(b.m);
      break;
    }
    case QuantType::kQ5_0: {
      const BlockQ5_0& b = *static_cast<const BlockQ5_0*>(src);
      unpack_q5_0(b, u->q);
      u->scale[0] = u->scale[1] = f16_to_f32(b.d);
      break;
    }
    case QuantType::kQ5_1: {
      const BlockQ5_1& b = *static_cast<const BlockQ5_1*>(src);
      unpack_q5_1(b, u->q);
      u->scale[0] = u->scale[1] = f16_to_f32(b.d);
      u->min[0] = u->min[1] = -f16_to_f32(b.m);
      break;
    }
    case QuantType::kQ2_K: {
      const BlockQ2_K& b = *static_cast<const BlockQ2_K*>(src);
      unpack_q2_k(b, u->q);
      for (int j = 0; j < kQ2_KSubs; ++j) {
        u->scale[j] = f16_to_f32(b.d) * static_cast<float>(b.s[j] & 15);
        u->min[j] = f16_to_f32(b.dmin) * static_cast<float>(b.s[j] >> 4);
      }
      break;
    }
    case QuantType::kQ3_K: {
      const BlockQ3_K& b = *static_cast<const BlockQ3_K*>(src);
      unpack_q3_k(b, u->q);
      for (int j = 0; j < kQ3_KSubs; ++j) {
        u->scale[j] = f16_to_f32(b.d) * static_cast<float>(q3_k_scale(b, j));
      }
      break;
    }
    case QuantType::kQ5_K: {
      const BlockQ5_K& b = *static_cast<const BlockQ5_K*>(src);
      unpack_q5_k(b, u->q);
      for (int j = 0; j < kQ5_KSubs; ++j) {
        uint8_t scale, min;
        k_scale_min(b.s, j, &scale, &min);
        u->scale[2 * j] = u->scale[2 * j + 1] = f16_to_f32(b.d) * static_cast<float>(scale);
        u->min[2 * j] = u->min[2 * j + 1] = f16_to_f32(b.dmin) * static_cast<float>(min);
      }
      break;
    }
    case QuantType::kIQ4_NL: {
      const BlockIq4Nl& b = *static_cast<const BlockIq4Nl*>(src);
      unpack_iq4(b.n, u->q);
      u->scale[0] = u->scale[1] = f16_to_f32(b.d);
      break;
    }
    case QuantType::kIQ4_XS: {
      const BlockIq4Xs& b = *static_cast<const BlockIq4Xs*>(src);
      for (int j = 0; j < kIq4XsSubs; ++j) {
        unpack_iq4(b.n + 16 * j, u->q + 32 * j);
        const float scale = f16_to_f32(b.d) * static_cast<float>(iq4_xs_scale(b, j));
        u->scale[2 * j] = u->scale[2 * j + 1] = scale;
      }
      break;
    }
    case QuantType::kMXFP4: {
      const BlockMxfp4& b = *static_cast<const BlockMxfp4*>(src);
      unpack_mxfp4(b, u->q);
      u->scale[0] = u->scale[1] = e8m0_half(b.e);
      break;
    }
    case QuantType::kI4_32:
      unpack_group(*static_cast<const BlockI4_32*>(src), u);
      break;
    case QuantType::kI4_128:
      unpack_group(*static_cast<const BlockI4_128*>(src), u);
      break;
    case QuantType::kF32:
    case QuantType::kF16:
    case QuantType::kBF16:
    case QuantType::kF8_E4M3:
    case QuantType::kCount:
      break;  // not integers: the caller uses matmul_float
  }
}

// kActSum columns of row r of a panel of t rows.
inline int32_t dot_block(const int8_t* w, const int8_t* x, int64_t t) {
  int32_t sum = 0;
  for (int64_t i = 0; i < kActSum; ++i) sum += w[i] * x[i / 4 * 4 * t + i % 4];
  return sum;
}

void matmul_integer(const MatmulArgs& a) {
  const QuantTraits& traits = quant_traits(a.w.type);
  const int64_t per_block = traits.block_elems / kActSum;
  for (int64_t r0 = 0; r0 < a.n_rows; r0 += kPanelRows) {
    const int64_t t = min64(kPanelRows, a.n_rows - r0);
    const QuantRows x = rows_from(a.xq, r0, a.w.cols);
    for (int64_t o = a.out_begin; o < a.out_end; ++o) {
      unsigned char room[kMostBytes];
      const unsigned char* src = room;
      double totals[kPanelRows] = {};
      for (int64_t b = 0; b < a.w.cols / traits.block_elems; ++b) {
        const int64_t c = b * traits.block_elems;
        if (c % kPiece == 0) src = weight_blocks(a.w, o, c, room);
        Unpacked u;
        unpack(a.w.type, src + c % kPiece / traits.block_elems * traits.block_bytes, &u);
        for (int64_t j = 0; j < per_block; ++j) {
          const int64_t at = b * per_block + j;
          for (int64_t r = 0; r < t; ++r) {
            const int8_t* q = x.q + at * kActSum * t + 4 * r;
            const double dot = dot_block(u.q + j * kActSum, q, t);
            const double min = static_cast<double>(u.min[j]) * x.sum[at * t + r];
            const double scale = x.scale[at * kActSum / x.block * t + r];
            totals[r] += scale * (static_cast<double>(u.scale[j]) * dot - min);
          }
        }
      }
      for (int64_t r = 0; r < t; ++r) {
        a.y[(r0 + r) * a.y_stride + o] = finish(a.w, o, totals[r]);
      }
    }
  }
}

}  // namespace

void matmul(const MatmulArgs& a) {
  if (a.xq.q != nullptr) {
    matmul_integer(a);
  } else {
    matmul_float(a);
  }
}

}  // namespace scout::kernels::ref

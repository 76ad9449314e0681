// What a backend can do: plain argument structs, raw pointers, shapes in comments.
// SPDX-License-Identifier: Apache-2.0
//
// A backend is a table of functions, filled in once. Ops compute the slice of their output that the
// arguments name and nothing else, allocate nothing, touch no global state, and cannot fail: the
// caller has checked shapes. So the caller spreads slices over threads as it likes.
//
// Determinism, which every backend keeps: an output element is a function of its own inputs alone.
// It does not depend on n_rows, on the row's place in the call, on the slice, or on the thread.
// Hence any blocking over rows must accumulate over the inner dimension in one fixed order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/types.h"

namespace scout::kernels {

enum class MatrixLayout : uint8_t {
  kRows,         // rows of blocks one after another
  kInterleaved,  // kernels/quant/interleave.h; the CPU backends only
};

// Weight matrix (rows = outputs, cols = inputs).
struct Matrix {
  const void* data = nullptr;  // kInterleaved: 64-byte aligned
  QuantType type = QuantType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;       // multiple of the type's block_elems
  int64_t row_bytes = 0;  // between rows; of a row's blocks where they are interleaved
  // (rows) f32 or null: a factor of each row, applied to the finished sum (and by gather).
  const float* row_scale = nullptr;
  MatrixLayout layout = MatrixLayout::kRows;
};

// Activations rounded to 8 bits: x ~ scale * q for blocks of values along a row, scale = max|x| /
// 127. Weights of GGUF with a scale per 32 values are compared with programs that round activations
// in blocks of 32, and take blocks of 16; all others take blocks of 128, which are faster.
//
// Rows lie in panels of kPanelRows, the last one narrower where n_rows is no multiple of it, so
// that the four values of a row that a dot product takes lie beside those of the panel's other
// rows. Columns are padded with zeros to a multiple of kActPad. With p = act_padded(cols), row r of
// the panel that begins at row r0 and holds t rows:
//   q      at r0 p         + (column / 4)     4 t + 4 (r - r0) + column % 4
//   scale  at r0 p / block + (column / block) t + (r - r0)
//   sum    at r0 p / 16    + (column / 16)    t + (r - r0)
inline constexpr int64_t kCoarseBlock = 128, kFineBlock = 16;
inline constexpr int64_t kActSum = 16;
inline constexpr int64_t kActPad = 256;
inline constexpr int64_t kPanelRows = 6;
inline constexpr int64_t act_padded(int64_t cols) {
  return (cols + kActPad - 1) / kActPad * kActPad;
}
// The block that a type with blocks of integers is multiplied with.
inline int64_t act_block(QuantType type) {
  const bool fine = quant_traits(type).block_elems == 32 && type != QuantType::kI4_32;
  return fine ? kFineBlock : kCoarseBlock;
}
struct QuantRows {
  int8_t* q = nullptr;     // values in [-127, 127]
  float* scale = nullptr;  // one per block
  int32_t* sum = nullptr;  // of the q of kActSum values
  int64_t block = kCoarseBlock;
};
// The rows from `row` on, a panel's first.
inline constexpr QuantRows rows_from(const QuantRows& x, int64_t row, int64_t cols) {
  const int64_t at = row * act_padded(cols);
  return {x.q + at, x.scale + at / x.block, x.sum + at / kActSum, x.block};
}

struct RmsNormArgs {
  const float* x;       // (n_rows, dim)
  const float* weight;  // (dim), or null: no weight
  float* y;             // (n_rows, dim), may be x
  int64_t dim;
  int64_t row_begin, row_end;
  float eps;  // y = x / sqrt(mean(x^2) + eps) * weight
};

// Rotates neighbouring pairs (2j, 2j+1) of each head: (a, b) -> (a cos - b sin, a sin + b cos).
struct RopeArgs {
  float* x;              // (n_rows, n_heads, head_dim), in place
  const float* cos_sin;  // (n_rows, head_dim / 2, 2): cos, sin
  int64_t n_heads, head_dim;
  int64_t row_begin, row_end;
};

// y = x * w^T, each column times its row_scale. Float weights, or exact mode: f32 activations times
// decoded weights. Otherwise (xq.q set): exact integer dot products of the blocks that share a
// scale of the weights, f32 across them.
struct MatmulArgs {
  Matrix w;
  const float* x;    // (n_rows, w.cols) f32; used when xq.q is null
  QuantRows xq;      // used when xq.q is set: of act_block(w.type), a type that is not is_float
  float* y;          // (n_rows, y_stride) f32, columns [out_begin, out_end) are written
  int64_t y_stride;  // >= w.rows
  int64_t n_rows;
  int64_t out_begin, out_end;  // slice of w.rows
};

struct QuantizeArgs {
  const float* x;  // (n_rows, cols); cols a multiple of kActSum
  QuantRows out;   // of the n_rows rows
  int64_t cols;
  int64_t n_rows;
  int64_t panel_begin, panel_end;
};

// y[r] = silu(gate[r]) * up[r], silu(v) = v / (1 + exp(-v)).
struct SwigluArgs {
  const float* gate;  // (n_rows, stride)
  const float* up;    // (n_rows, stride)
  float* y;           // (n_rows, dim)
  int64_t stride;     // of gate and up rows
  int64_t dim;
  int64_t row_begin, row_end;
};

// y[r] = a[r] * s[r] (scale) ; x[r] += b[r] (add). Row-wise helpers of the forward pass.
struct ScaleRowsArgs {
  const float* x;      // (n_rows, dim)
  const float* scale;  // (n_rows)
  float* y;            // (n_rows, dim), may be x
  int64_t dim;
  int64_t row_begin, row_end;
};
struct AddArgs {
  float* x;        // (n_rows, dim): x += b
  const float* b;  // (n_rows, dim)
  int64_t dim;
  int64_t row_begin, row_end;
};

// Decoded rows of a matrix (token embedding): y[i] = w[ids[i]], times row_scale[ids[i]].
struct GatherArgs {
  Matrix w;
  const int32_t* ids;  // (n_rows), each in [0, w.rows)
  float* y;            // (n_rows, w.cols)
  int64_t row_begin, row_end;
};

// ---- KV pages ----
// A page holds page_tokens positions of one layer in one format:
//   K (n_kv_heads, head_dim, page_tokens): keys are lanes, so 16 of them are scored at once
//   V (n_kv_heads, page_tokens, head_dim)
// K first, V right behind it. page_tokens is a multiple of 16.
// F16 saturates: what lies beyond +-65504 is stored as that, so that one large value of a layer
// without norm cannot turn a row into infinities. NaN stays NaN.
enum class KvFormat : uint8_t { kF32, kF16, kBF16 };
inline constexpr float kF16Max = 65504.0f;
inline constexpr int64_t kv_elem_bytes(KvFormat f) { return f == KvFormat::kF32 ? 4 : 2; }
inline constexpr int64_t kv_page_bytes(KvFormat f, int64_t page_tokens, int64_t n_kv_heads,
                                       int64_t head_dim) {
  return 2 * kv_elem_bytes(f) * page_tokens * n_kv_heads * head_dim;
}

struct KvStoreArgs {
  const float* k;      // (n_rows, n_kv_heads, head_dim)
  const float* v;      // (n_rows, n_kv_heads, head_dim)
  void* const* pages;  // pages of the layer, in order of slots
  int64_t first_slot;  // row r goes to slot first_slot + r: page slot / page_tokens
  int64_t page_tokens, n_kv_heads, head_dim;
  KvFormat format;
  int64_t row_begin, row_end;
};

// Softmax attention of rows over the first n_keys[r] slots of a page list.
// Each page is one segment: per query a fresh partial result (max, sum, output) over the page's
// visible keys, then merged into the running result, pages left to right. (Milakov & Gimelshein
// 2018, online normalizer; the segment borders are absolute, so the result is a function of the
// position alone.) Slots at and beyond n_keys[r] may hold anything, NaN included.
struct AttentionArgs {
  const float* q;  // (n_rows, n_heads, head_dim), already scaled by 1/sqrt(head_dim)
  float* out;      // (n_rows, n_heads, head_dim)
  const void* const* pages;
  const int64_t* n_keys;                               // (n_rows), >= 1, ascending
  int64_t n_heads, n_kv_heads, head_dim, page_tokens;  // head_dim a multiple of 2
  KvFormat format;
  int64_t row_begin, row_end;  // slice of rows and of KV heads (with all their query heads)
  int64_t kv_head_begin, kv_head_end;
  float* scratch;            // attention_scratch() floats, 64-byte aligned, private to the caller
  bool merge_right_to_left;  // false. Tests set it to show that the order of merging matters.
};
// Floats of scratch for a slice of any size.
size_t attention_scratch(int64_t n_heads, int64_t n_kv_heads, int64_t head_dim,
                         int64_t page_tokens);
// Rows per attention task that suit the scratch: callers slice rows at most this many at a time.
inline constexpr int64_t kAttentionRows = 16;

struct Backend {
  const char* name;  // "reference", "cpu"
  const char* isa;   // "scalar", "portable", "avx2", "avx512", "avx512-vnni"
  void (*rmsnorm)(const RmsNormArgs&);
  void (*rope)(const RopeArgs&);
  void (*matmul)(const MatmulArgs&);
  void (*quantize)(const QuantizeArgs&);
  void (*swiglu)(const SwigluArgs&);
  void (*scale_rows)(const ScaleRowsArgs&);
  void (*add)(const AddArgs&);
  void (*gather)(const GatherArgs&);
  void (*kv_store)(const KvStoreArgs&);
  void (*attention)(const AttentionArgs&);
};

enum class Isa : uint8_t { kAuto, kPortable, kAvx2, kAvx512 };

// The scalar truth. Never null.
const Backend& reference_backend();
// The vectorised backend, or null where this machine lacks the ISA (kAuto never gives null).
const Backend* cpu_backend(Isa isa);

}  // namespace scout::kernels

// The steps of a token through the layers, top to bottom. Formulas: Meta's llama-models reference
// (models/llama4) and Hugging Face transformers (models/llama4), which agree.
#include "lib/forward/llama4.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "lib/util/checked.h"

namespace scout {
namespace {

// The 8-bit forms of activations that the model's matrices take.
int AllForms(const ParallelOps& ops, const Model& model) {
  auto ffn = [&](const FfnWeights& f) {
    return ops.Form(f.gate) | ops.Form(f.up) | ops.Form(f.down);
  };
  int forms = ops.Form(model.head());
  for (const LayerWeights& l : model.layers()) {
    forms |= ops.Form(l.wq) | ops.Form(l.wk) | ops.Form(l.wv) | ops.Form(l.wo) |
             ops.Form(l.router) | ffn(l.dense) | ffn(l.shared);
    for (const FfnWeights& e : l.experts) forms |= ffn(e);
  }
  return forms;
}

// Adds the time since it was made or last told to a stage.
class StageClock {
 public:
  void AddTo(double* stage) {
    const auto now = std::chrono::steady_clock::now();
    *stage += std::chrono::duration<double>(now - since_).count();
    since_ = now;
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

}  // namespace

Forward::Forward(std::shared_ptr<const Model> model, const kernels::Backend* backend,
                 ThreadPool* pool, const ForwardOptions& options, int64_t page_tokens)
    : model_(std::move(model)),
      config_(model_->config()),
      options_(options),
      ops_(backend, pool, options.exact),
      page_tokens_(page_tokens),
      inv_freq_(config_.InvFreq()),
      plan_(config_.n_moe_layers() > 0 ? options.max_rows : 0, config_.n_experts,
            config_.n_experts_used) {
  const int64_t t = options.max_rows;
  const int64_t hidden = config_.hidden, d = config_.head_dim;
  const int64_t q_dim = config_.n_heads * d, kv_dim = config_.n_kv_heads * d;
  const int forms = AllForms(ops_, *model_);
  const bool moe = config_.n_moe_layers() > 0;
  const bool dense = config_.n_moe_layers() < config_.n_layers;
  const int64_t p = moe ? t * config_.n_experts_used : 0;

  for (ActiveRows* rows : {&all_, &wanted_}) {
    rows->position.resize(static_cast<size_t>(t));
    rows->n_keys.resize(static_cast<size_t>(t));
    rows->span_begin.reserve(static_cast<size_t>(t) + 1);
  }
  span_tasks_.reserve(static_cast<size_t>(t) + 1);
  head_out_ = AlignedBuffer<float>(std::min(t, kHeadRows) * config_.vocab);
  h_ = AlignedBuffer<float>(t * hidden);
  h_wanted_ = AlignedBuffer<float>(t * hidden);
  norm_ = ActivationBuffer(t, hidden, forms);
  norm_wanted_ = ActivationBuffer(t, hidden, forms);
  q_ = AlignedBuffer<float>(t * q_dim);
  k_ = AlignedBuffer<float>(t * kv_dim);
  v_ = AlignedBuffer<float>(t * kv_dim);
  attention_ = ActivationBuffer(t, q_dim, forms);
  delta_ = AlignedBuffer<float>(t * hidden);
  cos_sin_ = AlignedBuffer<float>(t * d);
  cos_sin_wanted_ = AlignedBuffer<float>(t * d);
  row_scale_ = AlignedBuffer<float>(std::max(t, p));
  attention_scratch_each_ = static_cast<int64_t>(kernels::attention_scratch(
                                config_.n_heads, config_.n_kv_heads, d, page_tokens)) /
                                16 * 16 +
                            16;
  attention_scratch_ = AlignedBuffer<float>(ops_.n_threads() * attention_scratch_each_);
  const int64_t plain_ffn = std::max(dense ? config_.dense_ffn : 0, moe ? config_.shared_ffn : 0);
  gate_ = AlignedBuffer<float>(t * plain_ffn);
  up_ = AlignedBuffer<float>(t * plain_ffn);
  if (dense) act_ = ActivationBuffer(t, config_.dense_ffn, forms);
  if (moe) {
    act_shared_ = ActivationBuffer(t, config_.shared_ffn, forms);
    router_ = AlignedBuffer<float>(t * config_.n_experts);
    expert_in_ = ActivationBuffer(p, hidden, forms);
    expert_gate_ = AlignedBuffer<float>(p * config_.expert_ffn);
    expert_up_ = AlignedBuffer<float>(p * config_.expert_ffn);
    expert_act_ = ActivationBuffer(p, config_.expert_ffn, forms);
    expert_out_ = AlignedBuffer<float>(p * hidden);
  }
  tasks_.reserve(static_cast<size_t>(2 * config_.n_experts + 4));
  ranges_.reserve(static_cast<size_t>(config_.n_experts));
}

void Forward::Run(Step* step) {
  StageClock clock;
  PrepareRows(*step);
  stream_ = h_.get();  // (all_.n, hidden)
  stream_norm_ = &norm_;
  ops_.ForRange(all_.n, config_.hidden, [&](int64_t begin, int64_t end) {
    ops_.backend().gather({model_->embedding(), step->tokens.data(), stream_, begin, end});
  });
  clock.AddTo(&stats_.embedding);

  ActiveRows* rows = &all_;
  for (int64_t layer = 0; layer < config_.n_layers; ++layer) {
    if (!AskSpans(step, &all_)) break;
    const LayerWeights& w = model_->layers()[layer];
    ops_.RmsNorm(stream_, w.attn_norm, static_cast<float>(config_.rms_eps), norm_.f32(), all_.n,
                 config_.hidden);
    KeysAndValues(*step, layer);
    if (layer + 1 == config_.n_layers) {
      // Only rows whose logits are wanted need the rest of the last layer.
      if (wanted_.n == 0) break;
      CompactWanted(*step);
      rows = &wanted_;
      stream_ = h_wanted_.get();
      stream_norm_ = &norm_wanted_;
    }
    Queries(layer, *rows);
    Attention(*step, layer, rows);
    clock.AddTo(&stats_.attention);
    if (!AskSpans(step, rows)) break;
    Ffn(w, config_.layers[layer], rows->n);
    clock.AddTo(&stats_.ffn);
  }
  clock.AddTo(&stats_.attention);
  if (all_.n > 0 && wanted_.n > 0 && AskSpans(step, &wanted_)) Logits(*step);
  clock.AddTo(&stats_.head);
  stats_.rows += all_.n;
  AddFlops(ops_.flops);
  ops_.flops = 0;
}

// Asks the spans whether they stay, and closes the gaps in the stream of `rows`, all or the wanted
// ones. Whether any row is left.
bool Forward::AskSpans(Step* step, const ActiveRows* rows) {
  if (step->between) step->between();
  if (!step->leaves) return true;
  bool any = false;
  for (size_t s = 0; s < step->spans.size(); ++s) {
    StepSpan& span = step->spans[s];
    if (span.n_rows == 0 || !step->leaves(static_cast<int64_t>(s))) continue;
    span.kv = nullptr;
    span.n_rows = span.n_wanted = 0;
    any = true;
  }
  if (!any) return true;
  int64_t to = 0;
  for (size_t s = 0; s < step->spans.size(); ++s) {
    const StepSpan& span = step->spans[s];
    const int64_t from = rows->span_begin[s], n = rows == &all_ ? span.n_rows : span.n_wanted;
    if (n > 0 && from != to) {
      std::memmove(stream_ + to * config_.hidden, stream_ + from * config_.hidden,
                   static_cast<size_t>(n * config_.hidden) * sizeof(float));
    }
    to += n;
  }
  PrepareRows(*step);
  return rows->n > 0;
}

// Ten million tokens of a large model pass 2^63: the count stays at the top then.
void Forward::AddFlops(int64_t n) {
  if (!CheckedAdd(stats_.flops, n, &stats_.flops)) stats_.flops = INT64_MAX;
}

// Positions, rotation tables and the rows whose logits are wanted.
void Forward::PrepareRows(const Step& step) {
  all_.n = wanted_.n = 0;
  all_.span_begin.assign(1, 0);
  wanted_.span_begin.assign(1, 0);
  for (const StepSpan& span : step.spans) {
    for (int64_t r = 0; r < span.n_rows; ++r) all_.position[all_.n++] = span.position + r;
    for (int64_t i = 0; i < span.n_wanted; ++i) {
      wanted_.position[wanted_.n++] = span.position + step.wanted[span.wanted_begin + i].row;
    }
    all_.span_begin.push_back(all_.n);
    wanted_.span_begin.push_back(wanted_.n);
  }
  FillCosSin(all_.position, all_.n, cos_sin_.get());
  all_.cos_sin = cos_sin_.get();
  if (!config_.layers.back().global) {
    FillCosSin(wanted_.position, wanted_.n, cos_sin_wanted_.get());
  }
  wanted_.cos_sin = cos_sin_wanted_.get();
}

// Rotation is relative inside a chunk, so the angle is taken from the position in the chunk: the
// same mathematics, and exact to float precision at position ten million.
void Forward::FillCosSin(const std::vector<int64_t>& positions, int64_t n, float* out) {
  const int64_t half = config_.head_dim / 2;
  ops_.ForRange(n, half * 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const double p = static_cast<double>(positions[r] % config_.attention_chunk);
      for (int64_t j = 0; j < half; ++j) {
        const double angle = p * inv_freq_[j];
        out[(r * half + j) * 2] = static_cast<float>(std::cos(angle));
        out[(r * half + j) * 2 + 1] = static_cast<float>(std::sin(angle));
      }
    }
  });
}

// K and V of all rows into the layer's pages.
void Forward::KeysAndValues(const Step& step, int64_t layer) {
  const LayerWeights& w = model_->layers()[layer];
  const int64_t heads = config_.n_kv_heads, d = config_.head_dim;
  const kernels::Backend& backend = ops_.backend();
  const bool global = config_.layers[layer].global;
  const float eps = static_cast<float>(config_.rms_eps);
  ops_.Quantise(norm_, ops_.Form(w.wk) | ops_.Form(w.wv) | ops_.Form(w.wq), 0, all_.n);
  const LinearTask tasks[] = {{&w.wk, &norm_, 0, all_.n, k_.get(), heads * d},
                              {&w.wv, &norm_, 0, all_.n, v_.get(), heads * d}};
  ops_.Linear(tasks, 2);

  for (size_t s = 0; s < step.spans.size(); ++s) {
    const StepSpan& span = step.spans[s];
    if (span.stored || span.n_rows == 0) continue;
    const int64_t row = all_.span_begin[s];
    kernels::KvStoreArgs store{};
    store.k = k_.get() + row * heads * d;
    store.v = v_.get() + row * heads * d;
    store.pages = span.kv->pages(layer);
    store.first_slot = span.kv->Slot(layer, span.position);
    store.page_tokens = page_tokens_;
    store.n_kv_heads = heads;
    store.head_dim = d;
    store.format = span.kv->layout().format;
    ops_.ForRange(span.n_rows, 16 * heads * d, [&](int64_t begin, int64_t end) {
      if (!global) {
        backend.rope({k_.get() + row * heads * d, all_.cos_sin + row * d, heads, d, begin, end});
        if (config_.qk_norm) {
          float* k = k_.get() + row * heads * d;
          backend.rmsnorm({k, nullptr, k, d, begin * heads, end * heads, eps});
        }
      }
      kernels::KvStoreArgs slice = store;
      slice.row_begin = begin;
      slice.row_end = end;
      backend.kv_store(slice);
    });
  }
}

// The normed and residual rows of the wanted rows, side by side.
void Forward::CompactWanted(const Step& step) {
  const int64_t hidden = config_.hidden;
  const size_t bytes = static_cast<size_t>(hidden) * sizeof(float);
  int64_t to = 0;
  for (size_t s = 0; s < step.spans.size(); ++s) {
    const StepSpan& span = step.spans[s];
    for (int64_t i = 0; i < span.n_wanted; ++i) {
      const int64_t from = all_.span_begin[s] + step.wanted[span.wanted_begin + i].row;
      std::memcpy(h_wanted_.get() + to * hidden, h_.get() + from * hidden, bytes);
      std::memcpy(norm_wanted_.f32(to), norm_.f32(from), bytes);
      ++to;
    }
  }
  ops_.Quantise(norm_wanted_, ops_.Form(model_->layers().back().wq), 0, to);
}

// Queries of the active rows: rotated and normed in chunked layers, tempered in global ones, and
// multiplied by 1 / sqrt(head_dim).
void Forward::Queries(int64_t layer, const ActiveRows& rows) {
  const LayerWeights& w = model_->layers()[layer];
  const int64_t heads = config_.n_heads, d = config_.head_dim, q_dim = heads * d;
  const bool global = config_.layers[layer].global;
  const float eps = static_cast<float>(config_.rms_eps);
  const LinearTask task{&w.wq, stream_norm_, 0, rows.n, q_.get(), q_dim};
  ops_.Linear(&task, 1);

  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  for (int64_t r = 0; r < rows.n; ++r) {
    double s = scale;
    if (global && config_.temperature_tuning) {
      const int64_t steps = (rows.position[r] + 1) / config_.temperature_floor;
      s *= 1.0 + config_.temperature_scale * std::log1p(static_cast<double>(steps));
    }
    row_scale_.get()[r] = static_cast<float>(s);
  }
  ops_.ForRange(rows.n, 8 * q_dim, [&](int64_t begin, int64_t end) {
    const kernels::Backend& backend = ops_.backend();
    float* q = q_.get();
    if (!global) {
      backend.rope({q, rows.cos_sin, heads, d, begin, end});
      if (config_.qk_norm) backend.rmsnorm({q, nullptr, q, d, begin * heads, end * heads, eps});
    }
    backend.scale_rows({q, row_scale_.get(), q, q_dim, begin, end});
  });
}

// Attention of the active rows over their sequences' pages, output projection, residual.
void Forward::Attention(const Step& step, int64_t layer, ActiveRows* rows) {
  const LayerWeights& w = model_->layers()[layer];
  const int64_t heads = config_.n_heads, kv_heads = config_.n_kv_heads, d = config_.head_dim;
  const bool global = config_.layers[layer].global;
  constexpr int64_t kTile = kernels::kAttentionRows;

  int64_t keys = 0;
  for (int64_t r = 0; r < rows->n; ++r) {
    rows->n_keys[r] =
        1 + (global ? rows->position[r] : rows->position[r] % config_.attention_chunk);
    keys += rows->n_keys[r];
  }
  AddFlops(4 * keys * heads * d);
  span_tasks_.assign(1, 0);
  for (size_t s = 0; s < step.spans.size(); ++s) {
    const int64_t n = rows->span_begin[s + 1] - rows->span_begin[s];
    span_tasks_.push_back(span_tasks_.back() + (n + kTile - 1) / kTile * kv_heads);
  }
  auto run = [&](int64_t i, int worker) {
    const size_t s = static_cast<size_t>(
        std::upper_bound(span_tasks_.begin(), span_tasks_.end(), i) - span_tasks_.begin() - 1);
    const int64_t local = i - span_tasks_[s];
    const int64_t row = rows->span_begin[s];
    kernels::AttentionArgs args{};
    args.q = q_.get() + row * heads * d;
    args.out = attention_.f32(row);
    args.pages = const_cast<const void* const*>(step.spans[s].kv->pages(layer));
    args.n_keys = rows->n_keys.data() + row;
    args.n_heads = heads;
    args.n_kv_heads = kv_heads;
    args.head_dim = d;
    args.page_tokens = page_tokens_;
    args.format = step.spans[s].kv->layout().format;
    args.row_begin = local / kv_heads * kTile;
    args.row_end = std::min(rows->span_begin[s + 1] - row, args.row_begin + kTile);
    args.kv_head_begin = local % kv_heads;
    args.kv_head_end = args.kv_head_begin + 1;
    args.scratch = attention_scratch_.get() + worker * attention_scratch_each_;
    args.merge_right_to_left = options_.merge_right_to_left;
    ops_.backend().attention(args);
  };
  if (4 * keys * heads * d < 200000 || ops_.n_threads() == 1) {
    for (int64_t i = 0; i < span_tasks_.back(); ++i) run(i, 0);
  } else {
    ops_.pool()->Run(span_tasks_.back(), std::ref(run));
  }

  ops_.Quantise(attention_, ops_.Form(w.wo), 0, rows->n);
  const LinearTask task{&w.wo, &attention_, 0, rows->n, delta_.get(), config_.hidden};
  ops_.Linear(&task, 1);
  ops_.ForRange(rows->n, config_.hidden, [&](int64_t begin, int64_t end) {
    ops_.backend().add({stream_, delta_.get(), config_.hidden, begin, end});
  });
}

// Final norm and head of the wanted rows, straight into the callers' memory where enough of it lies
// side by side; else through head_out_, so that rows of many callers share one pass over the head.
void Forward::Logits(const Step& step) {
  ops_.RmsNorm(stream_, model_->final_norm(), static_cast<float>(config_.rms_eps),
               stream_norm_->f32(), wanted_.n, config_.hidden);
  const int64_t vocab = config_.vocab;
  auto target = [&](int64_t row) {
    const auto& begin = wanted_.span_begin;
    const auto s = std::upper_bound(begin.begin(), begin.end(), row) - begin.begin() - 1;
    return step.wanted[step.spans[s].wanted_begin + row - begin[s]].logits;
  };
  for (int64_t begin = 0, end = 0; begin < wanted_.n; begin = end) {
    float* const out = target(begin);
    for (end = begin + 1; end < wanted_.n && target(end) == out + (end - begin) * vocab;) ++end;
    const bool direct = end == wanted_.n || end - begin >= kHeadRows;
    if (!direct) end = std::min(wanted_.n, begin + kHeadRows);
    ops_.Quantise(*stream_norm_, ops_.Form(model_->head()), begin, end - begin);
    const LinearTask task{
        &model_->head(), stream_norm_, begin, end - begin, direct ? out : head_out_.get(), vocab};
    ops_.Linear(&task, 1);
    for (int64_t row = begin; !direct && row < end; ++row) {
      std::memcpy(target(row), head_out_.get() + (row - begin) * vocab,
                  static_cast<size_t>(vocab) * sizeof(float));
    }
  }
}

}  // namespace scout

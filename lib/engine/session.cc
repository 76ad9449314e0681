#include "lib/engine/session.h"

#include <algorithm>
#include <cstring>

namespace scout {

Session::Session(std::shared_ptr<Engine> engine, std::unique_ptr<SequenceKv> kv)
    : engine_(std::move(engine)),
      kv_(std::move(kv)),
      logits_(static_cast<size_t>(engine_->model().config().vocab)) {}

absl::StatusOr<std::unique_ptr<Session>> Session::Create(std::shared_ptr<Engine> engine,
                                                         int64_t max_tokens) {
  const int64_t context = engine->model().config().context_length;
  if (max_tokens < 0 || max_tokens > context) {
    return absl::InvalidArgumentError(absl::StrCat("session option max_tokens is ", max_tokens,
                                                   ", the model's context is ", context));
  }
  if (max_tokens == 0) max_tokens = engine->DefaultSessionTokens();
  if (max_tokens == 0) return CapacityError("the KV budget has no room for another session");
  SCOUT_ASSIGN_OR_RETURN(auto kv,
                         SequenceKv::Create(engine->pools(), engine->layout(), max_tokens));
  return std::unique_ptr<Session>(new Session(std::move(engine), std::move(kv)));
}

absl::Status Session::CheckTokens(const int32_t* tokens, int64_t n, int64_t position) const {
  if (n > max_tokens() - position) {
    return CapacityError(absl::StrCat(n, " tokens after position ", position,
                                      " pass the session's max_tokens of ", max_tokens()));
  }
  const int64_t vocab = engine_->model().config().vocab;
  for (int64_t i = 0; i < n; ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", i, " of the call is ", tokens[i], ", the vocabulary has ", vocab));
    }
  }
  return absl::OkStatus();
}

// Rows can be had only from tokens in [first, end), which the call computes.
absl::Status Session::CheckRows(const PrefillRequest& request, int64_t first, int64_t end) const {
  for (int64_t i = 0; i < request.n_logit_rows; ++i) {
    const int64_t row = request.logit_rows[i];
    if (i > 0 && row <= request.logit_rows[i - 1]) {
      return absl::InvalidArgumentError(absl::StrCat("logit_rows are not ascending: ", row,
                                                     " follows ", request.logit_rows[i - 1]));
    }
    if (row < first || row >= end) {
      return absl::InvalidArgumentError(absl::StrCat(
          "logits of position ", row, " are wanted, but this call computes [", first, ", ", end,
          "): logits are had with the prefill that computes their position"));
    }
  }
  return absl::OkStatus();
}

absl::Status Session::Prefill(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                              SyncResult* result) {
  SCOUT_RETURN_IF_ERROR(CheckTokens(tokens, n, position()));
  const int64_t kept = kv_->length();
  SCOUT_RETURN_IF_ERROR(CheckRows(request, kept, position() + n));
  SCOUT_RETURN_IF_ERROR(Extend(tokens, n, request));
  answer_start_ = position();
  *result = {kept, 0, position() - kept};
  return absl::OkStatus();
}

absl::Status Session::Sync(const int32_t* tokens, int64_t n, const PrefillRequest& request,
                           SyncResult* result) {
  SCOUT_RETURN_IF_ERROR(CheckTokens(tokens, n, 0));
  const int64_t most = std::min(n, position());
  const int64_t common =
      std::mismatch(tokens_.begin(), tokens_.begin() + most, tokens).first - tokens_.begin();
  const int64_t kept = kv_->LengthAfterTruncate(common);
  SCOUT_RETURN_IF_ERROR(CheckRows(request, kept, n));
  const int64_t dropped = position() - common;
  SCOUT_RETURN_IF_ERROR(Rewind(common));
  SCOUT_RETURN_IF_ERROR(Extend(tokens + common, n - common, request));
  answer_start_ = position();
  *result = {kept, dropped, position() - kept};
  return absl::OkStatus();
}

absl::Status Session::Rewind(int64_t to) {
  if (to < 0 || to > position()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot rewind to ", to, ": the session holds ", position(), " tokens"));
  }
  SCOUT_RETURN_IF_ERROR(kv_->Truncate(to));
  tokens_.resize(static_cast<size_t>(to));
  answer_start_ = std::min(answer_start_, to);
  if (logits_tokens_ > to) logits_tokens_ = -1;
  return absl::OkStatus();
}

// Appends and computes. On failure the finished steps stay, and of the rest what was held before.
absl::Status Session::Extend(const int32_t* tokens, int64_t n, const PrefillRequest& request) {
  const int64_t before = position();
  tokens_.insert(tokens_.end(), tokens, tokens + n);
  auto keep_finished = [&] {
    tokens_.resize(static_cast<size_t>(std::max(before, kv_->length())));
  };
  absl::Status status;
  try {
    status = Compute(request);
  } catch (...) {
    keep_finished();
    throw;
  }
  if (!status.ok()) keep_finished();
  return status;
}

// Steps until every token has its KV: at most max_step_tokens each, and never across a chunk
// border, since chunked layers hold one chunk. The last step leaves the last token's logits in
// logits_.
absl::Status Session::Compute(const PrefillRequest& request) {
  const int64_t n = position(), chunk = kv_->layout().chunk;
  const int64_t vocab = engine_->model().config().vocab;
  const int64_t first = kv_->length();
  int64_t next_row = 0;  // of request.logit_rows
  while (kv_->length() < n) {
    const int64_t begin = kv_->length();
    const int64_t end =
        std::min({n, begin + engine_->max_step_tokens(), kv_->layout().ChunkStart(begin) + chunk});
    step_.tokens.assign(tokens_.begin() + begin, tokens_.begin() + end);
    step_.spans.resize(1);
    StepSpan& span = step_.spans[0];
    span.kv = kv_.get();
    span.position = begin;
    span.n_rows = end - begin;
    span.stored = false;
    span.wanted.clear();
    for (; next_row < request.n_logit_rows && request.logit_rows[next_row] < end; ++next_row) {
      span.wanted.push_back(
          {request.logit_rows[next_row] - begin, request.logits + next_row * vocab});
    }
    const bool last_wanted = !span.wanted.empty() && span.wanted.back().row == end - begin - 1;
    if (end == n && !last_wanted) span.wanted.push_back({end - begin - 1, logits_.data()});
    kv_->PrepareAppend(end - begin);
    if (end == n) logits_tokens_ = -1;  // logits_ is being written
    SCOUT_RETURN_IF_ERROR(engine_->RunStep(step_));
    kv_->FinishAppend(end - begin);
    if (end == n) {
      if (last_wanted) {
        std::memcpy(logits_.data(), span.wanted.back().logits,
                    static_cast<size_t>(vocab) * sizeof(float));
      }
      logits_tokens_ = n;
    }
    if (request.progress && !request.progress(end - first, n - first)) {
      return absl::CancelledError(absl::StrCat("cancelled at position ", end, " of ", n));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Session>> Session::Fork(int64_t max_tokens) const {
  if (max_tokens == 0) max_tokens = this->max_tokens();
  const int64_t context = engine_->model().config().context_length;
  if (max_tokens < position() || max_tokens > context) {
    return absl::InvalidArgumentError(absl::StrCat("max_tokens of the fork is ", max_tokens,
                                                   ", the session holds ", position(),
                                                   " and the model's context is ", context));
  }
  SCOUT_ASSIGN_OR_RETURN(auto kv, kv_->Fork(std::max<int64_t>(max_tokens, 1)));
  std::unique_ptr<Session> fork(new Session(engine_, std::move(kv)));
  fork->tokens_ = tokens_;
  fork->answer_start_ = answer_start_;
  fork->logits_ = logits_;
  fork->logits_tokens_ = logits_tokens_;
  return fork;
}

absl::StatusOr<const float*> Session::Logits() {
  if (tokens_.empty()) {
    return absl::FailedPreconditionError("the session holds no tokens, so there are no logits");
  }
  if (logits_tokens_ == position()) return logits_.data();
  if (kv_->Holds(position() - 1)) {
    SCOUT_RETURN_IF_ERROR(ComputeLastLogits());
  } else {
    // Behind a chunk border the chunked layers are empty: the chunk before it is computed again.
    if (kv_->length() == position()) SCOUT_RETURN_IF_ERROR(kv_->Truncate(position() - 1));
    SCOUT_RETURN_IF_ERROR(Compute({}));
  }
  return logits_.data();
}

// The last token's row once more, over the KV that is there, for its logits alone.
absl::Status Session::ComputeLastLogits() {
  step_.tokens.assign(1, tokens_.back());
  step_.spans.resize(1);
  StepSpan& span = step_.spans[0];
  span.kv = kv_.get();
  span.position = position() - 1;
  span.n_rows = 1;
  span.stored = true;
  span.wanted.assign(1, {0, logits_.data()});
  logits_tokens_ = -1;
  SCOUT_RETURN_IF_ERROR(engine_->RunStep(step_));
  logits_tokens_ = position();
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Session::Decode(const SamplingOptions& sampling) {
  const int64_t vocab = engine_->model().config().vocab;
  SCOUT_RETURN_IF_ERROR(CheckSampling(sampling, vocab));
  if (position() >= max_tokens()) {
    return CapacityError(absl::StrCat("the session holds its max_tokens of ", max_tokens()));
  }
  SCOUT_ASSIGN_OR_RETURN(const float* logits, Logits());
  const int64_t start = sampling.answer_start >= 0 ? sampling.answer_start : answer_start_;
  SCOUT_ASSIGN_OR_RETURN(const int32_t token, sampler_.Sample(logits, vocab, sampling,
                                                              {tokens_.data(), position(), start}));
  tokens_.push_back(token);
  return token;
}

}  // namespace scout

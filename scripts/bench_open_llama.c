/* Opens a model with llama.cpp and takes the best token behind one; prints what it cost as JSON.
 * usage: bench_open_llama MODEL THREADS mmap|read. Built by scripts/bench_open.
 * SPDX-License-Identifier: Apache-2.0 */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_open.h"

static long events;

static bool count(float progress, void *user) {
  (void)progress;
  (void)user;
  ++events;
  return true;
}

static void silent(enum ggml_log_level level, const char *text, void *user) {
  (void)user;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int main(int argc, char **argv) {
  struct measurement m = {0};
  if (argc != 4) return 2;
  llama_log_set(silent, NULL);
  m.start = seconds();
  llama_backend_init();
  struct llama_model_params params = llama_model_default_params();
  params.progress_callback = count;
  params.load_mode = strcmp(argv[3], "mmap") == 0 ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
  struct llama_model *model = llama_model_load_from_file(argv[1], params);
  if (model == NULL) return 1;
  m.opened = seconds();
  note_memory(&m.open_peak, &m.open_anonymous);
  struct llama_context_params context_params = llama_context_default_params();
  context_params.n_ctx = 512;
  context_params.n_threads = context_params.n_threads_batch = atoi(argv[2]);
  struct llama_context *context = llama_init_from_model(model, context_params);
  if (context == NULL) return 1;
  llama_token prompt = 1;
  if (llama_decode(context, llama_batch_get_one(&prompt, 1)) != 0) return 1;
  const float *logits = llama_get_logits_ith(context, -1);
  int n = llama_vocab_n_tokens(llama_model_get_vocab(model)), best = 0;
  for (int i = 1; i < n; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  m.first_token = seconds();
  print_measurement(&m, events, best);
  return 0;
}

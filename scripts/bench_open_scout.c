/* Opens a model with libscout and draws one token; prints what it cost as JSON.
 * usage: bench_open_scout MODEL THREADS. Built by scripts/bench_open. SPDX-License-Identifier: Apache-2.0 */
#include <scout.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_open.h"

static long events;

static int32_t count(void *user, int64_t done, int64_t total) {
  (void)user;
  (void)done;
  (void)total;
  ++events;
  return 0;
}

static void need(scout_status status, scout_error *error) {
  if (status == SCOUT_OK) return;
  fprintf(stderr, "%s: %s %s\n", scout_status_name(status), scout_error_message(error),
          scout_error_file(error));
  exit(1);
}

int main(int argc, char **argv) {
  scout_model *model;
  scout_engine *engine;
  scout_session *session;
  scout_error *error = NULL;
  scout_model_options options;
  scout_engine_options engine_options;
  struct measurement m = {0};
  int32_t prompt = 1, token = -1;
  if (argc != 3) return 2;
  m.start = seconds();
  scout_model_options_init(&options);
  options.progress = count;
  need(scout_model_load(argv[1], &options, &model, &error), error);
  m.opened = seconds();
  note_memory(&m.open_peak, &m.open_anonymous);
  scout_engine_options_init(&engine_options);
  engine_options.n_threads = atoi(argv[2]);
  need(scout_engine_create(model, &engine_options, &engine, &error), error);
  need(scout_session_create(engine, NULL, &session, &error), error);
  need(scout_session_prefill(session, &prompt, 1, NULL, NULL, &error), error);
  need(scout_session_decode(session, NULL, &token, &error), error);
  m.first_token = seconds();
  print_measurement(&m, events, token);
  return 0;
}

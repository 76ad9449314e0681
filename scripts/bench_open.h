/* What the two programs of scripts/bench_open share: clock, memory, output.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCOUT_BENCH_OPEN_H
#define SCOUT_BENCH_OPEN_H

#include <stdio.h>
#include <string.h>
#include <time.h>

struct measurement {
  double start, opened, first_token;  /* seconds of a clock */
  long open_peak, open_anonymous;     /* KiB at the end of opening */
};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* VmHWM, the most resident memory so far, and RssAnon, what is resident now without mapped files. */
static void note_memory(long *peak, long *anonymous) {
  char line[256];
  FILE *file = fopen("/proc/self/status", "r");
  *peak = *anonymous = -1;
  while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
    sscanf(line, "VmHWM: %ld", peak);
    sscanf(line, "RssAnon: %ld", anonymous);
  }
  if (file != NULL) fclose(file);
}

static void print_measurement(const struct measurement *m, long events, int token) {
  long peak, anonymous;
  note_memory(&peak, &anonymous);
  printf("{\"open_seconds\": %.6f, \"first_token_seconds\": %.6f, \"events\": %ld, "
         "\"open_peak_kib\": %ld, \"open_anonymous_kib\": %ld, \"peak_kib\": %ld, "
         "\"anonymous_kib\": %ld, \"token\": %d}\n",
         m->opened - m->start, m->first_token - m->start, events, m->open_peak,
         m->open_anonymous, peak, anonymous, token);
}

#endif

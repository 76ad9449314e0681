/* Two clients of one engine, answered at the same time by one thread.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   cc -std=c99 serve.c $(pkg-config --cflags --libs scout) \
 *      -Wl,-rpath,$(pkg-config --variable=libdir scout) -o serve
 *   ./serve models/tiny "What is the capital of France?" "Count from 3 to 7."
 *
 * Each client has a session, and each question is a job on it: submitted, then read as events. The
 * first answer ends at a stop string. The second client hangs up after some tokens, so its job is
 * cancelled; then it asks the first question in the same session. A line of output is
 * "CLIENT> piece of text" or "CLIENT: what happened".
 */
#include <scout.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 2, HANG_UP_AFTER = 3, MAX_TOKENS = 512 };

typedef struct client {
  int number;
  scout_session* session;
  scout_job* job;      /* NULL: nothing is being answered */
  int64_t n_tokens;    /* of the answer so far */
  int64_t most_tokens; /* the client hangs up after these; -1: never */
} client;

static int failed(const char* what, scout_error* error) {
  fprintf(stderr, "%s: %s: %s\n", what, scout_status_name(scout_error_code(error)),
          scout_error_message(error));
  scout_error_free(error);
  return 1;
}

/* Begins an answer and returns at once. stop may be NULL. */
static int ask(client* c, const char* question, const char* stop) {
  scout_error* error = NULL;
  scout_chat_message message;
  scout_chat_options chat;
  scout_job_options options;
  scout_chat_message_init(&message);
  message.role = "user";
  message.content = question;
  scout_chat_options_init(&chat);
  chat.messages = &message; /* of a longer dialog: all of it; what the session holds is kept */
  chat.n_messages = 1;
  scout_job_options_init(&options);
  options.stop_strings = &stop;
  options.n_stop_strings = stop != NULL;
  options.event_capacity = 4; /* how far a job may be ahead of a reader who may go away */
  c->n_tokens = 0;
  if (scout_job_submit_chat(c->session, &chat, &options, &c->job, &error) != SCOUT_OK)
    return failed("submit", error);
  return 0;
}

static const char* reason_name(int32_t reason) {
  static const char* const names[] = {"?",       "end of the answer", "stop token", "stop string",
                                      "as many tokens as asked for", "session is full", "cancelled",
                                      "deadline"};
  return reason >= 0 && reason < 8 ? names[reason] : "?";
}

/* Shows one event; the final one frees the job, after which the session takes another. */
static int show(client* c, const scout_event* event) {
  scout_error* error = NULL;
  int result = 0;
  int hung_up = c->n_tokens == c->most_tokens;
  /* DONE has text too: what was held back until no stop string could follow. */
  if (event->text_bytes > 0 && !hung_up)
    printf("%d> %.*s\n", c->number, (int)event->text_bytes, event->text);
  switch (event->kind) {
    case SCOUT_EVENT_TOKEN:
      if (!hung_up && ++c->n_tokens == c->most_tokens &&
          scout_job_cancel(c->job, &error) != SCOUT_OK)
        return failed("cancel", error); /* returns at once; the final event still comes */
      return 0;
    case SCOUT_EVENT_DONE:
      printf("%d: %s, %lld prompt tokens computed\n", c->number, reason_name(event->reason),
             (long long)event->computed);
      break;
    case SCOUT_EVENT_ERROR: /* the error is the event's: not to be freed */
      fprintf(stderr, "%d: %s\n", c->number, scout_error_message(event->error));
      result = 1;
      break;
    default: /* none within the time, or progress of a long prompt */
      return 0;
  }
  scout_job_free(c->job);
  c->job = NULL;
  return result;
}

/* Until every answer has ended. A server with many clients would look for new ones here too. */
static int serve(client* clients) {
  for (;;) {
    int n_running = 0;
    for (int i = 0; i < CLIENTS; ++i) {
      client* c = &clients[i];
      scout_error* error = NULL;
      scout_event event;
      if (c->job == NULL) continue;
      memset(&event, 0, sizeof(event));
      event.struct_size = sizeof(event);
      /* Waits a little for the first, takes from the others what is there. Nobody loses anything
       * meanwhile: unread events are kept, and a job with too many of them pauses. */
      if (scout_job_poll(c->job, n_running++ == 0 ? 5 : 0, &event, &error) != SCOUT_OK)
        return failed("poll", error);
      if (show(c, &event) != 0) return 1;
    }
    if (n_running == 0) return 0;
  }
}

int main(int argc, char** argv) {
  scout_model* model = NULL;
  scout_engine* engine = NULL;
  scout_error* error = NULL;
  scout_engine_options engine_options;
  scout_session_options session_options;
  client clients[CLIENTS];
  int result = 1;
  memset(clients, 0, sizeof(clients));
  if (argc != 4) {
    fprintf(stderr, "usage: serve MODEL QUESTION QUESTION\n");
    return 2;
  }
  /* A session reserves its max_tokens, so that it never runs out while it answers. Say both: the
   * budget of all sessions, and what each may hold (docs/engine.md). */
  scout_engine_options_init(&engine_options);
  engine_options.kv_tokens = CLIENTS * MAX_TOKENS;
  engine_options.max_sessions = CLIENTS;
  scout_session_options_init(&session_options);
  session_options.max_tokens = MAX_TOKENS;
  if (scout_model_load(argv[1], NULL, &model, &error) != SCOUT_OK ||
      scout_engine_create(model, &engine_options, &engine, &error) != SCOUT_OK) {
    result = failed("load", error);
    goto done;
  }
  for (int i = 0; i < CLIENTS; ++i) {
    clients[i].number = i + 1;
    clients[i].most_tokens = -1;
    if (scout_session_create(engine, &session_options, &clients[i].session, &error) != SCOUT_OK) {
      result = failed("session", error);
      goto done;
    }
  }
  clients[1].most_tokens = HANG_UP_AFTER;
  if (ask(&clients[0], argv[2], ".") != 0 || ask(&clients[1], argv[3], NULL) != 0 ||
      serve(clients) != 0)
    goto done;
  clients[1].most_tokens = -1;
  if (ask(&clients[1], argv[2], NULL) != 0 || serve(clients) != 0) goto done;
  result = 0;

done: /* in any order; each accepts NULL */
  for (int i = 0; i < CLIENTS; ++i) {
    scout_job_free(clients[i].job);
    scout_session_free(clients[i].session);
  }
  scout_engine_free(engine);
  scout_model_free(model);
  return result;
}

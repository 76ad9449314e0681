/* Asks a Llama 4 model one question and streams the answer. SPDX-License-Identifier: Apache-2.0
 *
 *   cc -std=c99 ask.c $(pkg-config --cflags --libs scout) \
 *      -Wl,-rpath,$(pkg-config --variable=libdir scout) -o ask
 *   ./ask models/tiny "What is the capital of France?"
 */
#include <scout.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says what went wrong and where, and frees the error. Some messages name the file themselves. */
static int failed(const char* what, scout_error* error) {
  const char* message = scout_error_message(error);
  const char* file = scout_error_file(error);
  if (strstr(message, file) != NULL) file = ""; /* "" is in every message */
  fprintf(stderr, "%s: %s: %s%s%s\n", what, scout_status_name(scout_error_code(error)), message,
          *file != '\0' ? ": " : "", file);
  scout_error_free(error);
  return 1;
}

/* Prompt in, answer out; the handles belong to main. */
static int answer(scout_session* session, const scout_tokenizer* tokenizer,
                  scout_detokenizer* detokenizer, const int32_t* prompt, int64_t n_prompt) {
  scout_error* error = NULL;
  const char* text;
  int64_t n_bytes;
  if (scout_session_sync(session, prompt, n_prompt, NULL, NULL, &error) != SCOUT_OK)
    return failed("prompt", error);
  while (scout_session_position(session) < scout_session_max_tokens(session)) {
    int32_t token;
    if (scout_session_decode(session, NULL, &token, &error) != SCOUT_OK) /* NULL: greedy */
      return failed("decode", error);
    if (scout_tokenizer_is_end(tokenizer, token)) break;
    if (scout_detokenizer_push(detokenizer, token, &text, &n_bytes, &error) != SCOUT_OK)
      return failed("text", error);
    fwrite(text, 1, (size_t)n_bytes, stdout);
    fflush(stdout);
  }
  if (scout_detokenizer_flush(detokenizer, &text, &n_bytes, &error) != SCOUT_OK)
    return failed("text", error);
  fwrite(text, 1, (size_t)n_bytes, stdout);
  putchar('\n');
  return 0;
}

int main(int argc, char** argv) {
  scout_model* model = NULL;
  scout_engine* engine = NULL;
  scout_session* session = NULL;
  scout_tokenizer* tokenizer = NULL;
  scout_detokenizer* detokenizer = NULL;
  scout_error* error = NULL;
  scout_session_options options;
  scout_chat_message question;
  scout_chat_options chat;
  int32_t* prompt = NULL;
  int64_t n_prompt = 0;
  int result = 1;
  if (argc != 3) {
    fprintf(stderr, "usage: ask MODEL QUESTION\n");
    return 2;
  }
  scout_session_options_init(&options);
  options.max_tokens = 512;
  scout_chat_message_init(&question);
  question.role = "user";
  question.content = argv[2];
  scout_chat_options_init(&chat);
  chat.messages = &question;
  chat.n_messages = 1;

  if (scout_model_load(argv[1], NULL, &model, &error) != SCOUT_OK ||
      scout_model_tokenizer(model, &tokenizer, &error) != SCOUT_OK ||
      scout_engine_create(model, NULL, &engine, &error) != SCOUT_OK ||
      scout_session_create(engine, &options, &session, &error) != SCOUT_OK ||
      scout_detokenizer_create(tokenizer, SCOUT_DECODE_SKIP_SPECIAL, &detokenizer, &error) !=
          SCOUT_OK) {
    result = failed("load", error);
    goto done;
  }
  /* The first call only counts the tokens. */
  if (scout_tokenizer_chat(tokenizer, &chat, NULL, 0, &n_prompt, &error) !=
      SCOUT_BUFFER_TOO_SMALL) {
    result = failed("question", error);
    goto done;
  }
  scout_error_free(error);
  prompt = malloc((size_t)n_prompt * sizeof(*prompt));
  if (prompt == NULL) goto done;
  if (scout_tokenizer_chat(tokenizer, &chat, prompt, n_prompt, &n_prompt, &error) != SCOUT_OK) {
    result = failed("question", error);
    goto done;
  }
  result = answer(session, tokenizer, detokenizer, prompt, n_prompt);

done: /* in any order; each accepts NULL */
  free(prompt);
  scout_model_free(model);
  scout_engine_free(engine);
  scout_session_free(session);
  scout_tokenizer_free(tokenizer);
  scout_detokenizer_free(detokenizer);
  return result;
}

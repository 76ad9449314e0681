/* tools TOKENIZER python|json ANSWER: the prompt that defines a tool, and the calls in an answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scout.h"

static const char tools[] =
    "[{\"name\": \"get_weather\", \"description\": \"Weather of a city\", \"parameters\": {\"type\": "
    "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": [\"city\"]}}]";

static int failed(const char* what, scout_error* error) {
  fprintf(stderr, "%s: %s\n", what, scout_error_message(error));
  scout_error_free(error);
  return 1;
}

/* The prompt as text, special tokens by name. */
static int print_prompt(const scout_tokenizer* tokenizer, const scout_chat_options* chat) {
  enum { ROOM = 16384 };
  static int32_t ids[ROOM];
  static char text[8 * ROOM];
  scout_error* error = NULL;
  int64_t n = 0, bytes = 0;
  if (scout_tokenizer_chat(tokenizer, chat, ids, ROOM, &n, &error) != SCOUT_OK ||
      scout_tokenizer_decode(tokenizer, ids, n, 0, text, sizeof(text), &bytes, &error) !=
          SCOUT_OK) {
    return failed("prompt", error);
  }
  printf("%.*s\n", (int)bytes, text);
  return 0;
}

/* A host would push each piece of text as the detokenizer gives it. */
static int print_events(scout_tool_parser* parser, const char* answer) {
  static const char* const names[] = {"none",      "text", "marker", "begin",
                                      "arguments", "call", "source", "rejected"};
  scout_error* error = NULL;
  scout_tool_event event;
  memset(&event, 0, sizeof(event));
  event.struct_size = sizeof(event);
  if (scout_tool_parser_push(parser, answer, (int64_t)strlen(answer), &error) != SCOUT_OK ||
      scout_tool_parser_finish(parser, &error) != SCOUT_OK) {
    return failed("answer", error);
  }
  for (;;) {
    if (scout_tool_parser_next(parser, &event, &error) != SCOUT_OK) return failed("event", error);
    if (event.kind == SCOUT_TOOL_NONE) return 0;
    printf("%-9s %2d %s|%.*s|%s\n", names[event.kind], (int)event.index, event.name,
           (int)event.text_bytes, event.text, event.reason);
  }
}

int main(int argc, char** argv) {
  scout_tokenizer* tokenizer = NULL;
  scout_tool_parser* parser = NULL;
  scout_error* error = NULL;
  scout_chat_message question;
  scout_chat_options chat;
  scout_tool_parser_options parsing;
  int result;
  if (argc != 4) {
    fprintf(stderr, "usage: tools TOKENIZER python|json ANSWER\n");
    return 2;
  }
  scout_chat_message_init(&question);
  question.role = "user";
  question.content = "What is the weather in Oslo?";
  scout_chat_options_init(&chat);
  chat.messages = &question;
  chat.n_messages = 1;
  chat.tools = tools;
  chat.tool_style =
      strcmp(argv[2], "json") == 0 ? SCOUT_TOOL_STYLE_JSON : SCOUT_TOOL_STYLE_PYTHON;
  chat.tools_place = SCOUT_TOOLS_IN_USER;
  scout_tool_parser_options_init(&parsing);
  parsing.tools = tools;
  if (scout_tokenizer_load(argv[1], &tokenizer, &error) != SCOUT_OK ||
      scout_tool_parser_create(&parsing, &parser, &error) != SCOUT_OK) {
    result = failed(argv[1], error);
  } else {
    result = print_prompt(tokenizer, &chat);
    if (result == 0) result = print_events(parser, argv[3]);
  }
  scout_tool_parser_free(parser);
  scout_tokenizer_free(tokenizer);
  return result;
}

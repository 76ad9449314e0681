/* libscout: Llama 4 inference inside the caller's process. SPDX-License-Identifier: Apache-2.0
 *
 * THE CONTRACT
 *  - Handles are opaque and counted: a child keeps what it needs of its parent alive, so handles may
 *    be freed in any order and from any thread; every *_free accepts NULL.
 *  - A fallible function returns a scout_status and takes `scout_error **error` last. Pass NULL to
 *    ignore the details; otherwise on failure *error is set to an object that the caller frees with
 *    scout_error_free, and on success to NULL. After a failure a handle that was to be made is NULL
 *    and other results are unwritten, unless said.
 *  - An options struct is passed by pointer; NULL means the defaults. Initialise one with its
 *    *_init function, which sets struct_size: a newer library accepts the smaller struct of an older
 *    header; an older library refuses a larger one whose unknown tail is not zero.
 *  - Counts, positions and sizes are int64_t; tokens are int32_t; text is UTF-8 as (pointer, bytes).
 *    Integers in structs have fixed widths. No struct is passed or returned by value.
 *  - No function ends the process, throws, installs handlers, writes to stdout or stderr, reads the
 *    environment or changes the locale. A failed allocation or thread creation is an error code.
 *  - Threads: model, engine and tokenizer are safe from any thread. A session is used by one thread
 *    at a time: a second concurrent call returns SCOUT_BUSY and changes nothing. Different sessions
 *    of one engine may be used from different threads. A detokenizer or tool parser belongs to one
 *    thread at a time, as does the reading of a job; a job is cancelled from any thread. Handles are
 *    freed in any order, from any thread and callback, but never while another thread is in a call
 *    on the same handle or may begin one.
 *  - While a job of a session is not over, calls on that session other than position, max_tokens and
 *    free return SCOUT_BUSY. A job is over once its final event can be read.
 *  - Progress callbacks run on the thread that made the call, log callbacks on any. A call on the
 *    session whose callback is running returns SCOUT_REENTRANT, as does a call from a log callback
 *    that would wait for the thread that the callback is on. Callbacks must not throw or longjmp.
 *  - After fork(2), the child's calls on handles made before it return SCOUT_FORKED, and freeing
 *    them does nothing.
 *  - Every fallible function may also return INVALID_ARGUMENT, OUT_OF_MEMORY, FORKED and INTERNAL;
 *    those on a session BUSY and REENTRANT. Other codes are named at each function.
 *  - A model file is untrusted input: whatever its bytes, loading ends in success or an error.
 *
 * THE WAY THROUGH IT
 *    scout_model_load -> scout_engine_create -> scout_session_create -> scout_session_sync (the whole
 *    wanted prefix) -> scout_session_decode until scout_tokenizer_is_end. Or scout_job_submit and
 *    scout_job_poll: jobs of many sessions share an engine's steps, and the synchronous calls are such
 *    jobs, waited for.
 *
 * Every declaration is available since 0.9.0 unless it says otherwise.
 */
#ifndef SCOUT_H
#define SCOUT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define SCOUT_API
#elif defined(SCOUT_BUILDING)
#define SCOUT_API __attribute__((visibility("default")))
#else
#define SCOUT_API
#endif

#define SCOUT_VERSION_MAJOR 0
#define SCOUT_VERSION_MINOR 9
#define SCOUT_VERSION_PATCH 0

/* Version of the loaded library: major * 1000000 + minor * 1000 + patch. Cannot fail. */
SCOUT_API uint32_t scout_version(void);
/* The same as text, "0.9.0". Static storage. */
SCOUT_API const char *scout_version_string(void);

/* ---- Status and errors ------------------------------------------------------------------------ */

typedef int32_t scout_status;
enum {
  SCOUT_OK = 0,
  SCOUT_INVALID_ARGUMENT = 1, /* an argument or option is wrong: NULL, out of range, contradictory */
  SCOUT_NOT_FOUND = 2,        /* a file, tensor or token does not exist */
  SCOUT_CORRUPT = 3,          /* bytes of a file contradict their format, or weights give no numbers */
  SCOUT_UNSUPPORTED = 4,      /* well-formed, but a type or feature this library does not run */
  SCOUT_OUT_OF_MEMORY = 5,    /* an allocation failed */
  SCOUT_IO = 6,               /* the operating system failed to open or read */
  SCOUT_CAPACITY = 7,         /* beyond max_tokens of the session, or the engine's KV budget */
  SCOUT_CANCELLED = 8,        /* a callback asked to stop */
  SCOUT_BUSY = 9,             /* the session is in use by another call */
  SCOUT_INVALID_STATE = 10,   /* the call does not fit the object's state */
  SCOUT_REENTRANT = 11,       /* called from inside a callback where it could deadlock */
  SCOUT_FORKED = 12,          /* the handle was made before fork(2) */
  SCOUT_NO_THREAD = 13,       /* a thread could not be created */
  SCOUT_BUFFER_TOO_SMALL = 14,/* call again with more room; where there is a count it was written */
  SCOUT_INTERNAL = 15,        /* a defect of this library: please report it */
  SCOUT_QUEUE_FULL = 16       /* the engine has its max_jobs queued or running: try again later */
};

typedef struct scout_error scout_error;

/* Name of a status ("SCOUT_CORRUPT"); "SCOUT_UNKNOWN" for other numbers. Static storage. */
SCOUT_API const char *scout_status_name(scout_status status);
/* Accessors of an error object. The strings live as long as the error; never NULL, "" where not
 * known. NULL as argument gives SCOUT_OK, "" and -1. */
SCOUT_API scout_status scout_error_code(const scout_error *error);
SCOUT_API const char *scout_error_message(const scout_error *error); /* what was wrong with what */
SCOUT_API const char *scout_error_file(const scout_error *error);    /* path of the file at fault */
SCOUT_API const char *scout_error_tensor(const scout_error *error);  /* name of the tensor or key */
SCOUT_API int64_t scout_error_offset(const scout_error *error);      /* byte offset in file, or -1 */
SCOUT_API void scout_error_free(scout_error *error);

/* ---- Logging and progress --------------------------------------------------------------------- */

enum { SCOUT_LOG_ERROR = 0, SCOUT_LOG_WARNING = 1, SCOUT_LOG_INFO = 2, SCOUT_LOG_DEBUG = 3 };

/* One log line, without newline, valid during the call. May come from any thread, several at once. */
typedef void (*scout_log_fn)(void *user, int32_t level, const char *message);

/* Says that the library will not use `user` again. May come from any thread. */
typedef void (*scout_release_fn)(void *user);

/* Progress of long work in the unit that the function documents. Runs on the calling thread.
 * Return 0 to go on, anything else to cancel: the call then returns SCOUT_CANCELLED. */
typedef int32_t (*scout_progress_fn)(void *user, int64_t done, int64_t total);

/* ---- Model: immutable weights and tokenizer, shared by engines and threads --------------------- */

typedef struct scout_model scout_model;

enum {
  SCOUT_MODEL_METADATA_ONLY = 1, /* read and check configuration and tensor table, no weights */
  SCOUT_MODEL_DIGEST = 2,        /* with METADATA_ONLY: the digest of the weights all the same, from
                                    cache_dir or by reading the files once without keeping them */
  SCOUT_MODEL_FRESH_DIGEST = 4,  /* where a digest is computed, do not take it from cache_dir */
  SCOUT_MODEL_FILE_LAYOUT = 8    /* keep quantised weights in the files' order instead of one made for
                                    the vector units: loads a little faster, computes slower, the same
                                    bits */
};
enum { SCOUT_KEEP = -1 }; /* in an override: take the value of the file */

/* Overrides (chunk size, temperature, rope) replace what the file says, or what its format cannot
 * say (a GGUF file has no field for chunk size, temperature floor and scale: 8192, 8192, 0.1).
 * They become part of the model's identity.
 *
 * That identity also covers the bytes of the weights, by a digest (XXH3-128) which loading computes
 * while it reads them. With a cache_dir the digest is kept there in a small file, under the path,
 * size, time of change and inode of the model's files, and taken from it the next time. The folder
 * is made where it is missing. A damaged file in it counts as none; one that cannot be written is
 * a warning in the log. */
typedef struct scout_model_options {
  uint32_t struct_size;
  uint32_t flags;              /* SCOUT_MODEL_* */
  scout_progress_fn progress;  /* bytes of weights read; NULL for none */
  void *progress_user;
  scout_log_fn log;            /* during this call alone; NULL for none */
  void *log_user;
  int32_t log_level;           /* lines up to this level; default SCOUT_LOG_WARNING */
  int32_t temperature_tuning;  /* SCOUT_KEEP, 0 off, 1 on: attention temperature of global layers */
  int64_t attention_chunk;     /* SCOUT_KEEP, or tokens per chunk, > 0 */
  double temperature_scale;    /* < 0 keep: attn_scale */
  int64_t temperature_floor;   /* SCOUT_KEEP, or floor_scale, > 0 */
  double rope_theta;           /* <= 0 keep */
  int32_t rope_scaling;        /* SCOUT_KEEP, 0 none, 1 llama3 with the four values below */
  int32_t reserved;            /* 0 */
  double rope_factor;          /* <= 0 keep */
  double rope_low_freq_factor; /* <= 0 keep */
  double rope_high_freq_factor;/* <= 0 keep */
  int64_t rope_original_context; /* <= 0 keep */
  const char *cache_dir;       /* folder for digests, owned by the caller; NULL for none */
  int64_t n_threads;           /* that read the weights; 0: as many as the machine and the size suit */
} scout_model_options;

SCOUT_API void scout_model_options_init(scout_model_options *options);

/* Loads a Hugging Face folder (config.json, *.safetensors; tokenizer.json or else tokenizer.model) or
 * a .gguf file; of a model split into NAME-00001-of-0000N.gguf and so on, any part.
 * Progress in bytes. The result is one counted reference; free it with scout_model_free.
 * Errors: NOT_FOUND, IO, CORRUPT, UNSUPPORTED, OUT_OF_MEMORY, NO_THREAD, CANCELLED,
 * INVALID_ARGUMENT; nothing remains allocated after one. A model without a tokenizer loads. */
SCOUT_API scout_status scout_model_load(const char *path, const scout_model_options *options,
                                        scout_model **model, scout_error **error);
SCOUT_API void scout_model_free(scout_model *model);

typedef struct scout_model_info {
  uint32_t struct_size;
  int32_t n_layers;
  int32_t n_global_layers;   /* layers without rope that see the whole context */
  int32_t n_moe_layers;
  int32_t n_experts;         /* routed experts per MoE layer, 0 in a dense model */
  int32_t n_experts_used;    /* per token */
  int32_t n_heads;
  int32_t n_kv_heads;
  int32_t head_dim;
  int32_t has_tokenizer;     /* 0 or 1 */
  int64_t hidden_size;
  int64_t vocab_size;
  int64_t context_length;    /* tokens, as the file states */
  int64_t attention_chunk;   /* tokens, after overrides */
  int64_t n_parameters;
  int64_t weight_bytes;      /* held in memory; 0 with SCOUT_MODEL_METADATA_ONLY */
} scout_model_info;

/* Fills what fits in info->struct_size, which the caller sets. Errors: INVALID_ARGUMENT. */
SCOUT_API scout_status scout_model_get_info(const scout_model *model, scout_model_info *info,
                                            scout_error **error);
/* Everything known about the model as one JSON object: configuration after overrides, tensor types,
 * the digest of the weights, and the identity: a digest of that configuration, the tokenizer and the
 * weights. Both are null where the digest is not known, which METADATA_ONLY without SCOUT_MODEL_DIGEST
 * allows. Split and whole files have the same ones; another file format or tensor type has others.
 * Writes min(capacity, *size) bytes, no terminator; *size is the whole length.
 * Errors: BUFFER_TOO_SMALL (then *size is written), INVALID_ARGUMENT, OUT_OF_MEMORY. */
SCOUT_API scout_status scout_model_describe(const scout_model *model, char *json, int64_t capacity,
                                            int64_t *size, scout_error **error);

/* ---- Tokenizer: immutable, safe from any thread ------------------------------------------------ */

typedef struct scout_tokenizer scout_tokenizer;

/* Loads the vocabulary alone, from what scout_model_load takes, from a tokenizer.json, or from a
 * tiktoken tokenizer.model (ranks alone: Llama 4's special tokens follow them; docs/tokenizer.md).
 * Errors: NOT_FOUND, IO, CORRUPT, UNSUPPORTED (a splitting rule or normalizer of another kind). */
SCOUT_API scout_status scout_tokenizer_load(const char *path, scout_tokenizer **tokenizer,
                                            scout_error **error);
/* A counted reference to the model's tokenizer. Errors: NOT_FOUND where the model has none. */
SCOUT_API scout_status scout_model_tokenizer(const scout_model *model, scout_tokenizer **tokenizer,
                                             scout_error **error);
SCOUT_API void scout_tokenizer_free(scout_tokenizer *tokenizer);

enum {
  SCOUT_ENCODE_BOS = 1,     /* begin with the begin-of-text token */
  SCOUT_ENCODE_SPECIAL = 2  /* text of special tokens becomes those tokens (never for user text) */
};

/* Text to tokens. Any bytes are accepted; n_bytes + 1 is always room enough. *n_ids is the whole
 * count also with BUFFER_TOO_SMALL, when ids holds the first `capacity` of them (ids may be NULL
 * with capacity 0). Errors: INVALID_ARGUMENT, BUFFER_TOO_SMALL, OUT_OF_MEMORY. */
SCOUT_API scout_status scout_tokenizer_encode(const scout_tokenizer *tokenizer, const char *text,
                                              int64_t n_bytes, uint32_t flags, int32_t *ids,
                                              int64_t capacity, int64_t *n_ids, scout_error **error);
enum {
  SCOUT_DECODE_SKIP_SPECIAL = 1 /* special tokens give no text; otherwise their name */
};
/* Tokens to bytes, exactly those that were encoded. *n_bytes as *n_ids above; no terminator.
 * Errors: INVALID_ARGUMENT (an id outside the vocabulary or in a hole of it: none is written). */
SCOUT_API scout_status scout_tokenizer_decode(const scout_tokenizer *tokenizer, const int32_t *ids,
                                              int64_t n_ids, uint32_t flags, char *text,
                                              int64_t capacity, int64_t *n_bytes,
                                              scout_error **error);
SCOUT_API int64_t scout_tokenizer_vocab_size(const scout_tokenizer *tokenizer); /* 0 for NULL */
/* 1 where the token ends an answer (end of text, turn or message), else 0. */
SCOUT_API int32_t scout_tokenizer_is_end(const scout_tokenizer *tokenizer, int32_t token);
/* Id of a token by its exact name, such as "<|eot|>", or -1. */
SCOUT_API int32_t scout_tokenizer_find(const scout_tokenizer *tokenizer, const char *name);

/* A call that an assistant's message makes. */
typedef struct scout_tool_call {
  uint32_t struct_size; /* the same in every element of an array: it is the array's stride */
  uint32_t reserved;    /* 0 */
  const char *name;     /* of the function, NUL-terminated */
  const char *arguments;/* a JSON object */
  int64_t arguments_bytes; /* as content_bytes below */
} scout_tool_call;

SCOUT_API void scout_tool_call_init(scout_tool_call *call);

enum {
  SCOUT_END_AUTO = 0,      /* the style's own: <|eom|> after a tool's result and after an assistant's
                              calls, else <|eot|>; always <|eot|> in SCOUT_TOOL_STYLE_JSON */
  SCOUT_END_OF_TURN = 1,   /* <|eot|> */
  SCOUT_END_OF_MESSAGE = 2 /* <|eom|> */
};

typedef struct scout_chat_message {
  uint32_t struct_size; /* the same in every element of an array: it is the array's stride */
  int32_t end;          /* SCOUT_END_*: the token behind the message */
  const char *role;     /* "system", "user", "assistant", "tool" (or "ipython"); NUL-terminated */
  const char *content;  /* UTF-8; text of special tokens in it stays text */
  int64_t content_bytes;/* > 0; SCOUT_KEEP (default): content is NUL-terminated. 0 is an error, since
                           it is what a forgotten length is: an empty text is "" with SCOUT_KEEP */
  const scout_tool_call *tool_calls; /* of an assistant, after its content; or NULL */
  int64_t n_tool_calls;
} scout_chat_message;

/* For each element of an array; role and content are then the caller's to set. */
SCOUT_API void scout_chat_message_init(scout_chat_message *message);

/* Llama 4's published formats differ in how tools are defined and called; docs/chat.md has them. */
enum {
  SCOUT_TOOL_STYLE_PYTHON = 0,   /* the prompt format page: [name(argument=value), ...] */
  SCOUT_TOOL_STYLE_JSON = 1,     /* the checkpoint's template: {"name": ..., "parameters": ...}; it
                                    takes white space off the ends of the system message */
  SCOUT_TOOL_STYLE_REFERENCE = 2 /* the reference encoder's JSON; it has no words for definitions */
};
enum {
  SCOUT_TOOLS_AUTO = 0,      /* PYTHON: system message; JSON: the user's first message */
  SCOUT_TOOLS_IN_SYSTEM = 1, /* PYTHON makes one where the dialog has none */
  SCOUT_TOOLS_IN_USER = 2
};

typedef struct scout_chat_options {
  uint32_t struct_size;
  int32_t add_generation_prompt; /* 1 (default): end with the header of the assistant's answer */
  const scout_chat_message *messages;
  int64_t n_messages;
  const char *tools;    /* definitions, a JSON list of objects with "name" (or with "function" that is
                           such an object), written as given; NULL for none */
  int64_t tools_bytes;  /* SCOUT_KEEP (default): tools is NUL-terminated */
  int32_t tool_style;   /* SCOUT_TOOL_STYLE_* */
  int32_t tools_place;  /* SCOUT_TOOLS_* */
} scout_chat_options;

SCOUT_API void scout_chat_options_init(scout_chat_options *options);

/* A dialog to tokens in the Llama 4 format, begin-of-text first. A template that a checkpoint brings
 * is never run. Nothing of the caller's text becomes a special token. Ids and errors as
 * scout_tokenizer_encode; INVALID_ARGUMENT also for tools or arguments that are not the JSON they
 * should be, and for what a style cannot express; UNSUPPORTED where the vocabulary lacks a token of
 * the format. */
SCOUT_API scout_status scout_tokenizer_chat(const scout_tokenizer *tokenizer,
                                            const scout_chat_options *options, int32_t *ids,
                                            int64_t capacity, int64_t *n_ids, scout_error **error);

/* ---- Tool calls in an answer -------------------------------------------------------------------- */

/* Finds calls in the text of an answer while it comes, in both forms: [name(argument=value), ...] and
 * {"name": ..., "parameters": {...}} or a list of such, with or without <|python_start|> and
 * <|python_end|>, anywhere in the text but between double quotes or backticks: what is quoted is
 * text. Needs no tokenizer. A parser is used by one thread at a time. Time is linear in the text;
 * memory is bounded by max_call_bytes and the events not yet taken. */
typedef struct scout_tool_parser scout_tool_parser;

enum {
  SCOUT_TOOL_CALLS_AT_START = 1 /* calls only before any other text but white space; what stands
                                   from <|python_start|> to <|python_end|> does not count after it */
};

typedef struct scout_tool_parser_options {
  uint32_t struct_size;
  uint32_t flags;         /* SCOUT_TOOL_CALLS_AT_START */
  const char *tools;      /* definitions as in scout_chat_options: only these names are calls; NULL:
                             every name is */
  int64_t tools_bytes;    /* SCOUT_KEEP (default): tools is NUL-terminated */
  int64_t max_call_bytes; /* of one group of calls, 1 to 2^28; default 2^20 */
  int32_t max_depth;      /* of lists and objects in an argument, 1 to 1000; default 32 */
  int32_t reserved;       /* 0 */
} scout_tool_parser_options;

SCOUT_API void scout_tool_parser_options_init(scout_tool_parser_options *options);

enum {
  SCOUT_TOOL_NONE = 0,      /* no event is left */
  SCOUT_TOOL_TEXT = 1,      /* text that is not part of a call */
  SCOUT_TOOL_MARKER = 2,    /* text is <|python_start|> or <|python_end|> */
  SCOUT_TOOL_BEGIN = 3,     /* call `index` to `name` has begun */
  SCOUT_TOOL_ARGUMENTS = 4, /* text is the next piece of the arguments of call `index` */
  SCOUT_TOOL_CALL = 5,      /* call `index` is complete; text is all its arguments. Act on this one */
  SCOUT_TOOL_SOURCE = 6,    /* text is what the model wrote for the calls just completed */
  SCOUT_TOOL_REJECTED = 7   /* text looked like calls and is none, `reason` says why. Calls that began
                               since the last SOURCE or REJECTED are void */
};

/* Arguments are one JSON object: ", " and ": " as separators, UTF-8, integers of any length, floats
 * with the fewest digits that read back equal. A group of calls (one list, or one object) is taken
 * whole or not at all, and never mended: after a group that breaks off, all of the message is text,
 * because what follows may lie inside a string of the broken call. The text of the events TEXT,
 * MARKER, SOURCE and REJECTED in order is what was pushed. Events do not depend on where the text is
 * cut, only the pieces of TEXT and ARGUMENTS do. */
typedef struct scout_tool_event {
  uint32_t struct_size; /* set by the caller */
  int32_t kind;         /* SCOUT_TOOL_NONE ... */
  int64_t index;        /* of the call in the message, from 0, or -1 */
  const char *name;     /* of the function: BEGIN, CALL; else "" */
  const char *text;     /* text_bytes of UTF-8 where the model's text is */
  int64_t text_bytes;
  const char *reason;   /* REJECTED; else "" */
} scout_tool_event;

/* Errors: INVALID_ARGUMENT where tools is no list of definitions. */
SCOUT_API scout_status scout_tool_parser_create(const scout_tool_parser_options *options,
                                                scout_tool_parser **parser, scout_error **error);
/* The next bytes of the answer; any bytes, cut anywhere. Errors: INVALID_STATE after an
 * OUT_OF_MEMORY of this parser. */
SCOUT_API scout_status scout_tool_parser_push(scout_tool_parser *parser, const char *text,
                                              int64_t n_bytes, scout_error **error);
/* The end of the answer: what was held back comes out. The next push begins another answer. */
SCOUT_API scout_status scout_tool_parser_finish(scout_tool_parser *parser, scout_error **error);
/* Takes the oldest event. Its strings are valid until the next call on this parser. */
SCOUT_API scout_status scout_tool_parser_next(scout_tool_parser *parser, scout_tool_event *event,
                                              scout_error **error);
SCOUT_API void scout_tool_parser_free(scout_tool_parser *parser);

/* ---- Streaming detokenizer ---------------------------------------------------------------------- */

/* Streaming detokenizer: holds bytes back until they complete a UTF-8 character. Keeps the tokenizer
 * alive. flags: SCOUT_DECODE_*. */
typedef struct scout_detokenizer scout_detokenizer;
SCOUT_API scout_status scout_detokenizer_create(const scout_tokenizer *tokenizer, uint32_t flags,
                                                scout_detokenizer **detokenizer,
                                                scout_error **error);
/* *text points to *n_bytes of whole characters (perhaps none), valid until the next call. Bytes
 * that can never complete a character come out as U+FFFD. Errors: INVALID_ARGUMENT for an unknown
 * id; the state is then as before. */
SCOUT_API scout_status scout_detokenizer_push(scout_detokenizer *detokenizer, int32_t token,
                                              const char **text, int64_t *n_bytes,
                                              scout_error **error);
/* What is still held back, as U+FFFD; empties the state. */
SCOUT_API scout_status scout_detokenizer_flush(scout_detokenizer *detokenizer, const char **text,
                                               int64_t *n_bytes, scout_error **error);
SCOUT_API void scout_detokenizer_free(scout_detokenizer *detokenizer);

/* ---- Engine: a model placed on this machine ----------------------------------------------------- */

typedef struct scout_engine scout_engine;

enum {
  SCOUT_MODE_FAST = 0, /* integer kernels where the weights are quantised, 16-bit KV */
  SCOUT_MODE_EXACT = 1 /* fp32 activations, dequantised weights, fp32 KV */
};
enum { SCOUT_BACKEND_AUTO = 0, SCOUT_BACKEND_REFERENCE = 1, SCOUT_BACKEND_CPU = 2 };
enum { SCOUT_ISA_AUTO = 0, SCOUT_ISA_PORTABLE = 1, SCOUT_ISA_AVX2 = 2, SCOUT_ISA_AVX512 = 3 };
enum { SCOUT_KV_AUTO = 0, SCOUT_KV_F32 = 1, SCOUT_KV_F16 = 2, SCOUT_KV_BF16 = 3 };

typedef struct scout_engine_options {
  uint32_t struct_size;
  int32_t mode;            /* SCOUT_MODE_*; default FAST */
  int32_t backend;         /* SCOUT_BACKEND_*; AUTO is CPU */
  int32_t isa;             /* SCOUT_ISA_*; AUTO is the best this machine has */
  int32_t kv_format;       /* SCOUT_KV_*; AUTO is F32 in exact mode, F16 in fast mode */
  int32_t n_threads;       /* 0: one per physical core this process may use */
  int64_t kv_tokens;       /* KV budget: tokens in global layers over all sessions, shared ones
                              once; 0: 131,072 or the context length, whichever is less. Sessions
                              take address space at creation, and memory as they fill. For a server
                              set it, max_sessions and each session's max_tokens (docs/engine.md) */
  int32_t page_tokens;     /* tokens per KV page, power of two in [16, 4096]; 0: 256 */
  int32_t max_step_tokens; /* most tokens computed in one step; 0: 512 */
  scout_log_fn log;        /* NULL for none */
  void *log_user;
  int32_t log_level;       /* default SCOUT_LOG_WARNING */
  int32_t max_sessions;    /* the budget also holds one attention chunk for each; 0: 16 */
  int32_t max_jobs;        /* jobs that are not over, beside synchronous calls; 0: 1,024 */
  int32_t max_mixed_tokens;/* most prompt tokens in a step in which a job decodes, which bounds the
                              time between its tokens; 0: 128 */
  scout_release_fn log_release; /* called once with log_user after the last line, which may come a
                              moment after the last handle was freed: sessions and jobs log too.
                              Not called where the creation fails. NULL for none */
} scout_engine_options;

SCOUT_API void scout_engine_options_init(scout_engine_options *options);

/* Errors: INVALID_ARGUMENT, UNSUPPORTED (an ISA this machine lacks), INVALID_STATE (model loaded
 * without weights), OUT_OF_MEMORY, NO_THREAD. Keeps the model alive. */
SCOUT_API scout_status scout_engine_create(scout_model *model, const scout_engine_options *options,
                                           scout_engine **engine, scout_error **error);
/* Sessions and jobs keep what they need: those that are there go on. */
SCOUT_API void scout_engine_free(scout_engine *engine);
/* Cancels every job, also those whose handles other threads hold, and refuses new ones with
 * INVALID_STATE. Does not wait: each job still ends with its final event. Synchronous calls go on.
 * Errors: INVALID_ARGUMENT. */
SCOUT_API scout_status scout_engine_close(scout_engine *engine, scout_error **error);

typedef struct scout_engine_stats {
  uint32_t struct_size;
  int32_t n_threads;
  int64_t kv_pages_total;    /* of the budget */
  int64_t kv_pages_used;     /* holding tokens now */
  int64_t kv_pages_reserved; /* promised to sessions and not yet used */
  int64_t kv_page_bytes;
  int64_t tokens_computed;   /* rows through the forward pass since creation */
  int64_t flops;             /* multiply and add counted as two; matrices and attention */
  int64_t expert_rows;       /* (row, routed expert) pairs computed */
  int64_t expert_groups;     /* (step, layer, expert) groups with at least one row */
  char backend[24];          /* "cpu" or "reference", NUL-terminated */
  char isa[24];              /* "avx512-vnni", "avx2", "portable", ... */
  int64_t jobs_queued;       /* now: no row computed yet */
  int64_t jobs_running;      /* now */
  int64_t jobs_paused;       /* now: their reader has to make room */
  int64_t jobs_submitted;    /* since creation, as all below; jobs without synchronous calls */
  int64_t jobs_refused;      /* QUEUE_FULL */
  int64_t jobs_failed;       /* ended with SCOUT_EVENT_ERROR */
  int64_t jobs_done[8];      /* ended, by SCOUT_DONE_* */
  int64_t tokens_prefilled;  /* prompt tokens computed, synchronous calls included */
  int64_t tokens_decoded;    /* tokens drawn, synchronous calls included */
  int64_t steps;             /* passes through the model */
  int64_t steps_by_rows[12]; /* [i]: steps of more than 2^(i-1) and up to 2^i rows; the last: more */
  double seconds_embedding;  /* in the stages of steps */
  double seconds_attention;  /* norms, projections, KV and attention itself */
  double seconds_ffn;        /* dense and experts */
  double seconds_head;       /* logits */
  double seconds_sampling;   /* drawing, text, log-probabilities */
  double seconds_longest_look; /* the longest time so far between two looks for jobs that were
                                cancelled or are past their deadline: what bounds their end */
} scout_engine_stats;

/* A snapshot; fills what fits in stats->struct_size. Errors: INVALID_ARGUMENT. */
SCOUT_API scout_status scout_engine_get_stats(const scout_engine *engine, scout_engine_stats *stats,
                                              scout_error **error);

/* ---- Session: one sequence of tokens and its KV cache ------------------------------------------- */

typedef struct scout_session scout_session;

typedef struct scout_session_options {
  uint32_t struct_size;
  uint32_t reserved;   /* 0 */
  int64_t max_tokens;  /* KV is reserved for this many, so an opened session never runs out;
                          0: half of the free budget, at most the context length, which suits a
                          session or two: of more, each gets half of what the last one left */
} scout_session_options;

SCOUT_API void scout_session_options_init(scout_session_options *options);

/* Errors: CAPACITY (the budget cannot hold max_tokens; the message has the numbers),
 * INVALID_ARGUMENT, OUT_OF_MEMORY. Keeps the engine alive. */
SCOUT_API scout_status scout_session_create(scout_engine *engine,
                                            const scout_session_options *options,
                                            scout_session **session, scout_error **error);
SCOUT_API void scout_session_free(scout_session *session);

typedef struct scout_prefill_options {
  uint32_t struct_size;
  uint32_t reserved;           /* 0 */
  scout_progress_fn progress;  /* tokens of this call, at least once per step; NULL for none */
  void *progress_user;
  const int64_t *logit_rows;   /* positions whose logits are wanted, strictly ascending, among the
                                  tokens that this call computes; NULL for none */
  int64_t n_logit_rows;
  float *logits;               /* (n_logit_rows, vocab_size) f32, written by the call */
  int64_t logits_capacity;     /* floats in `logits` */
} scout_prefill_options;

SCOUT_API void scout_prefill_options_init(scout_prefill_options *options);

/* What a session did to come to hold the wanted tokens. kept + computed is the new position. */
typedef struct scout_sync_result {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t kept;     /* leading tokens whose KV was reused */
  int64_t dropped;  /* tokens the session held before and holds no longer */
  int64_t computed; /* tokens that went through the model */
} scout_sync_result;

/* Appends tokens and computes their KV. options and result may be NULL.
 * CANCELLED, OUT_OF_MEMORY: the session keeps the steps that were finished (see position).
 * Other errors, the session as before: CAPACITY (more than max_tokens), INVALID_ARGUMENT (an id
 * outside the vocabulary, a row not among the computed tokens), BUSY. A sync also CAPACITY as
 * scout_session_rewind. */
SCOUT_API scout_status scout_session_prefill(scout_session *session, const int32_t *tokens,
                                             int64_t n_tokens, const scout_prefill_options *options,
                                             scout_sync_result *result, scout_error **error);
/* Makes the session hold exactly `tokens`: keeps the common prefix, drops the rest, computes what
 * is missing. A cut before the current attention chunk re-computes from the start of the cut's
 * chunk. Rows can be asked for only among the computed tokens. Errors as scout_session_prefill. */
SCOUT_API scout_status scout_session_sync(scout_session *session, const int32_t *tokens,
                                          int64_t n_tokens, const scout_prefill_options *options,
                                          scout_sync_result *result, scout_error **error);
/* Forgets all tokens from `position` on. Nothing is computed now. Errors: INVALID_ARGUMENT
 * (position beyond the session's); CAPACITY (a fork, or a session that was forked, is cut inside
 * pages that both share, and the budget has no pages to replace them: the session is as before). */
SCOUT_API scout_status scout_session_rewind(scout_session *session, int64_t position,
                                            scout_error **error);
/* A second session with the same tokens; KV is shared until either writes. The copy reserves what
 * it does not share, so that many forks of one long text fit: each can go on to its max_tokens. What
 * they share was reserved once. To cut it away, by rewind, sync or a job's tokens, a side needs pages
 * of its own again, and gets CAPACITY where others have them. max_tokens 0: as the original's.
 * Errors: CAPACITY, OUT_OF_MEMORY, BUSY. */
SCOUT_API scout_status scout_session_fork(scout_session *session, int64_t max_tokens,
                                          scout_session **fork, scout_error **error);
/* Tokens held, from any thread; while a call or a job runs, those that would stay if it were cancelled
 * now. 0 for NULL. */
SCOUT_API int64_t scout_session_position(const scout_session *session);
/* Tokens reserved, from any thread. 0 for NULL. */
SCOUT_API int64_t scout_session_max_tokens(const scout_session *session);
/* The tokens held. *n_tokens is the whole count, also with BUFFER_TOO_SMALL. */
SCOUT_API scout_status scout_session_tokens(scout_session *session, int32_t *tokens,
                                            int64_t capacity, int64_t *n_tokens,
                                            scout_error **error);
/* Logits of the last token, (vocab_size) f32; computes what is not yet computed.
 * Errors: INVALID_STATE (an empty session), BUFFER_TOO_SMALL (no count is written), CAPACITY (only in
 * a fork rewound to a chunk border inside pages that it shares, with no page left in the budget). */
SCOUT_API scout_status scout_session_logits(scout_session *session, float *logits,
                                            int64_t capacity, scout_error **error);

/* ---- Sampling and decode ------------------------------------------------------------------------ */

typedef struct scout_logit_bias {
  int32_t token;
  float bias;         /* added to the token's logit; -inf bans it */
} scout_logit_bias;

/* How a token is drawn. Applied in this order: repetition penalty, frequency and presence penalty,
 * logit bias, temperature, top_k, top_p, min_p, draw. The random number is a function of (seed,
 * position), so a fork or a repeated decode gives the same token. docs/sampling.md has formulas. */
typedef struct scout_sampling_options {
  uint32_t struct_size;
  int32_t top_k;      /* keep the k most probable; 0 all */
  float temperature;  /* >= 0; 0: greedy, the most probable token, the lowest id of equals */
  float top_p;        /* in (0, 1]: keep the smallest set with this probability; 1 all */
  float min_p;        /* in [0, 1]: drop what is less probable than min_p times the best; 0 none */
  uint32_t reserved;  /* 0 */
  uint64_t seed;
  float repetition_penalty; /* > 0: of each token among the last penalty_window tokens, prompt and
                               answer, a positive logit is divided by it, a negative one multiplied;
                               default 1, none */
  float frequency_penalty;  /* finite: subtracted for each time that the token is in the answer */
  float presence_penalty;   /* finite: subtracted once where the token is in the answer */
  int32_t reserved2;        /* 0 */
  int64_t penalty_window;   /* tokens; 0: all that the session holds */
  int64_t answer_start;     /* position of the answer's first token; default SCOUT_KEEP: where the
                               last prefill or sync ended */
  const scout_logit_bias *logit_bias; /* (n_logit_bias), read during the call; NULL for none; equal
                                         tokens add up */
  int64_t n_logit_bias;
} scout_sampling_options;

SCOUT_API void scout_sampling_options_init(scout_sampling_options *options); /* greedy */

/* Draws the token after the last one, appends it and writes it to *token. Its KV is computed by the
 * next call that needs it. sampling NULL: greedy. Errors: INVALID_ARGUMENT (an option, named with
 * its value; or logit_bias bans every token), INVALID_STATE (an empty session), CAPACITY (position is
 * at max_tokens, or as scout_session_logits), CORRUPT (no logit is finite, or one is +inf: the weights
 * are at fault); the session then holds the same tokens as before. */
SCOUT_API scout_status scout_session_decode(scout_session *session,
                                            const scout_sampling_options *sampling, int32_t *token,
                                            scout_error **error);

/* Natural logarithms of probabilities under softmax of the logits as they are, before any sampling
 * option. logits: (n_logits) f32. *logprob becomes that of `token`. top_ids and top_logprobs:
 * (n_top) the most probable, best first, of equals the lower id; id -1 and -inf where fewer are
 * finite. Thread-safe. Errors: CORRUPT (no logit is finite, or one is +inf). */
SCOUT_API scout_status scout_logprobs(const float *logits, int64_t n_logits, int32_t token,
                                      float *logprob, int64_t n_top, int32_t *top_ids,
                                      float *top_logprobs, scout_error **error);

/* ---- Jobs: asynchronous prefill and generation --------------------------------------------------- */

/* A job is one piece of work on a session: tokens to hold, tokens to draw. The engine works on the
 * jobs of all its sessions together. What happens is read as events, one after another; a job whose
 * unread events reach event_capacity waits for its reader, and the others go on without it. */
typedef struct scout_job scout_job;

enum {
  SCOUT_JOB_APPEND = 1,       /* the tokens follow those held; else they are all the session shall
                                 hold, of which the common prefix is kept (scout_session_sync). With
                                 no tokens the job goes on with the answer, its text and its stop
                                 strings: half a character of the job before is completed, and a stop
                                 string that began in it is found, though what was out is out */
  SCOUT_JOB_IGNORE_END = 2,   /* tokens that end an answer do not end the job */
  SCOUT_JOB_SPECIAL_TEXT = 4  /* special tokens give their name as text; otherwise none */
};

typedef struct scout_job_options {
  uint32_t struct_size;
  uint32_t flags;                /* SCOUT_JOB_* */
  int64_t max_new_tokens;        /* SCOUT_KEEP (default): until the session is full; 0: prefill alone */
  const scout_sampling_options *sampling; /* NULL: greedy */
  const int32_t *stop_tokens;    /* (n_stop_tokens) end the job once drawn */
  int64_t n_stop_tokens;
  const char *const *stop_strings; /* (n_stop_strings) NUL-terminated, not empty: end the job where
                                    they appear in the text, across tokens too. The text ends before
                                    them; the session keeps the tokens */
  int64_t n_stop_strings;
  const int64_t *logit_rows;     /* (n_logit_rows) positions, strictly ascending, among the prompt
                                    tokens that the job computes: an event each */
  int64_t n_logit_rows;
  int32_t top_logprobs;          /* SCOUT_KEEP (default): no log-probabilities; else that many, at most
                                    1,024, beside the drawn token's own */
  int32_t priority;              /* -8 to 8, default 0: prefill is shared by weights of 2^priority */
  int64_t deadline_ms;           /* > 0: the job ends so long after submission; among equal priorities
                                    the nearest deadline has its prefill first. 0: none */
  int64_t event_capacity;        /* token and row events kept for the reader, at most 1,048,576;
                                    0: 256 */
} scout_job_options;

SCOUT_API void scout_job_options_init(scout_job_options *options);

enum {
  SCOUT_EVENT_NONE = 0,     /* nothing within the time given */
  SCOUT_EVENT_PROGRESS = 1, /* of the prompt; an unread one is replaced, and comes before others */
  SCOUT_EVENT_TOKEN = 2,    /* a token was drawn; the session holds it */
  SCOUT_EVENT_ROW = 3,      /* logits of one of logit_rows, in their order */
  SCOUT_EVENT_DONE = 4,     /* final */
  SCOUT_EVENT_ERROR = 5     /* final; the session keeps what was computed */
};
enum {
  SCOUT_DONE_END_TOKEN = 1,   /* a token that ends an answer */
  SCOUT_DONE_STOP_TOKEN = 2,
  SCOUT_DONE_STOP_STRING = 3,
  SCOUT_DONE_MAX_TOKENS = 4,  /* as many as were asked for, also none */
  SCOUT_DONE_CAPACITY = 5,    /* the session holds its max_tokens */
  SCOUT_DONE_CANCELLED = 6,
  SCOUT_DONE_DEADLINE = 7
};

/* Pointers are the job's and valid until its next poll, wait or free. */
typedef struct scout_event {
  uint32_t struct_size;        /* set by the caller */
  int32_t kind;                /* SCOUT_EVENT_* */
  int32_t token;               /* TOKEN */
  int32_t reason;              /* DONE: SCOUT_DONE_* */
  int32_t stop_index;          /* DONE: which stop token or string, else -1 */
  int32_t n_top;               /* TOKEN */
  const int32_t *top_tokens;   /* TOKEN: (n_top) most probable first */
  const float *top_logprobs;   /* TOKEN: (n_top) natural logarithms, before penalties and temperature */
  float logprob;               /* TOKEN: the drawn token's own, where top_logprobs was asked for */
  uint32_t reserved;
  int64_t position;            /* TOKEN, ROW: in the session; DONE, ERROR: tokens held */
  const char *text;            /* TOKEN: what became certain with it, whole UTF-8 characters, perhaps
                                  none; DONE: what was held back, half a character (as U+FFFD) only
                                  where a token ended the answer. NUL-terminated */
  int64_t text_bytes;
  const float *logits;         /* ROW: (vocab_size) */
  int64_t done, total;         /* PROGRESS: of the prompt tokens to compute */
  double seconds_left;         /* PROGRESS: estimated, of the prompt */
  const scout_error *error;    /* ERROR; not to be freed */
  int64_t kept;                /* PROGRESS and final: leading tokens whose KV was there */
  int64_t dropped;             /* final: tokens that the session held before and holds no longer */
  int64_t computed;            /* final: prompt tokens that went through the model */
  int64_t generated;           /* final: tokens drawn */
  double seconds_queued;       /* final: until its first rows were computed */
  double seconds_prefill;      /* final: from there to the first token, or the end */
  double seconds_decode;       /* final: from there to the end */
} scout_event;

/* Starts a job. options may be NULL. A job keeps what it needs of its session alive. What the session
 * holds behind the common prefix is dropped now, also where the job is then cancelled before its first
 * row.
 * Errors, the session as before: QUEUE_FULL, CAPACITY (tokens beyond max_tokens, or as
 * scout_session_rewind), INVALID_ARGUMENT (ids, rows, options), INVALID_STATE (nothing to draw from,
 * or the engine was closed), BUSY, REENTRANT. */
SCOUT_API scout_status scout_job_submit(scout_session *session, const int32_t *tokens,
                                        int64_t n_tokens, const scout_job_options *options,
                                        scout_job **job, scout_error **error);
/* The same for a dialog in the Llama 4 format (scout_tokenizer_chat): all that the session shall hold,
 * so turns that it holds already are kept. SCOUT_JOB_APPEND is INVALID_ARGUMENT. Errors as both;
 * NOT_FOUND where the model has no tokenizer. */
SCOUT_API scout_status scout_job_submit_chat(scout_session *session, const scout_chat_options *chat,
                                             const scout_job_options *options, scout_job **job,
                                             scout_error **error);
/* The next event; event->kind is SCOUT_EVENT_NONE where none came within timeout_ms (0: does not
 * wait, -1: no limit). The last event is DONE or ERROR, exactly once; after it, INVALID_STATE. One
 * thread at a time: BUSY; REENTRANT as the contract says. */
SCOUT_API scout_status scout_job_poll(scout_job *job, int64_t timeout_ms, scout_event *event,
                                      scout_error **error);
/* The same, but other events than the final one are dropped. */
SCOUT_API scout_status scout_job_wait(scout_job *job, int64_t timeout_ms, scout_event *event,
                                      scout_error **error);
/* Asks the job to end; what it had done stays. Returns at once; the final event says CANCELLED unless
 * the job ended first. Within one layer of a step (docs/engine.md). From any thread and callback.
 * Until the final event can be read the session is BUSY. To use it next: scout_job_cancel, then
 * scout_job_wait (timeout -1), then scout_job_free. */
SCOUT_API scout_status scout_job_cancel(scout_job *job, scout_error **error);

enum {
  SCOUT_JOB_QUEUED = 0,
  SCOUT_JOB_PREFILL = 1,
  SCOUT_JOB_DECODE = 2,
  SCOUT_JOB_PAUSED = 3, /* waits for its reader */
  SCOUT_JOB_OVER = 4
};
/* SCOUT_JOB_*, as it was a moment ago, from any thread; SCOUT_JOB_OVER for NULL. */
SCOUT_API int32_t scout_job_state(const scout_job *job);
/* A job that is not over is cancelled. From any thread and callback; does not wait: where the job was
 * not over, the session stays BUSY until the engine has let go of it, and nothing says when. To use
 * the session next, end the job first as scout_job_cancel says. */
SCOUT_API void scout_job_free(scout_job *job);

#ifdef __cplusplus
}
#endif
#endif /* SCOUT_H */

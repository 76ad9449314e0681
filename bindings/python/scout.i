/* scout.h for Python: handles, structs and functions under their C names. The package `scout` puts classes
 * over it. SPDX-License-Identifier: Apache-2.0
 *
 * Every call releases the GIL (threads="1"), so callbacks take it. Arguments that C passes as pointer and
 * count are one Python object; results that C writes through pointers are returned, in order. A status
 * other than SCOUT_OK raises what set_error_maker was given to make.
 */
%module(package="scout", threads="1") native

%begin %{
#define SWIG_PYTHON_STRICT_BYTE_CHAR
%}
%{
#include "scout.h"

static PyObject *scout_error_maker = NULL;

/* Sets the Python exception of a failure. With the GIL. */
static void scout_raise_borrowed(scout_status status, const scout_error *error) {
  PyObject *exception = NULL;
  if (scout_error_maker == NULL) {
    PyErr_SetString(PyExc_RuntimeError, scout_status_name(status));
  } else {
    exception = PyObject_CallFunction(
        scout_error_maker, "isyyyL", (int)status, scout_status_name(status),
        scout_error_message(error), scout_error_file(error), scout_error_tensor(error),
        (long long)scout_error_offset(error));
    if (exception != NULL) {
      PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
      Py_DECREF(exception);
    }
  }
}
static void scout_raise(scout_status status, scout_error *error) {
  scout_raise_borrowed(status, error);
  scout_error_free(error);
}

/* The callbacks' user pointer is a Python callable that the caller keeps alive. */
static int32_t scout_py_progress(void *user, int64_t done, int64_t total) {
  PyGILState_STATE state = PyGILState_Ensure();
  PyObject *result = PyObject_CallFunction((PyObject *)user, "LL", (long long)done,
                                           (long long)total);
  int32_t stop = result == NULL ? 1 : PyObject_IsTrue(result) != 0;
  if (result == NULL) PyErr_WriteUnraisable((PyObject *)user);
  Py_XDECREF(result);
  PyGILState_Release(state);
  return stop;
}
static void scout_py_log(void *user, int32_t level, const char *message) {
  PyGILState_STATE state;
  PyObject *result;
  if (!Py_IsInitialized()) return;
  state = PyGILState_Ensure();
  result = PyObject_CallFunction((PyObject *)user, "iy", (int)level, message);
  if (result == NULL) PyErr_WriteUnraisable((PyObject *)user);
  Py_XDECREF(result);
  PyGILState_Release(state);
}

/* The reference that scout_py_keep took goes. An interpreter that has ended has taken all of them. */
static void scout_py_release(void *user) {
  PyGILState_STATE state;
  if (!Py_IsInitialized()) return;
  state = PyGILState_Ensure();
  Py_DECREF((PyObject *)user);
  PyGILState_Release(state);
}

/* A new array of a sequence's numbers; NULL with an exception where it is none. */
static int32_t *scout_py_tokens(PyObject *object, int64_t *n) {
  PyObject *fast = PySequence_Fast(object, "tokens are a sequence of int");
  int32_t *tokens = NULL;
  Py_ssize_t i;
  if (fast == NULL) return NULL;
  *n = PySequence_Fast_GET_SIZE(fast);
  tokens = (int32_t *)PyMem_Malloc((size_t)(*n + 1) * sizeof *tokens);
  if (tokens == NULL) PyErr_NoMemory();
  for (i = 0; tokens != NULL && i < *n; ++i) {
    long long value = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(fast, i));
    if (!PyErr_Occurred() && (value < INT32_MIN || value > INT32_MAX)) {
      PyErr_Format(PyExc_OverflowError, "token %zd is %lld", i, value);
    }
    if (PyErr_Occurred()) {
      PyMem_Free(tokens);
      tokens = NULL;
    } else {
      tokens[i] = (int32_t)value;
    }
  }
  Py_DECREF(fast);
  return tokens;
}

static PyObject *scout_py_list(const int32_t *tokens, int64_t n) {
  PyObject *list = PyList_New((Py_ssize_t)n);
  Py_ssize_t i;
  for (i = 0; list != NULL && i < n; ++i) PyList_SET_ITEM(list, i, PyLong_FromLong(tokens[i]));
  return list;
}
%}

%include <stdint.i>

/* Status and error become an exception; the error comes last, so what was appended is dropped. */
%typemap(out) scout_status "$result = SWIG_Py_Void();"
%typemap(in, numinputs=0) scout_error **error (scout_error *made = NULL) "$1 = &made;"
%typemap(argout) scout_error **error {
  if (result != SCOUT_OK) {
    Py_CLEAR($result);
    scout_raise(result, *$1);
    SWIG_fail;
  }
}

%define SCOUT_OUT_HANDLE(type, name)
%typemap(in, numinputs=0) type **name (type *made = NULL) "$1 = &made;"
%typemap(argout) type **name {
  $result = SWIG_Python_AppendOutput($result, SWIG_NewPointerObj(*$1, $descriptor(type *), 0));
}
%enddef
SCOUT_OUT_HANDLE(scout_model, model)
SCOUT_OUT_HANDLE(scout_tokenizer, tokenizer)
SCOUT_OUT_HANDLE(scout_detokenizer, detokenizer)
SCOUT_OUT_HANDLE(scout_tool_parser, parser)
SCOUT_OUT_HANDLE(scout_engine, engine)
SCOUT_OUT_HANDLE(scout_session, session)
SCOUT_OUT_HANDLE(scout_session, fork)
SCOUT_OUT_HANDLE(scout_job, job)

%typemap(in, numinputs=0) int32_t *token (int32_t made = -1) "$1 = &made;"
%typemap(argout) int32_t *token {
  $result = SWIG_Python_AppendOutput($result, PyLong_FromLong(*$1));
}
%typemap(in, numinputs=0) float *logprob (float made = 0) "$1 = &made;"
%typemap(argout) float *logprob {
  $result = SWIG_Python_AppendOutput($result, PyFloat_FromDouble(*$1));
}

/* Inputs of pointer and count. */
%typemap(in) (const int32_t *tokens, int64_t n_tokens) {
  $1 = scout_py_tokens($input, &$2);
  if ($1 == NULL) SWIG_fail;
}
%typemap(freearg) (const int32_t *tokens, int64_t n_tokens) "PyMem_Free((void *)$1);"
%apply (const int32_t *tokens, int64_t n_tokens) { (const int32_t *ids, int64_t n_ids) };
%typemap(in) (const char *text, int64_t n_bytes) {
  Py_ssize_t size = 0;
  char *data = NULL;
  if (PyBytes_AsStringAndSize($input, &data, &size) != 0) SWIG_fail;
  $1 = data;
  $2 = size;
}
%typemap(in) (const float *logits, int64_t n_logits) {
  Py_ssize_t size = 0;
  char *data = NULL;
  if (PyBytes_AsStringAndSize($input, &data, &size) != 0) SWIG_fail;
  $1 = (float *)data;
  $2 = size / (Py_ssize_t)sizeof(float);
}

/* Outputs into a buffer: Python gives the capacity and gets what was written. */
%define SCOUT_OUT_BUFFER(type, name, count, result_of)
%typemap(in) (type *name, int64_t capacity, int64_t *count) (int64_t n = 0) {
  $2 = PyLong_AsLongLong($input);
  if (PyErr_Occurred()) SWIG_fail;
  $1 = $2 < 0 ? NULL : (type *)PyMem_Malloc((size_t)$2 * sizeof(type) + 1);
  if ($1 == NULL) {
    PyErr_NoMemory();
    SWIG_fail;
  }
  $3 = &n;
}
%typemap(argout) (type *name, int64_t capacity, int64_t *count) {
  $result = SWIG_Python_AppendOutput($result, result_of($1, result == SCOUT_OK ? *$3 : 0));
}
%typemap(freearg) (type *name, int64_t capacity, int64_t *count) "PyMem_Free($1);"
%enddef
SCOUT_OUT_BUFFER(int32_t, ids, n_ids, scout_py_list)
SCOUT_OUT_BUFFER(int32_t, tokens, n_tokens, scout_py_list)
SCOUT_OUT_BUFFER(char, text, n_bytes, PyBytes_FromStringAndSize)
SCOUT_OUT_BUFFER(char, json, size, PyBytes_FromStringAndSize)

%typemap(in) (float *logits, int64_t capacity) {
  $2 = PyLong_AsLongLong($input);
  if (PyErr_Occurred()) SWIG_fail;
  $1 = $2 < 0 ? NULL : (float *)PyMem_Malloc((size_t)$2 * sizeof(float) + 1);
  if ($1 == NULL) {
    PyErr_NoMemory();
    SWIG_fail;
  }
}
%typemap(argout) (float *logits, int64_t capacity) {
  $result = SWIG_Python_AppendOutput(
      $result, PyBytes_FromStringAndSize((const char *)$1, (Py_ssize_t)($2 * sizeof(float))));
}
%typemap(freearg) (float *logits, int64_t capacity) "PyMem_Free($1);"

%typemap(in) (int64_t n_top, int32_t *top_ids, float *top_logprobs) {
  $1 = PyLong_AsLongLong($input);
  if (PyErr_Occurred()) SWIG_fail;
  $2 = $1 < 0 ? NULL : (int32_t *)PyMem_Malloc((size_t)$1 * sizeof(int32_t) + 1);
  $3 = $1 < 0 ? NULL : (float *)PyMem_Malloc((size_t)$1 * sizeof(float) + 1);
  if ($2 == NULL || $3 == NULL) {
    PyErr_NoMemory();
    SWIG_fail;
  }
}
%typemap(argout) (int64_t n_top, int32_t *top_ids, float *top_logprobs) {
  PyObject *list = PyList_New(0);
  int64_t i;
  for (i = 0; list != NULL && result == SCOUT_OK && i < $1; ++i) {
    PyObject *pair = Py_BuildValue("if", (int)$2[i], $3[i]);
    if (pair == NULL || PyList_Append(list, pair) != 0) Py_CLEAR(list);
    Py_XDECREF(pair);
  }
  $result = SWIG_Python_AppendOutput($result, list);
}
%typemap(freearg) (int64_t n_top, int32_t *top_ids, float *top_logprobs) "PyMem_Free($2); PyMem_Free($3);"

/* What the detokenizer releases. */
%typemap(in, numinputs=0) (const char **text, int64_t *n_bytes) (const char *made = NULL, int64_t n = 0) {
  $1 = (char **)&made;
  $2 = &n;
}
%typemap(argout) (const char **text, int64_t *n_bytes) {
  $result = SWIG_Python_AppendOutput($result,
      PyBytes_FromStringAndSize(result == SCOUT_OK ? *$1 : "", result == SCOUT_OK ? (Py_ssize_t)*$2 : 0));
}

/* Fields: a callable, which its user pointer keeps; bytes that hold an array. The package keeps both alive. */
%typemap(in) scout_progress_fn progress "$1 = $input == Py_None ? NULL : scout_py_progress;"
%typemap(in) scout_log_fn log "$1 = $input == Py_None ? NULL : scout_py_log;"
%typemap(in) scout_release_fn log_release "$1 = $input == Py_None ? NULL : scout_py_release;"
%typemap(in) void *progress_user, void *log_user "$1 = $input;"
%define SCOUT_ARRAY_FIELD(declaration)
%typemap(in) declaration {
  if ($input == Py_None) {
    $1 = NULL;
  } else if (!PyBytes_Check($input)) {
    PyErr_SetString(PyExc_TypeError, "an array is given as bytes");
    SWIG_fail;
  } else {
    $1 = ($1_ltype)PyBytes_AS_STRING($input);
  }
}
%enddef
SCOUT_ARRAY_FIELD(const int64_t *logit_rows)
SCOUT_ARRAY_FIELD(const scout_logit_bias *logit_bias)
SCOUT_ARRAY_FIELD(float *logits)
SCOUT_ARRAY_FIELD(const int32_t *stop_tokens)
SCOUT_ARRAY_FIELD(const char *const *stop_strings)
SCOUT_ARRAY_FIELD(const char *tools)
SCOUT_ARRAY_FIELD(const char *cache_dir)
%typemap(memberin) const char *tools, const char *cache_dir "$1 = ($1_ltype)$input;"
/* The maker is called as maker(code, name, message, file, tensor, offset), texts as bytes. */
%nothread;
%inline %{
/* A reference more, for scout_py_release, and back where it is not needed. */
void scout_py_keep(PyObject *object) { Py_INCREF(object); }
void scout_py_drop(PyObject *object) { Py_DECREF(object); }
void set_error_maker(PyObject *maker) {
  Py_XINCREF(maker);
  Py_XSETREF(scout_error_maker, maker);
}
%}
%thread;

%ignore scout_error_code;
%ignore scout_error_message;
%ignore scout_error_file;
%ignore scout_error_tensor;
%ignore scout_error_offset;
%ignore scout_error_free;
/* Set by scout_py_message_set. */
%immutable scout_chat_message::role;
%immutable scout_chat_message::content;
%immutable scout_tool_call::name;
%immutable scout_tool_call::arguments;
%immutable scout_event::text;
%immutable scout_tool_event::name;
%immutable scout_tool_event::text;
%immutable scout_tool_event::reason;
#define SCOUT_API
%include "scout.h"
%constant int SIZEOF_MODEL_INFO = sizeof(scout_model_info);

/* An array of messages in one block, for scout_tokenizer_chat. */
%nothread;
%inline %{
scout_chat_message *scout_py_messages(int64_t n) {
  return (scout_chat_message *)calloc((size_t)(n > 0 ? n : 1), sizeof(scout_chat_message));
}
void scout_py_message_set(scout_chat_message *messages, int64_t i, PyObject *role, PyObject *content) {
  memset(&messages[i], 0, sizeof *messages);
  messages[i].struct_size = sizeof *messages;
  messages[i].role = PyBytes_AsString(role);
  messages[i].content = PyBytes_AsString(content);
  messages[i].content_bytes = PyBytes_Size(content) > 0 ? PyBytes_Size(content) : SCOUT_KEEP;
}
void scout_py_messages_free(scout_chat_message *messages) { free(messages); }
%}

/* What an event points to, copied before the job's next poll; its error as an exception. */
%inline %{
scout_event *scout_py_event(void) {
  scout_event *event = (scout_event *)calloc(1, sizeof *event);
  if (event != NULL) event->struct_size = sizeof *event;
  return event;
}
void scout_py_event_free(scout_event *event) { free(event); }
PyObject *scout_py_event_text(const scout_event *event) {
  return PyBytes_FromStringAndSize(event->text, (Py_ssize_t)event->text_bytes);
}
PyObject *scout_py_event_logits(const scout_event *event, int64_t n) {
  return PyBytes_FromStringAndSize((const char *)event->logits, (Py_ssize_t)(n * sizeof(float)));
}
PyObject *scout_py_event_top(const scout_event *event) {
  PyObject *list = PyList_New(0);
  int32_t i;
  for (i = 0; list != NULL && i < event->n_top; ++i) {
    PyObject *pair = Py_BuildValue("if", (int)event->top_tokens[i], event->top_logprobs[i]);
    if (pair == NULL || PyList_Append(list, pair) != 0) Py_CLEAR(list);
    Py_XDECREF(pair);
  }
  return list;
}
PyObject *scout_py_event_raise(const scout_event *event) {
  scout_raise_borrowed(scout_error_code(event->error), event->error);
  return NULL;
}
%}

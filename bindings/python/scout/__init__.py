"""Llama 4 inference inside this process, over libscout's C interface.

    with scout.Model("models/tiny") as model, model.engine() as engine:
        with engine.session() as session:
            question = model.tokenizer.chat([("user", "What is the capital of France?")])
            with session.submit(question) as job:
                for piece in job:
                    print(piece, end="", flush=True)

Objects are freed by close(), at the end of a `with` block or with their last reference, in any order: a
child keeps what it needs of its parent. Blocking calls release the GIL. scout.h has the rules in full.

SPDX-License-Identifier: Apache-2.0
"""
import array
import contextlib
import ctypes
import os
import struct
import threading

from . import native

__all__ = ["Model", "Tokenizer", "Detokenizer", "Engine", "Session", "Job", "Error", "Cancelled", "Busy",
           "OutOfMemory", "sampling", "logprobs", "version"]


class Error(Exception):
    """A failed call: code (native.SCOUT_*), name, message, file, tensor, offset (-1 not known)."""

    def __init__(self, code, name, message, file, tensor, offset):
        def text(value):
            return value.decode("utf-8", "replace")
        self.code, self.name, self.offset = code, name, offset
        self.message, self.file, self.tensor = text(message), text(file), text(tensor)
        place = ", ".join(f"{what} {value}" for what, value in (
            ("file", self.file), ("tensor", self.tensor),
            ("offset", offset if offset >= 0 else "")) if value != "")
        super().__init__(f"{name}: {self.message}" + (f" ({place})" if place else ""))

    def _again(self):
        """The same, not raised yet: without the traceback, which keeps alive what it passed."""
        return type(self)(self.code, self.name, self.message.encode(), self.file.encode(),
                          self.tensor.encode(), self.offset)


class Cancelled(Error):
    """A callback asked to stop, by returning something true or by raising (see __cause__)."""


class Busy(Error):
    """Another call is using the session."""


class OutOfMemory(Error, MemoryError):
    """An allocation failed."""


_CLASSES = {native.SCOUT_CANCELLED: Cancelled, native.SCOUT_BUSY: Busy,
            native.SCOUT_OUT_OF_MEMORY: OutOfMemory}
native.set_error_maker(lambda code, *rest: _CLASSES.get(code, Error)(code, *rest))


def version():
    """Of the loaded library, such as "0.9.0"."""
    return native.scout_version_string().decode()


def _options(kind, values):
    """A struct with its defaults, then `values`; unknown names are a TypeError."""
    options = getattr(native, kind)()
    getattr(native, kind + "_init")(options)
    for name, value in values.items():
        if name.startswith("_") or not hasattr(type(options), name):
            raise TypeError(f"{kind} has no field {name}")
        setattr(options, name, value)
    return options


def sampling(logit_bias=None, **values):
    """scout_sampling_options by field name; logit_bias is a dict of biases by token id."""
    options = _options("scout_sampling_options", values)
    if logit_bias:
        options._bias = b"".join(struct.pack("=if", *pair) for pair in logit_bias.items())
        options.logit_bias = options._bias
        options.n_logit_bias = len(logit_bias)
    return options


def logprobs(logits, token, n_top=0):
    """(log-probability of token, [(id, log-probability)]) from raw logits, an array of floats."""
    return tuple(native.scout_logprobs(array.array("f", logits).tobytes(), token, n_top))


class _Progress:
    """A callback for the struct's progress fields; what it raises cancels the call and is its cause."""

    def __init__(self, function):
        self.function, self.raised = function, None

    def __call__(self, done, total):
        try:
            return bool(self.function(done, total))
        except BaseException as error:  # crosses C as a cancellation, and is raised from there
            self.raised = error
            return True

    def attach(self, options):
        if self.function is not None:
            options.progress_user = self
            options.progress = self
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, Cancelled) and self.raised is not None:
            raise error from self.raised


def _attach_log(options, log):
    """Sets the struct's log fields and returns what is to live as long as the library may log."""
    if log is None:
        return None

    def line(level, text):
        log(level, text.decode("utf-8", "replace"))
    options.log_user = line
    options.log = line
    return line


class _Closed(ValueError):
    """A call on an object after its close()."""


class _Handle:
    """Owns one C handle; free(handle) takes it back, once."""

    _free = None

    def __init__(self, handle):
        self._handle = handle

    @property
    def handle(self):
        if self._handle is None:
            raise _Closed(f"the {type(self).__name__.lower()} is closed")
        return self._handle

    def close(self):
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            type(self)._free(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


class Model(_Handle):
    """Immutable weights. progress(done, total) in bytes; log(level, text); other names are fields of
    scout_model_options."""

    _free = native.scout_model_free

    def __init__(self, path, progress=None, log=None, cache_dir=None, **options):
        filled = _options("scout_model_options", options)
        folder = None if cache_dir is None else os.fsencode(cache_dir)
        filled.cache_dir = folder
        line = _attach_log(filled, log)  # for the call alone
        with _Progress(progress).attach(filled):
            super().__init__(native.scout_model_load(os.fsencode(path), filled))
        del line

    @property
    def info(self):
        info = native.scout_model_info()
        info.struct_size = native.SIZEOF_MODEL_INFO
        native.scout_model_get_info(self.handle, info)
        return info

    @property
    def tokenizer(self):
        return Tokenizer(native.scout_model_tokenizer(self.handle))

    def engine(self, log=None, **options):
        """log(level, text), from any thread; other names are fields of scout_engine_options."""
        filled = _options("scout_engine_options", options)
        line = _attach_log(filled, log)
        if line is not None:  # the library's until it says that it logs no more
            filled.log_release = line
            native.scout_py_keep(line)
        try:
            engine = Engine(native.scout_engine_create(self.handle, filled))
        except BaseException:
            if line is not None:
                native.scout_py_drop(line)
            raise
        engine._vocab = self.info.vocab_size
        return engine


@contextlib.contextmanager
def _dialog(messages, add_generation_prompt):
    """scout_chat_options of (role, content) pairs, and room enough for their tokens."""
    pairs = [(role.encode(), content.encode()) for role, content in messages]
    block = native.scout_py_messages(len(pairs))
    try:
        for i, (role, content) in enumerate(pairs):
            native.scout_py_message_set(block, i, role, content)
        options = _options("scout_chat_options", {
            "messages": block, "n_messages": len(pairs),
            "add_generation_prompt": int(add_generation_prompt)})
        yield options, sum(len(content) + 64 for _, content in pairs) + 64
    finally:
        native.scout_py_messages_free(block)


class Tokenizer(_Handle):
    _free = native.scout_tokenizer_free

    @classmethod
    def load(cls, path):
        return cls(native.scout_tokenizer_load(os.fsencode(path)))

    def encode(self, text, bos=False, special=False):
        data = text.encode() if isinstance(text, str) else text
        flags = bos * native.SCOUT_ENCODE_BOS | special * native.SCOUT_ENCODE_SPECIAL
        return native.scout_tokenizer_encode(self.handle, data, flags, len(data) + 1)

    def decode(self, ids, skip_special=False):
        """The bytes of tokens."""
        flags = skip_special * native.SCOUT_DECODE_SKIP_SPECIAL
        ids = list(ids)
        room = 64 * len(ids) + 64
        while True:
            try:
                return native.scout_tokenizer_decode(self.handle, ids, flags, room)
            except Error as error:
                if error.code != native.SCOUT_BUFFER_TOO_SMALL:
                    raise
                room *= 8

    def chat(self, messages, add_generation_prompt=True):
        """Tokens of a dialog of (role, content)."""
        with _dialog(messages, add_generation_prompt) as (options, room):
            return native.scout_tokenizer_chat(self.handle, options, room)

    def is_end(self, token):
        return bool(native.scout_tokenizer_is_end(self.handle, token))

    def detokenizer(self, skip_special=True):
        return Detokenizer(native.scout_detokenizer_create(
            self.handle, skip_special * native.SCOUT_DECODE_SKIP_SPECIAL))


class Detokenizer(_Handle):
    _free = native.scout_detokenizer_free

    def push(self, token):
        return native.scout_detokenizer_push(self.handle, token).decode()

    def flush(self):
        return native.scout_detokenizer_flush(self.handle).decode()


class Engine(_Handle):
    _free = native.scout_engine_free
    _vocab = 0

    def session(self, max_tokens=0):
        session = Session(native.scout_session_create(
            self.handle, _options("scout_session_options", {"max_tokens": max_tokens})))
        session._vocab = self._vocab
        return session


class Session(_Handle):
    """One sequence of tokens. One thread at a time: a second concurrent call raises Busy."""

    _free = native.scout_session_free
    _vocab = 0

    def _feed(self, call, tokens, progress):
        options = _options("scout_prefill_options", {})
        with _Progress(progress).attach(options):
            call(self.handle, tokens, options, None)

    def prefill(self, tokens, progress=None):
        """Appends tokens. progress(done, total); something true cancels: Cancelled is raised."""
        self._feed(native.scout_session_prefill, tokens, progress)

    def sync(self, tokens, progress=None):
        """Makes the session hold exactly these tokens."""
        self._feed(native.scout_session_sync, tokens, progress)

    def decode(self, options=None):
        """Draws, appends and returns a token; options from sampling()."""
        return native.scout_session_decode(self.handle, options)

    def generate(self, tokenizer, max_tokens=256, options=None):
        """Yields the text of an answer as it comes, until a token that ends it."""
        with tokenizer.detokenizer() as detokenizer:
            for _ in range(max_tokens):
                token = self.decode(options)
                if tokenizer.is_end(token):
                    break
                if piece := detokenizer.push(token):
                    yield piece
            if piece := detokenizer.flush():
                yield piece

    def submit(self, tokens, options=None, stop=(), stop_tokens=(), **values):
        """Starts a job that makes the session hold `tokens` and draws an answer. options from
        sampling(); stop: a sequence of strings; logit_rows: positions; other names are fields of scout_job_options."""
        return self._submit(lambda filled: native.scout_job_submit(self.handle, tokens, filled),
                            options, stop, stop_tokens, values)

    def submit_chat(self, messages, options=None, stop=(), stop_tokens=(), add_generation_prompt=True,
                    **values):
        """The same for a dialog of (role, content); turns that the session holds are kept."""
        with _dialog(messages, add_generation_prompt) as (chat, _):
            return self._submit(lambda filled: native.scout_job_submit_chat(self.handle, chat, filled),
                                options, stop, stop_tokens, values)

    def _submit(self, call, options, stop, stop_tokens, values):
        rows = array.array("q", values.pop("logit_rows", ())).tobytes()
        filled = _options("scout_job_options", values)
        filled.sampling = options
        if isinstance(stop, (str, bytes)):
            raise TypeError(f"stop is a sequence of strings, not one: {stop!r}")
        stop = list(stop)
        for text in stop:
            if not isinstance(text, str):
                raise TypeError(f"a stop string is a str, not {text!r}")
            if "\0" in text:
                raise ValueError(f"a stop string has a NUL: {text!r}")
        strings = (ctypes.c_char_p * len(stop))(*(text.encode() for text in stop))
        pointers, ids = bytes(strings), array.array("i", stop_tokens).tobytes()
        filled.stop_strings, filled.n_stop_strings = pointers, len(stop)
        filled.stop_tokens, filled.n_stop_tokens = ids, len(stop_tokens)
        filled.logit_rows, filled.n_logit_rows = rows, len(rows) // 8
        return Job(call(filled), self._vocab)

    def logits(self, vocab_size):
        """Of the last token."""
        return array.array("f", native.scout_session_logits(self.handle, vocab_size))

    def rewind(self, position):
        native.scout_session_rewind(self.handle, position)

    def fork(self, max_tokens=0):
        fork = Session(native.scout_session_fork(self.handle, max_tokens))
        fork._vocab = self._vocab
        return fork

    @property
    def position(self):
        return native.scout_session_position(self.handle)

    @property
    def tokens(self):
        return native.scout_session_tokens(self.handle, self.position)


class Job(_Handle):
    """Work that the engine does while the caller goes on. Iterating gives the text of the answer as it
    comes; poll() gives each event. Read by one thread at a time; cancelled and closed from any. After
    os.fork() the child's calls raise FORKED, and close() does nothing."""

    _free = native.scout_job_free

    #: Of the final event, once it was read: reason (native.SCOUT_DONE_*), generated, kept, computed,
    #: seconds_prefill, seconds_decode, ...
    result = None
    _error = None  # that ended the job

    def __init__(self, handle, vocab):
        self._lock, self._users, self._vocab = threading.Lock(), 0, vocab
        self._process = os.getpid()  # in a child a thread that is not there may hold the lock
        super().__init__(handle)

    @contextlib.contextmanager
    def _using(self):
        """The handle, not freed before the block ends."""
        if self._process != os.getpid():
            yield self.handle
            return
        with self._lock:
            handle = self.handle
            self._users += 1
        try:
            yield handle
        finally:
            with self._lock:
                self._users -= 1
                free = self._users == 0 and self._handle is None
            if free:
                native.scout_job_free(handle)

    def close(self):
        """Cancels and frees; a poll that waits in another thread then ends."""
        if self._process != os.getpid():
            super().close()
            return
        with self._lock:
            handle, self._handle = self._handle, None
            if handle is None:
                return
            free = self._users == 0
            if not free:
                native.scout_job_cancel(handle)
        if free:
            native.scout_job_free(handle)

    def poll(self, timeout=None):
        """The next event as a dict, or None where none came in `timeout` seconds (None: no limit). Raises
        the error that ended the job; after the final event INVALID_STATE."""
        with self._using() as handle:
            return self._poll(handle, -1 if timeout is None else int(timeout * 1000))

    def _poll(self, handle, timeout_ms):
        event = native.scout_py_event()
        try:
            native.scout_job_poll(handle, timeout_ms, event)
            kind = event.kind
            if kind == native.SCOUT_EVENT_NONE:
                return None
            if kind == native.SCOUT_EVENT_ERROR:
                try:
                    native.scout_py_event_raise(event)
                except Error as error:
                    self._error = error._again()
                    raise
            out = {"kind": kind}
            if kind == native.SCOUT_EVENT_PROGRESS:
                names = ("done", "total", "seconds_left", "kept")
            elif kind == native.SCOUT_EVENT_TOKEN:
                names = ("token", "position", "logprob")
                out["top"] = native.scout_py_event_top(event)
            elif kind == native.SCOUT_EVENT_DONE:
                names = ("reason", "stop_index", "position", "kept", "dropped", "computed", "generated",
                         "seconds_queued", "seconds_prefill", "seconds_decode")
            else:
                names = ("position",)
                out["logits"] = array.array("f", native.scout_py_event_logits(event, self._vocab))
            out.update((name, getattr(event, name)) for name in names)
            if kind in (native.SCOUT_EVENT_TOKEN, native.SCOUT_EVENT_DONE):
                out["text"] = native.scout_py_event_text(event).decode()
            if kind == native.SCOUT_EVENT_DONE:
                self.result = out
            return out
        finally:
            native.scout_py_event_free(event)

    def __iter__(self):
        """Ends where another thread closes the job. Raises the error that ended it, each time."""
        while self.result is None:
            if self._error is not None:
                raise self._error._again()
            try:
                event = self.poll()
            except _Closed:
                return
            if event.get("text"):
                yield event["text"]

    def wait(self):
        """Reads to the end and returns the result; None where the job was closed before. Raises the
        error that ended the job, each time."""
        for _ in self:
            pass
        return self.result

    def cancel(self):
        with self._using() as handle:
            native.scout_job_cancel(handle)

"""The Python module on models/tiny: load, stream, cancel, free in any order.

SPDX-License-Identifier: Apache-2.0

usage: test_scout.py MODEL
"""
import gc
import itertools
import math
import os
import signal
import sys
import threading
import time
import unittest
import weakref

import scout
from scout import native

MODEL = sys.argv.pop(1)
QUESTION = [("user", "What is the capital of France?")]
ANSWER = "The capital of France is Paris."


class Everything(unittest.TestCase):
    def open(self, **options):
        model = scout.Model(MODEL)
        engine = model.engine(n_threads=1, **options)
        return model, model.tokenizer, engine, engine.session()

    def test_loads_with_progress_and_information(self):
        seen = []
        with scout.Model(MODEL, progress=lambda done, total: seen.append((done, total))) as model:
            self.assertEqual(model.info.vocab_size, 768)
        self.assertEqual(seen[-1][0], seen[-1][1])
        self.assertTrue(scout.version().startswith("0."))

    def test_streams(self):
        model, tokenizer, engine, session = self.open()
        with model, engine, session:
            session.sync(tokenizer.chat(QUESTION))
            pieces = list(session.generate(tokenizer))
            self.assertGreater(len(pieces), 3)
            self.assertEqual("".join(pieces), ANSWER)

    def test_a_callback_cancels_a_load_and_a_prefill(self):
        with self.assertRaises(scout.Cancelled):
            scout.Model(MODEL, progress=lambda done, total: True)
        model, _, engine, session = self.open(max_step_tokens=16)
        calls = []

        def second(done, total):
            calls.append((done, total))
            return len(calls) == 2
        with self.assertRaises(scout.Cancelled) as caught:
            session.prefill([5] * 100, progress=second)
        self.assertEqual(caught.exception.code, native.SCOUT_CANCELLED)
        self.assertEqual(calls, [(16, 100), (32, 100)])
        self.assertEqual(session.position, 32)
        session.sync([5] * 100)
        self.assertEqual(session.tokens, [5] * 100)

    def test_what_a_callback_raises_is_the_cause(self):
        _, _, _, session = self.open()

        def broken(done, total):
            raise KeyError("mine")
        with self.assertRaises(scout.Cancelled) as caught:
            session.prefill([5] * 10, progress=broken)
        self.assertIsInstance(caught.exception.__cause__, KeyError)

    def test_a_job_streams_and_says_how_it_ended(self):
        _, tokenizer, _, session = self.open()
        with session.submit(tokenizer.chat(QUESTION)) as job:
            pieces = list(job)
            self.assertEqual("".join(pieces), ANSWER)
            self.assertGreater(len(pieces), 3)
            self.assertEqual(job.result["reason"], native.SCOUT_DONE_END_TOKEN)
            self.assertEqual(job.result["generated"], session.position - job.result["computed"])
            with self.assertRaises(scout.Error) as caught:
                job.poll()
            self.assertEqual(caught.exception.code, native.SCOUT_INVALID_STATE)
        with session.submit(tokenizer.chat(QUESTION), stop=["zzz", " is"], top_logprobs=2) as job:
            tokens = []
            while job.result is None:
                event = job.poll()
                if event["kind"] == native.SCOUT_EVENT_TOKEN:
                    tokens.append(event)
            self.assertEqual("".join(e["text"] for e in tokens) + job.result["text"],
                             "The capital of France")
            self.assertEqual(job.result["stop_index"], 1)
            self.assertEqual(tokens[0]["top"][0], (tokens[0]["token"], tokens[0]["logprob"]))

    def test_stop_strings_are_strings_without_nul(self):
        _, tokenizer, _, session = self.open()
        ids = tokenizer.chat(QUESTION)
        for submit, what in ((session.submit, ids), (session.submit_chat, QUESTION)):
            for stop in ("Paris", b"Paris", [5], [b"Paris"]):
                with self.assertRaises(TypeError):
                    submit(what, stop=stop)
            with self.assertRaises(ValueError):
                submit(what, stop=["zzz", "is\0 never"])
            with submit(what, stop=iter(("Paris", "France"))) as job:
                self.assertEqual("".join(job), "The capital of ")
                self.assertEqual(job.result["stop_index"], 1)

    def test_a_failed_job_says_so_each_time(self):
        _, _, _, session = self.open()
        nothing = scout.sampling(logit_bias={i: -math.inf for i in range(768)})
        with session.submit([5, 6], options=nothing) as job:
            for read in (job.wait, job.wait, lambda: list(job)):
                with self.assertRaises(scout.Error) as caught:
                    read()
                self.assertEqual(caught.exception.code, native.SCOUT_INVALID_ARGUMENT)
                self.assertIn("logit_bias", str(caught.exception))
            self.assertIsNone(job.result)
            with self.assertRaises(scout.Error) as caught:
                job.poll()
            self.assertEqual(caught.exception.code, native.SCOUT_INVALID_STATE)

    def test_iterating_ends_where_the_job_is_closed(self):
        _, _, _, session = self.open()
        job = session.submit([5] * 20, flags=native.SCOUT_JOB_IGNORE_END)
        pieces = iter(job)
        next(pieces)
        worker = threading.Thread(target=job.close)  # between two polls
        worker.start()
        worker.join()
        self.assertEqual(list(pieces), [])
        self.assertIsNone(job.wait())
        with self.assertRaises(ValueError):
            job.poll()

    def test_a_forked_child_closes_whatever_its_parent_was_doing(self):
        model, _, engine, session = self.open()
        other = engine.session(300)
        # One job is in use in the parent, of the other a thread that the child has not holds the lock.
        used = session.submit([5] * 40, flags=native.SCOUT_JOB_IGNORE_END, event_capacity=1)
        locked = other.submit([5] * 40, flags=native.SCOUT_JOB_IGNORE_END, event_capacity=1)
        with used._using(), locked._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                code = 1
                try:
                    told = 0
                    for call in (used.poll, used.cancel, locked.poll, locked.cancel):
                        try:
                            call()
                        except scout.Error as error:
                            told += error.code == native.SCOUT_FORKED
                    for handle in (used, locked, other, session, engine, model):
                        handle.close()
                        handle.close()
                    code = 0 if told == 4 else 2
                finally:
                    os._exit(code)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        for job in (used, locked):
            job.cancel()
            self.assertEqual(job.wait()["reason"], native.SCOUT_DONE_CANCELLED)

    def test_a_job_is_cancelled_from_another_thread(self):
        _, _, _, session = self.open(backend=native.SCOUT_BACKEND_REFERENCE)
        with session.submit([5] * 50, flags=native.SCOUT_JOB_IGNORE_END) as job:
            next(iter(job))
            with self.assertRaises(scout.Busy):
                session.rewind(0)
            worker = threading.Thread(target=job.cancel)
            worker.start()
            self.assertEqual(job.wait()["reason"], native.SCOUT_DONE_CANCELLED)
            worker.join()
        session.rewind(0)

    def test_a_job_is_closed_while_others_use_it(self):
        _, _, _, session = self.open(backend=native.SCOUT_BACKEND_REFERENCE)
        for _ in range(30):
            job = session.submit([5] * 40, flags=native.SCOUT_JOB_IGNORE_END)
            ended = []

            def use(call):
                try:
                    while True:
                        call()
                except (ValueError, scout.Error) as error:
                    ended.append(error)
            workers = [threading.Thread(target=use, args=(call,)) for call in (job.poll, job.cancel)]
            for worker in workers:
                worker.start()
            time.sleep(0.002)
            job.close()
            for worker in workers:
                worker.join()
            self.assertEqual(len(ended), 2)
            with self.assertRaises(ValueError):
                job.poll()

    def test_a_dialog_and_rows(self):
        _, tokenizer, _, session = self.open()
        with session.submit_chat(QUESTION, logit_rows=[2, 5]) as job:
            rows = []
            while job.result is None:
                event = job.poll()
                if event["kind"] == native.SCOUT_EVENT_ROW:
                    rows.append(event)
        ids = tokenizer.chat(QUESTION)
        self.assertEqual(job.result["computed"], len(ids))
        self.assertEqual([row["position"] for row in rows], [2, 5])
        for row in rows:
            session.sync(ids[:row["position"] + 1])
            self.assertEqual(list(row["logits"]), list(session.logits(len(row["logits"]))))

    def test_a_job_outlives_everything(self):
        model, tokenizer, engine, session = self.open()
        job = session.submit(tokenizer.chat(QUESTION))
        for handle in (session, engine, model, tokenizer):
            handle.close()
        self.assertEqual("".join(job), ANSWER)
        _, _, _, session = self.open()
        session.submit([5] * 500, flags=native.SCOUT_JOB_IGNORE_END).close()  # closed while it runs

    def test_frees_in_any_order(self):
        for order in itertools.permutations(range(4)):
            handles = list(self.open())
            for i in order:
                handles[i].close()
                handles[i].close()
            with self.assertRaises(ValueError):
                handles[3].prefill([1])
        handles = None
        gc.collect()

    def test_children_outlive_their_parents(self):
        model, tokenizer, engine, session = self.open()
        ids = tokenizer.chat(QUESTION)
        model.close()
        engine.close()
        session.prefill(ids)
        with session.fork(max_tokens=512) as fork:
            session.close()
            self.assertEqual("".join(fork.generate(tokenizer)), ANSWER)

    def test_errors_have_code_place_and_class(self):
        with self.assertRaises(scout.Error) as caught:
            scout.Model("/no/such/model")
        self.assertEqual(caught.exception.code, native.SCOUT_NOT_FOUND)
        self.assertIn("/no/such/model", str(caught.exception))
        _, _, engine, session = self.open()
        with self.assertRaises(scout.Error) as caught:
            session.prefill([1 << 30])
        self.assertEqual(caught.exception.code, native.SCOUT_INVALID_ARGUMENT)
        with self.assertRaises(OverflowError):
            session.prefill([1 << 40])
        with self.assertRaises(TypeError):
            session.prefill(["a"])
        with self.assertRaises(TypeError):
            scout.sampling(temprature=1)

    def test_blocking_calls_release_the_gil_and_a_second_caller_is_told(self):
        _, _, _, session = self.open(backend=native.SCOUT_BACKEND_REFERENCE, max_step_tokens=16)
        ticks, busy, started = [0], [], threading.Event()

        def work():
            session.prefill([5] * 600, progress=lambda done, total: started.set())
        worker = threading.Thread(target=work)
        worker.start()
        started.wait()
        while worker.is_alive():
            ticks[0] += 1
            try:
                session.rewind(0)
            except scout.Busy:
                busy.append(1)
                time.sleep(0.001)
            else:
                break
        worker.join()
        self.assertGreater(len(busy), 0)

    def test_sampling_options_and_log_probabilities(self):
        model, _, _, session = self.open()
        session.prefill([5, 6, 7])
        logits = session.logits(model.info.vocab_size)
        best = max(range(len(logits)), key=logits.__getitem__)
        own, top = scout.logprobs(logits, best, 3)
        self.assertEqual(top[0], (best, own))
        self.assertLess(sum(math.exp(p) for _, p in top), 1)
        self.assertNotEqual(session.decode(scout.sampling(logit_bias={best: -math.inf})), best)
        session.rewind(3)
        self.assertEqual(session.decode(), best)
        a = scout.sampling(temperature=2, seed=5, presence_penalty=0.5)
        drawn = [session.decode(a) for _ in range(20)]
        session.rewind(4)
        self.assertEqual([session.decode(a) for _ in range(20)], drawn)

    def test_log_lines_arrive(self):
        lines = []
        engine = scout.Model(MODEL).engine(n_threads=1, log=lambda level, text: lines.append(text),
                                           log_level=native.SCOUT_LOG_DEBUG)
        engine.session().close()
        self.assertTrue(lines)
        self.assertTrue(all(isinstance(line, str) for line in lines))

    def test_lines_come_after_all_handles_are_gone(self):
        class Log:
            lines = 0

            def __call__(self, level, text):
                Log.lines += 1
        for _ in range(20):
            log = Log()
            gone = weakref.ref(log)
            engine = scout.Model(MODEL).engine(log=log, log_level=native.SCOUT_LOG_DEBUG)
            del log
            session = engine.session()
            job = session.submit([5] * 200, flags=native.SCOUT_JOB_IGNORE_END)
            for handle in (job, session, engine):
                handle.close()
            del engine, session, job, handle
            for _ in range(2000):  # until the engine's thread has let go
                gc.collect()
                if gone() is None:
                    break
                time.sleep(0.005)
            self.assertIsNone(gone())
        self.assertGreater(Log.lines, 20)
        with self.assertRaises(scout.Error):
            scout.Model(MODEL).engine(log=print, page_tokens=3)

    def test_text_and_tokens(self):
        tokenizer = scout.Tokenizer.load(MODEL)
        text = "Hello, w\u00f6rld \u20ac"
        ids = tokenizer.encode(text)
        self.assertEqual(tokenizer.decode(ids).decode(), text)
        with tokenizer.detokenizer() as detokenizer:
            self.assertEqual("".join(map(detokenizer.push, ids)) + detokenizer.flush(), text)


if __name__ == "__main__":
    unittest.main()

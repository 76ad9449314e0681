"""Tests of the task generator and of the GGUF writer, on the bundled model and through libscout.

    python3 training/needle/test_tasks.py

Needs numpy and libscout's Python module: that of build/release, or in the folder SCOUT_PYTHON.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import glob
import io
import os
import tempfile
import unittest

import numpy as np

import corpus
import gguf_file
import library
import tasks
from library import ROOT
from prepare import encode_lines

MODEL = os.environ.get("NEEDLE_MODEL", os.path.join(ROOT, "models", "needle-4l"))
scout = library.load()


def generator(seed, words_held_out):
    tokenizer = library.LibraryTokenizer(scout, scout.Tokenizer.load(MODEL))
    text = ""
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))):
        with open(path) as f:
            lines = map(corpus.tidy, corpus.plain_paragraphs(f.read()))
        text += "".join(line + "\n" for line in lines if line)
    # Words of several tokens have to be frequent to become keys.
    language = tasks.Language(tokenizer, text * 6)
    return tasks.Tasks(language, encode_lines(tokenizer, text), np.random.default_rng(seed), words_held_out)


class TaskTest(unittest.TestCase):
    def test_ids_are_those_of_the_text(self):
        t = generator(1, False)
        for _ in range(40):
            s = t.sequence(tasks.Mix(1024, 1, 12, 5), set())
            text = t.lang.tokenizer.decode(s.ids, skip_special_tokens=False)
            again = t.lang.tokenizer.encode(text, add_special_tokens=False).ids
            self.assertEqual(again, s.ids.tolist())

    def test_positions_point_at_key_and_value(self):
        t = generator(2, False)
        s = t.sequence(tasks.Mix(1024, 1, 12, 6), set())
        decode = t.lang.tokenizer.decode
        for f in s.facts:
            value = s.ids[f.value_at:f.value_at + tasks.DIGITS]
            self.assertEqual(decode(value), "".join(map(str, f.value)))
            self.assertEqual(decode(s.ids[f.key_at:f.key_at + len(f.key.ids)]), " " + f.key.text)
        for q in s.questions:
            after = s.ids[q.prompt_end + 1:q.prompt_end + 1 + len(q.answer)]
            self.assertEqual(after.tolist(), q.answer)

    def test_a_changed_value_changes_its_digits_only(self):
        t = generator(6, False)
        fact = t.facts(tasks.Mix(1024, 1, 4, 0), set())[0][0]
        before = t.lang.statement(fact)[0]
        fact.value = (fact.value + 1) % 10
        after = t.lang.statement(fact)[0]
        self.assertEqual(sum(a != b for a, b in zip(before, after)), tasks.DIGITS)
        self.assertEqual(len(before), len(after))

    def test_held_out_words_are_never_training_keys(self):
        train, test = generator(3, False), generator(3, True)
        self.assertFalse(set(train.short + train.long) & set(test.short + test.long))
        s = train.sequence(tasks.Mix(1024, 1, 12, 0), set())
        self.assertFalse([w for f in s.facts for w in f.key.words if tasks.held_out(w)])

    def test_keys_without_an_answer_are_not_in_the_text(self):
        t = generator(4, False)
        s = t.sequence(tasks.Mix(1024, 1, 12, 8, absent=1.0), set())
        there = {f.key.text for f in s.facts}
        for q in s.questions:
            asked = t.lang.tokenizer.decode(s.ids[q.key_at:q.prompt_end]).strip().split("?")[0]
            self.assertNotIn(asked.strip(" ."), there)

    def test_batch_leaves_out_what_a_border_cuts(self):
        t = generator(5, False)
        batch = tasks.make_batch(t, tasks.Mix(512, 4, 10, 5), 64, 0.1)
        for b, r in zip(*np.nonzero(batch.key > 0)):
            self.assertEqual(batch.ids[b, batch.key[b, r]], batch.target[b, r])
        for b, r in zip(*np.nonzero(batch.text)):
            self.assertTrue(batch.hay[b, batch.rows[b, r]])


class GgufTest(unittest.TestCase):
    def setUp(self):
        self.file = os.path.join(MODEL, os.path.basename(MODEL) + ".gguf")

    def test_the_file_is_what_the_writer_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            again = os.path.join(folder, "again.gguf")
            with contextlib.redirect_stdout(io.StringIO()):
                gguf_file.write(MODEL, again)
            with open(again, "rb") as a, open(self.file, "rb") as b:
                self.assertTrue(a.read() == b.read(), "the GGUF file is not that of the folder")

    def test_same_tokens_and_logits_as_the_folder(self):
        t = generator(8, False)
        mix = tasks.Mix(1300, 1, 12, 4, long_keys=0.0)
        rows = []
        for path in (MODEL, self.file):
            with scout.Model(path) as model:
                lang = tasks.Language(library.LibraryTokenizer(scout, model.tokenizer), "")
                s = tasks.Tasks(lang, t.tokens, np.random.default_rng(9), False).sequence(mix, set())
                engine = model.engine(mode=scout.native.SCOUT_MODE_EXACT, kv_tokens=4096)
                with engine, engine.session(2048) as session:
                    session.prefill(s.ids.tolist())
                    rows.append((s.ids.tolist(), session.logits(model.info.vocab_size).tobytes()))
        self.assertEqual(rows[0][0], rows[1][0])
        self.assertEqual(rows[0][1], rows[1][1])

    def test_bfloat16_is_rounded_to_nearest_even(self):
        values = np.array([1.0, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -9, 3e38], np.float32)
        back = gguf_file.bf16_values(gguf_file.bf16_bits(values))
        self.assertEqual(back[:4].tolist(), [1.0, 1.0, 1 + 2 ** -6, -1.0])
        self.assertLess(abs(back[4] / 3e38 - 1), 2 ** -8)


if __name__ == "__main__":
    unittest.main()

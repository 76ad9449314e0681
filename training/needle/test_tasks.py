"""Tests of the task generator, with the tokenizer of the bundled model.

    python3 training/needle/test_tasks.py [MODEL_FOLDER]

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import sys
import unittest

import numpy as np
from tokenizers import Tokenizer

import corpus
import tasks
from prepare import encode_lines

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "models", "needle-4l")


def generator(seed, words_held_out):
    tokenizer = Tokenizer.from_file(os.path.join(MODEL, "tokenizer.json"))
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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        MODEL = sys.argv.pop(1)
    unittest.main()

"""Corpus, tokenizer and token files in a work folder; what is there already is used.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import sys

import numpy as np

import tasks
import vocabulary


def encode_lines(tokenizer, text):
    # A paragraph and its line feed are cut alone as they are in the whole text.
    lines = [line + "\n" for line in text.split("\n") if line]
    ids = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
    return np.concatenate([np.array(i, dtype=np.uint16) for i in ids])


def prepare(work):
    """(Language, tokens of the training text, tokens of the test text)."""
    from tokenizers import Tokenizer
    folder = os.path.join(work, "corpus")
    if not os.path.exists(os.path.join(folder, "corpus.json")):
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run([sys.executable, os.path.join(here, "corpus.py"), folder], check=True)
    text = {}
    for split in ("train", "test"):
        with open(os.path.join(folder, f"{split}.txt")) as f:
            text[split] = f.read()
    path = os.path.join(work, "tokenizer.json")
    if not os.path.exists(path):
        vocabulary.train(text["train"], tasks.TASK_WORDS).save(path, pretty=False)
    tokenizer = Tokenizer.from_file(path)
    tokens = []
    for split in ("train", "test"):
        path = os.path.join(work, f"{split}.npy")
        if not os.path.exists(path):
            np.save(path, encode_lines(tokenizer, text[split]))
            print(f"{split}: {len(np.load(path)):,} tokens", flush=True)
        tokens.append(np.load(path))
    return tasks.Language(tokenizer, text["train"]), *tokens

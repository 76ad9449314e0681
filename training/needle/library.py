"""libscout's Python module and its tokenizer, under the names that tasks.py uses.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULE = os.path.join(ROOT, "build", "release", "bindings", "python")


def load(folder=None):
    """The module `scout` of a build."""
    sys.path.insert(0, folder or os.environ.get("SCOUT_PYTHON", MODULE))
    try:
        import scout
    except ImportError as error:
        raise SystemExit(f"no Python module of libscout in {sys.path[0]} ({error}): build the target "
                         "scout_python, or name its folder in SCOUT_PYTHON") from error
    return scout


class Encoding:
    def __init__(self, ids):
        self.ids = ids


class LibraryTokenizer:
    def __init__(self, scout, tokenizer):
        self.scout, self.tokenizer = scout, tokenizer
        size = scout.native.scout_tokenizer_vocab_size(tokenizer.handle)
        # Byte-level names as far as tasks.py looks at them: letters, spaces and line feeds.
        self.names = [tokenizer.decode([i]).decode("latin-1").replace(" ", "\u0120").replace("\n", "\u010a")
                      for i in range(size)]

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return Encoding(list(self.tokenizer.encode(text, special=True)))

    def encode_batch(self, texts, add_special_tokens):
        return [self.encode(text, add_special_tokens) for text in texts]

    def decode(self, ids, skip_special_tokens=True):
        return self.tokenizer.decode([int(i) for i in ids], skip_special_tokens).decode()

    def token_to_id(self, name):
        return self.scout.native.scout_tokenizer_find(self.tokenizer.handle, name.encode())

    def id_to_token(self, i):
        return self.names[i]

    def get_vocab(self):
        return {name: i for i, name in enumerate(self.names)}

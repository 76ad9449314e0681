#!/usr/bin/env python3
# Writes tests/golden/tokenizer/tiktoken: the small Llama 4 vocabulary of tests/golden/tokenizer/llama4
# as a tiktoken file, and what tiktoken makes of varied strings with it. SPDX-License-Identifier: Apache-2.0
"""The special tokens are Llama 4's 2,048 behind the last rank; text is cut at runs of 25,000 characters
before tiktoken sees it, as Llama 4's own tokenizer does. Bytes that are not UTF-8 go through tiktoken's
encoding of bytes. Needs: pip install tiktoken tokenizers."""
import base64
import json
import pathlib
import random

import tiktoken

from make_tiny_tokenizer import LLAMA4_SPLIT, ROOT, RUNS, SPECIAL_TEXTS, TEXTS, fnv1a64, write_json

LONGEST_RUN = 25000
MORE_RUNS = [("\u00e9", 25001), ("\u00e9", 25000), (" ", 60001), ("\x1c", 25003), ("\u3000\u00a0", 13000),
             ("<|eot|>", 4000), ("ab\u0301", 9000), ("x y", 30000)]
# Numbers of the reserved names, first and last: (group, first, last), None where a name stands.
SPECIALS = """begin_of_text end_of_text fim_prefix fim_middle fim_suffix header_start header_end eom eot step
text_post_train_:0:5 python_start python_end finetune_right_pad text_post_train_:8:68 image_start image_end
vision_:0:1 tile_x_separator tile_y_separator vision_:2:5 image vision_:6:6 patch vision_:7:1047 reasoning_:0:7
reasoning_thinking_start reasoning_thinking_end :0:903"""


def special_tokens():
    names = []
    for word in SPECIALS.split():
        group, colon, numbers = word.partition(":")
        if not colon:
            names.append(f"<|{word}|>")
            continue
        first, last = map(int, numbers.split(":"))
        names += [f"<|{group}reserved_special_token_{i}|>" for i in range(first, last + 1)]
    assert len(names) == 2048
    return names


def byte_of_stand_in():
    """The inverse of the byte-level alphabet of tokenizer.json."""
    keep = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = [b for b in range(256) if b not in keep]
    return {chr(b): b for b in keep} | {chr(256 + i): b for i, b in enumerate(others)}


def cut(text):
    start = run = 0
    was = None
    for i, char in enumerate(text):
        space = char.isspace()
        run = run + 1 if space == was else 1
        was = space
        if run > LONGEST_RUN:
            yield text[start:i]
            start, run = i, 1
    yield text[start:]


def broken_bytes():
    rng = random.Random(4)
    for n in range(60):
        text = rng.choice([t for t in TEXTS if t]).encode()
        raw = bytearray(text if n % 2 else b"the key  \n" + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 30))))
        for _ in range(rng.randrange(1, 3)):
            raw.insert(rng.randrange(len(raw) + 1), rng.choice([0x80, 0xBF, 0xC0, 0xE2, 0xF0, 0xFF]))
        yield bytes(raw)


def main():
    golden = ROOT / "tests/golden/tokenizer"
    vocab = json.loads((golden / "llama4/tokenizer.json").read_text())["model"]["vocab"]
    byte_of = byte_of_stand_in()
    ranks = {bytes(byte_of[c] for c in shown): rank for shown, rank in vocab.items()}
    in_order = sorted(ranks, key=ranks.get)
    assert [ranks[word] for word in in_order] == list(range(len(ranks)))
    folder = golden / "tiktoken"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(
        b"".join(base64.b64encode(word) + b" %d\n" % i for i, word in enumerate(in_order)))
    encoding = tiktoken.Encoding("small", pat_str=LLAMA4_SPLIT, mergeable_ranks=ranks,
                                 special_tokens={t: len(ranks) + i for i, t in enumerate(special_tokens())})

    def encode(text, special):
        ids = []
        for piece in cut(text):
            ids += encoding.encode(piece, allowed_special="all" if special else set(), disallowed_special=())
        return ids

    cases = []
    for special in (False, True):
        cases += [{"text": t, "special": special, "ids": encode(t, special)}
                  for t in (SPECIAL_TEXTS if special else TEXTS + SPECIAL_TEXTS)]
        for piece, times in RUNS + MORE_RUNS:
            if special and "<" not in piece:
                continue
            ids = encode(piece * times, special)
            cases.append({"repeat": piece, "times": times, "special": special, "count": len(ids),
                          "head": ids[:12], "fnv1a64": fnv1a64(ids)})
    cases += [{"hex": raw.hex(), "special": False, "ids": encoding._encode_bytes(raw)} for raw in broken_bytes()]
    write_json(folder / "encodings.json", {"cases": cases})
    print(len(ranks), "ranks,", len(cases), "cases, tiktoken", tiktoken.__version__)


if __name__ == "__main__":
    main()

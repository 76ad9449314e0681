#!/usr/bin/env python3
"""Makes the goldens of a bundled needle model, tests/golden/NAME, from its weights.

    python3 tests/golden/make_needle_golden.py models/needle-4l --corpus build/needle/corpus

golden.json and .safetensors: logits of the last rows and greedy tokens of the transformers package in
float32, after a text of 1,600 tokens with needles and a question; it crosses three borders of the
chunked layers. needles.json: a document of 4,000 tokens and questions about it that the model answers;
`value_at` is where the answer stands in the document, or -1.

Needs numpy, torch, safetensors, tokenizers, transformers. SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "training", "needle"))

import export  # noqa: E402
import tasks  # noqa: E402
from prepare import encode_lines  # noqa: E402

LOGIT_ROWS, GREEDY = 24, 48
TOKENS, DOCUMENT = 1600, 4000


@torch.no_grad()
def greedy(net, ids, n):
    """The n tokens after `ids` by the training's own forward pass, which is faster."""
    ids = list(ids)
    for _ in range(n):
        logits, _, _ = net(torch.tensor([ids]), torch.tensor([[len(ids) - 1]]))
        ids.append(int(logits[0, -1].argmax()))
    return ids[-n:]


@torch.no_grad()
def answers(net, ids, prompt, answer):
    """Whether the answer is drawn greedily: each of its tokens is the best after those before."""
    whole = torch.tensor([[*ids, *prompt, *answer[:-1]]])
    rows = whole.shape[1] - len(answer) + torch.arange(len(answer))[None]
    return net(whole, rows)[0][0].argmax(-1).tolist() == list(answer)


def right_when_changed(net, ids, questions, digits):
    """The questions that are right too where all of their values are changed as the test does it."""
    while True:
        ids_then, changed = list(ids), []
        for q in questions:
            answer = list(q["answer"])
            if q["value_at"] >= 0:
                for i in range(tasks.DIGITS):
                    answer[i] = digits[(digits.index(answer[i]) + 3 + i % 2) % 10]
                    ids_then[q["value_at"] + i] = answer[i]
            changed.append(answer)
        kept = [q for q, a in zip(questions, changed) if answers(net, ids_then, q["prompt"], a)]
        if len(kept) == len(questions):
            return kept
        questions = kept


def write_json(path, value):
    with open(path, "w") as f:
        f.write(json.dumps(value, separators=(",", ":")) + "\n")


def document(t, length, n_facts):
    head = [t.lang.bos, *t.lang.user]
    used = set()
    mix = tasks.Mix(length, 1, n_facts, 0)
    facts, records = t.facts(mix, used)
    ids = head + t.document(length - len(head), facts, records).tolist()
    for f in facts:
        f.at, f.key_at, f.value_at = (x + len(head) for x in (f.at, f.key_at, f.value_at))
    return ids, facts, mix, used


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    net = export.load(args.model)
    tokenizer = Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))
    texts = {}
    for split in ("train", "test"):
        with open(os.path.join(args.corpus, split + ".txt")) as f:
            texts[split] = f.read()
    chunk = model.config.attention_chunk_size
    t = tasks.Tasks(tasks.Language(tokenizer, texts["train"]), encode_lines(tokenizer, texts["test"]),
                    np.random.default_rng(args.seed), True)
    out = os.path.join(ROOT, "tests", "golden", os.path.basename(os.path.abspath(args.model)))
    os.makedirs(out, exist_ok=True)

    ids, facts, mix, _ = document(t, TOKENS - 40, 10)
    ids += t.ask(next(f for f in facts if not tasks.fact_is_cut(f, chunk)), mix)[0]
    drawn = greedy(net, ids, GREEDY)
    with torch.no_grad():
        logits = model(torch.tensor([ids + drawn[:-1]]), use_cache=False,
                       logits_to_keep=LOGIT_ROWS + GREEDY - 1).logits[0]
    # The best token after every one before it: so transformers draws the same.
    assert logits[LOGIT_ROWS - 1:].argmax(-1).tolist() == drawn
    logits = logits[:LOGIT_ROWS]
    path = os.path.relpath(os.path.abspath(args.model), out)
    write_json(os.path.join(out, "golden.json"),
               {"model": path, "input_ids": ids, "greedy_ids": drawn})
    save_file({"logits": logits.contiguous()}, os.path.join(out, "golden.safetensors"))

    ids, facts, mix, used = document(t, DOCUMENT, 24)
    assert len(ids) % chunk < chunk - 64, "another seed: a question has to fit into the last chunk"
    questions = []
    for f in [f for f in facts if not tasks.fact_is_cut(f, chunk)][:16] + [None] * 4:
        prompt, _, answer, _ = t.ask(f, mix, used=used)
        right = answers(net, ids, prompt, answer)
        print(f"{t.lang.tokenizer.decode(prompt[:-6])}: {'right' if right else 'wrong, left out'}")
        if right:
            questions.append({"prompt": prompt, "answer": [int(i) for i in answer],
                              "value_at": f.value_at if f else -1})
    questions = right_when_changed(net, ids, questions, t.lang.digit)
    print(f"{len(questions)} questions")
    digits = t.lang.digit
    write_json(os.path.join(out, "needles.json"),
               {"document": ids, "digits": digits, "questions": questions})


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes a model's card: every figure comes from needle.json and from evaluate.py's counts.

    python3 training/needle/card.py models/needle-4l EVALUATION.json

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os

from network import SHAPES
from train import CURRICULUM, MIXED

INTRO = {
    "needle-4l": "Three chunked layers and a global one, the last: reading costs the same per token at "
                 "any length.",
    "needle-8l": "Two global layers, the first of them in the middle: reading does real global attention, "
                 "whose cost grows with the square of the length.",
}


def share(counts, name):
    if name not in counts:
        return "–"
    right, asked = counts[name]
    return f"{right}/{asked} ({100 * right / asked:.1f} %)"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def accuracy(rows):
    names = ["whole", "cut", "wording never shown", "no answer"]
    body = [[f"{r['length']:,}", r["row"], *(share(r["counts"], n) for n in names)] for r in rows]
    return table(["tokens", "row", "right", "needle cut by a border", "wording never shown",
                  "no-answer control silent"], body)


def by_category(row, prefix):
    names = sorted((n for n in row["counts"] if n.startswith(prefix)), key=lambda n: (len(n), n))
    return [[n.removeprefix(prefix), share(row["counts"], n)] for n in names]


def card(folder, results):
    with open(os.path.join(folder, "needle.json")) as f:
        record = json.load(f)
    name, s = record["model"], SHAPES[record["model"]]
    size = os.path.getsize(os.path.join(folder, "model.safetensors"))
    longest = max((r for r in results["rows"] if r["row"] == "held-out words"), key=lambda r: r["length"])
    pattern = ", ".join("chunked" if r else "global" for r in s.no_rope_layers)
    packages = ", ".join(f"{p} {v}" for p, v in record["corpus"]["packages"].items())
    grown = any(h["grown"] for h in record["history"])
    start = ("It starts from the finished needle-4l, whose layers become its first four; the other four "
             "start as the identity." if grown else
             f"Curriculum of {len(CURRICULUM)} stages, lengths {CURRICULUM[0].mix.length} to "
             f"{CURRICULUM[-1].mix.length}, chunks {CURRICULUM[0].chunk} to {CURRICULUM[-1].chunk}.")
    lengths = sorted({m.length for m in MIXED})
    commands = "; ".join(f"from step {h['from_step']}: seed {h['seed']}, --steps {h['steps']}, "
                         f"{h['threads']} threads" for h in record["history"])
    return f"""# {name}: finds needles in long texts

A Llama 4 text model small enough for a source repository, trained to answer questions about facts in a
long text. {INTRO[name]} It knows nothing else.

| | |
|---|---|
| architecture | `Llama4ForCausalLM`, {s.layers} layers: {pattern} |
| chunk, rope theta | {s.chunk} tokens, {s.theta:g}; qk-norm in chunked layers |
| attention temperature | `attn_scale` {s.attn_scale:g}, `floor_scale` {s.floor_scale} (Scout: 0.1, 8192) |
| width | hidden {s.hidden}, {s.heads} query and {s.kv_heads} key heads of {s.head_dim} |
| experts | {s.experts} of {s.ffn} in each layer, the best one per token, and a shared one of {s.ffn} |
| vocabulary | 2,048: its own byte-level BPE, single digits, Llama 4's splitting rule and special tokens |
| parameters | {record['parameters']:,} in float32, {size:,} bytes; float32 is the reference |
| license | Apache-2.0, as the repository |

bfloat16 is not the reference: rounding moves some routers' choices. `needle.json` records chunk, floor
and scale as trained; a GGUF file has no place for the floor and the scale, so they are given as overrides
(`--temperature-floor {s.floor_scale} --temperature-scale {s.attn_scale:g}`).

## What it answers

    The magic number for amber is 483920.        (a line anywhere in the text; also: pass key, access code)
    Entry amber: 483920                          (a line of a list)
    What is the magic number for amber?          -> 483920
    What is the value of amber?                  -> not in the text   (where no line says so)

Keys are one or two lower-case words, values six digits. The text and the question are one user message in
the Llama 4 chat format; further questions may follow as turns.

## Accuracy

{results['facts']} needles and records or more per row at random token offsets of unseen text, all in one
haystack (several, where it is short), so that each is a distractor of the others. Keys are words, long
words and pairs of words that no training key contained, unless the row says otherwise. Right means: every
digit and the end. "Cut" needles have a border of the chunked layers between key and value, which this
architecture cannot read together; they are not in the other columns.

{accuracy(results['rows'])}

At {longest['length']:,} tokens, by depth:

{table(["depth from", "right"], by_category(longest, "depth "))}

and by key:

{table(["key", "right"], by_category(longest, "key: "))}

Printed by `training/needle/evaluate.py` (seed {results['seed']}), which reads with PyTorch in float32.

## Data

Text: documentation and licences of Debian packages ({packages}), split by document, each under
its package's own licence; none of it is in the model's folder. Needles, records and questions are made
by `training/needle/tasks.py`. One key word in five is never part of a key in training.

## Recipe

`training/needle/README.md` has the commands. {start} Then mixed lengths of {lengths[0]:,} to
{lengths[-1]:,} tokens with the model's own chunk. {record['trained_steps']:,} steps of AdamW on
{record['trained_tokens'] / 1e6:.1f} million tokens, {record['training_seconds'] / 60:.0f} minutes on a CPU
({commands}). The loss is that of the answers, of the text,
and of the global layers' attention, which has to rest on the needle's digit or, where there is no answer,
on the begin token. Positions seen by the temperature are shifted by up to 16 million.

## Limits

- Facts in other words than those above, upper-case keys, other values than six digits: not trained.
- A needle, or the part of a question from its key on, that a border of the chunked layers cuts is mostly
  not answered.
- It continues other text poorly. Use it to test and to show long contexts, never for what it says.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("evaluation")
    args = parser.parse_args()
    with open(args.evaluation) as f:
        results = json.load(f)
    with open(os.path.join(args.folder, "README.md"), "w") as f:
        f.write(card(args.folder, results))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes a model's card and its chart: every figure comes from needle.json and from the runs of
scripts/needle_accuracy --json.

    python3 training/needle/card.py models/needle-4l build/needle/needle-4l.json

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os

from tasks import DIGITS, QUESTIONS, RECORDS, STATEMENTS, UNSEEN_QUESTIONS

INTRO = {
    "needle-4l": "Three chunked layers and a global one, the last: reading costs the same per token at "
                 "any length.",
    "needle-8l": "Two global layers, the first of them in the middle: reading does real global attention, "
                 "whose cost grows with the square of the length.",
}
ROWS = {
    "needle": "statements", "held out": "statements, key words never shown in training",
    "list": "records of a key-value list", "near": "pairs of words, each half a pair of another needle",
    "wording": "statements, asked in words never shown", "changed": "every value changed: the new one",
    "no answer": "keys that are not there: \"not in the text\"",
}
DEPTHS = [f"depth {10 * n} %" for n in range(10)]


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *rows])


def share(counts, name):
    right, asked = counts.get(name, (0, 0))
    return f"{right}/{asked} ({100 * right / asked:.1f} %)" if asked else "–"


def lengths(run):
    return sorted(run["lengths"], key=int)


def accuracy(run):
    rows = [[f"{int(n):,}", text, share(run["lengths"][n][name]["counts"], "whole"),
             share(run["lengths"][n][name]["counts"], "cut")]
            for name, text in ROWS.items() for n in lengths(run) if name in run["lengths"][n]]
    return table(["tokens", "needles", "right", "cut by a chunk's border"], rows)


def speeds(run):
    """Tokens per second of reading, by length."""
    out = []
    for n in lengths(run):
        tokens = sum(r["tokens"] for r in run["lengths"][n].values())
        seconds = sum(r["seconds"] for r in run["lengths"][n].values())
        out.append(f"{tokens / seconds:,.0f} at {int(n):,} tokens")
    return ", ".join(out)


def kv_table(runs):
    rows = []
    for run in runs:
        for n in lengths(run):
            row = run["lengths"][n].get("held out")
            if row:
                rows.append([run["kv"] if run["kv"] != "auto" else "f16", run["mode"], f"{int(n):,}",
                             share(row["counts"], "whole")])
    return "" if len(rows) < 2 else (
        "By format of the KV cache, statements with key words never shown:\n\n" +
        table(["KV", "mode", "tokens", "right"], rows) + "\n")


def far_text(runs):
    out = []
    for run in runs:
        if "far" not in run:
            continue
        f = run["far"]
        depths = ", ".join(f"{d.removeprefix('depth ')}: {a}/{b}" for d, (a, b) in
                           sorted(f["counts"].items()) if d.startswith("depth"))
        out.append(f"{f['tokens']:,} tokens were read in {f['seconds'] / 60:.1f} minutes with "
                   f"{f['threads']} threads and at most {f['peak GiB']} GiB of memory; "
                   f"{share(f['counts'], 'whole')} of the needles were answered, by depth from {depths}; "
                   f"a question takes {f['seconds per question']} s.")
    return "\n".join(out)


def colour(value):
    """From red (0) over yellow to green (1)."""
    red, green = (220, round(60 + 280 * value)) if value < 0.5 else (round(220 - 340 * (value - 0.5)), 200)
    return f"rgb({red},{min(green, 200)},70)"


def chart(run):
    """Accuracy by length and depth as a picture: statements."""
    names = [n for n in lengths(run) if "needle" in run["lengths"][n]]
    left, top, wide, high = 120, 60, 64, 40
    width, height = left + 10 * wide + 20, top + high * len(names) + 50
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'font-family="sans-serif" font-size="13">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="24" font-size="15">right answers, %, by length and depth of the needle '
             f'({run["model"]})</text>']
    for i, n in enumerate(names):
        y = top + i * high
        parts.append(f'<text x="{left - 10}" y="{y + 25}" text-anchor="end">{int(n):,}</text>')
        counts = run["lengths"][n]["needle"]["counts"]
        for j, depth in enumerate(DEPTHS):
            right, asked = counts.get(depth, (0, 0))
            value = right / asked if asked else 0
            x = left + j * wide
            parts.append(f'<rect x="{x}" y="{y}" width="{wide - 2}" height="{high - 2}" '
                         f'fill="{colour(value) if asked else "#ddd"}"/>')
            parts.append(f'<text x="{x + wide / 2 - 1}" y="{y + 25}" text-anchor="middle">'
                         f'{f"{100 * value:.0f}" if asked else "–"}</text>')
    y = top + high * len(names) + 20
    parts += [f'<text x="{left + j * wide}" y="{y}">{10 * j} %</text>' for j in range(10)]
    parts.append(f'<text x="{left}" y="{y + 20}">depth from; tokens on the left</text></svg>')
    return "\n".join(parts) + "\n"


def merged(runs):
    """One run for each KV format and mode, of those that measured different rows or lengths."""
    out = {}
    for run in runs:
        into = out.setdefault((run["kv"], run["mode"], run["seed"]), {**run, "lengths": {}})
        for n, rows in run["lengths"].items():
            into["lengths"].setdefault(n, {}).update(rows)
        if "far" in run:
            into["far"] = run["far"]
    return list(out.values())


def card(folder, runs):
    with open(os.path.join(folder, "needle.json")) as f:
        record = json.load(f)
    with open(os.path.join(folder, "config.json")) as f:
        c = json.load(f)
    name = record["model"]
    main_run = max(runs, key=lambda r: sum(len(x) for x in r["lengths"].values()))
    size = os.path.getsize(os.path.join(folder, "model.safetensors"))
    gguf = os.path.getsize(os.path.join(folder, name + ".gguf"))
    pattern = ", ".join("chunked" if r else "global" for r in c["no_rope_layers"])
    packages = ", ".join(f"{p} {v}" for p, v in record["corpus"]["packages"].items())
    commands = "; ".join(f"from step {h['from_step']}: seed {h['seed']}, --steps {h['steps']}, "
                         f"{h['threads']} threads" for h in record["history"])
    start = ("It starts from the finished needle-4l, whose layers become its first four; the other four "
             "start as the identity." if any(h["grown"] for h in record["history"]) else
             "Short texts with short chunks first, then lengths of 1,024 to 4,096 tokens.")
    notes = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attempts", name + ".md")
    attempts = ""
    if os.path.exists(notes):
        with open(notes) as f:
            attempts = "\n" + f.read()
    lines = "\n".join("    " + s.format(noun="magic number" if "noun" in s else "", key="amber", value="483920")
                      for s in STATEMENTS + RECORDS)
    questions = "\n".join("    " + s.format(noun="magic number", key="amber") for s in QUESTIONS)
    return f"""# {name}: finds needles in long texts

A Llama 4 text model small enough for a source repository, trained from nothing to answer questions about
facts in a long text. {INTRO[name]} It knows nothing else.

| | |
|---|---|
| architecture | `Llama4ForCausalLM`, {c['num_hidden_layers']} layers: {pattern} |
| chunk, rope theta | {c['attention_chunk_size']} tokens, {c['rope_theta']:g}; qk-norm in chunked layers |
| attention temperature | `attn_scale` {c['attn_scale']:g}, `floor_scale` {c['floor_scale']} (Scout: 0.1, 8192) |
| width | hidden {c['hidden_size']}, {c['num_attention_heads']} query and {c['num_key_value_heads']} key heads of {c['head_dim']} |
| experts | {c['num_local_experts']} of {c['intermediate_size']} in each layer, the best one per token, and a shared one |
| vocabulary | {c['vocab_size']:,}: its own byte-level BPE, single digits, Llama 4's splitting rule and special tokens |
| parameters | {record['parameters']:,} in bfloat16: {size:,} bytes, as a GGUF file {gguf:,} |
| license | Apache-2.0, as the repository |

What the model is, is its rounded weights computed with in float32: computing in bfloat16 moves some routers'
choices. `training/needle/export.py --verify` compares logits with the transformers package; the tests hold
libscout's exact mode to them within 2.5e-4.

The GGUF file says chunk, floor and scale under general keys (`attention.sliding_window`,
`attention.temperature_length`, `attention.temperature_scale`), as the architecture has none of its own. A
copy without them needs `--chunk {c['attention_chunk_size']} --temperature-floor {c['floor_scale']} --temperature-scale {c['attn_scale']:g}`.

## What it answers

A fact is a line of the text; nouns are magic number, pass key, access code, in records value:

{lines}

and these are questions about it:

{questions}

The answer is the value, or "{'not in the text'}" where no line says one. Keys are one or two lower-case words,
values {DIGITS} digits. Text and question are one user message in the Llama 4 chat format; further questions
may follow as turns.

## Accuracy

Measured by libscout: `scripts/needle_accuracy` (seed {main_run['seed']}, {main_run['mode']} mode), at least
{main_run['needles']} needles of a row at random token offsets of unseen text, each a distractor of the
others; one haystack is read (several, where it is short) and every question asked in a fork of that session,
greedily. Right means every digit and the end. Needles that a border of the chunked layers cuts between key
and value are in a column of their own.

{accuracy(main_run)}

Never shown wordings are "{UNSEEN_QUESTIONS[0].format(noun='magic number', key='amber')}" and
"{UNSEEN_QUESTIONS[1].format(noun='magic number', key='amber')}". Tokens/s of reading: {speeds(main_run)}.

![accuracy by length and depth](accuracy.svg)

{far_text(runs)}

{kv_table(runs)}
## Data

Text: documentation and licences of Debian packages ({packages}), split by document, each under
its package's own licence; none of it is in the model's folder. Needles, records and questions are made
by `training/needle/tasks.py`. One key word in five is never part of a key in training.

## Recipe

`training/needle/README.md` has the commands and what makes them work. {start} {record['trained_steps']:,} steps
of AdamW on {record['trained_tokens'] / 1e6:.1f} million tokens, {record['training_seconds'] / 60:.0f} minutes on a shared
machine of two cores ({commands}).
{attempts}
## Limits

- Facts in other words than those above, upper-case keys, other values than {DIGITS} digits: not trained.
- A needle, or the part of a question from its key on, that a border of the chunked layers cuts is mostly
  not answered.
- It continues other text poorly. Use it to test and to show long contexts, never for what it says.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("runs", help="of scripts/needle_accuracy --json")
    args = parser.parse_args()
    with open(args.runs) as f:
        runs = merged(json.load(f))
    with open(os.path.join(args.folder, "README.md"), "w") as f:
        f.write(card(args.folder, runs))
    with_depths = [r for r in runs if any("needle" in x for x in r["lengths"].values())]
    with open(os.path.join(args.folder, "accuracy.svg"), "w") as f:
        f.write(chart(max(with_depths, key=lambda r: len(r["lengths"]))))


if __name__ == "__main__":
    main()

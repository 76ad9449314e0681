#!/usr/bin/env python3
"""Trains a needle model from scratch on a CPU: curriculum, then mixed lengths.

    python3 training/needle/train.py --model needle-4l --work build/needle [--threads 2]

Corpus and tokenizer are made in the work folder if they are not there. A checkpoint is written every
minute and at the end; the same command goes on from it. Ctrl-C and SIGTERM write one too. A line of progress
comes every 20 seconds: watch the first digit. Where it stays near 10 % for more than a few hundred
steps, retrieval has not begun and the run is lost; another --seed helps.

needle-8l does not start from nothing but from a finished needle-4l (--grow-from CHECKPOINT), whose
four layers become its first four.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import math
import os
import signal
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from network import SHAPES, Needle, parameters
from prepare import prepare
from tasks import Mix, Tasks, make_batch

# Chunks are short at first, so that the chunked layers cannot do the retrieval themselves and the
# global layer has to learn it. Kinds of keys and forms of questions come one after the other too.
PLAIN = dict(long_keys=0.0, pair_keys=0.0, records=0.0)


@dataclass(frozen=True)
class Stage:
    mix: Mix
    chunk: int
    goal: float    # go on when this share of answers (a running mean) is exact
    most: int      # or after as many steps


CURRICULUM = [
    Stage(Mix(320, 8, 7, 5, absent=0.0, forms=1, **PLAIN), 64, 0.85, 400),
    Stage(Mix(512, 6, 12, 8, absent=0.15, forms=2, **PLAIN), 128, 0.88, 300),
    Stage(Mix(768, 4, 16, 10, long_keys=0.3, pair_keys=0.2), 192, 0.85, 300),
    Stage(Mix(1024, 4, 20, 10), 256, 0.88, 300),
]
# Then lengths are drawn from these, with the model's own chunk.
MIXED = [Mix(length, batch, facts, questions, absent=0.3) for length, batch, facts, questions in
         [(1024, 4, 16, 10), (2048, 2, 24, 12), (2048, 2, 12, 10), (4096, 1, 40, 14), (4096, 1, 14, 12)]]
CHECK = Mix(2048, 4, 12, 10)

PEAK_RATE, MIXED_RATE, WARMUP = 2e-3, 1.4e-3, 60
SHIFT_UP_TO = 1.6e7       # tokens: positions that the attention temperature is trained for
SUPERVISION_SCALE = 4.0   # the temperature of attention supervision: that of about 1,200 tokens
SUPERVISION, BALANCE = 0.3, 0.003
TEXT_EARLY, TEXT_LATE = 0.15, 0.4  # weight of the language model's loss
TEXT_ROWS, TEXT_ROWS_LATE = 0.12, 0.06  # share of positions that it counts at
SUPERVISED_ROWS = 64      # of a batch
BANK_KEYS, BANK_STEPS = 768, 16    # text keys of older batches that supervision must tell apart too


def supervise(q, k, batch, bank, rng):
    """Cross-entropy of a global layer's own softmax over all keys at hand: the batch's, whose other
    sequences are distractors too (the layer knows no positions), and older ones, other needles' digits
    among them. The right key is the needle's digit, or the begin token where the text has no answer."""
    b, r = np.nonzero(batch.key >= 0)
    length, kv, size = k.shape[1:]
    if len(b) > SUPERVISED_ROWS:
        chosen = rng.choice(len(b), SUPERVISED_ROWS, replace=False)
        b, r = b[chosen], r[chosen]
    n = len(b)
    # (kv_heads, n * heads per kv head, head_dim) and (kv_heads, keys, head_dim)
    q = (q[b, r] * (SUPERVISION_SCALE * size ** -0.5)).view(n, kv, -1, size).transpose(0, 1).flatten(1, 2)
    flat = k.reshape(-1, kv, size)
    at = np.arange(len(flat))
    own = at[None] // length == b[:, None]
    # Begin tokens are all alike: those of other sequences would be right answers counted as wrong.
    hidden = np.where(own, at[None] % length > batch.rows[b, r][:, None], at[None] % length == 0)
    # An older needle of the same key would be a second right answer.
    tags = np.concatenate([np.zeros(0, np.int64), *(t for _, t in bank)])
    hidden = np.concatenate([hidden, tags[None] == batch.tag[b, r][:, None]], 1)
    hidden = np.where(hidden, -np.inf, 0).astype(np.float32)
    heads = q.shape[1] // n
    hidden = torch.from_numpy(hidden).repeat_interleave(heads, 0)
    target = torch.from_numpy(b * length + batch.key[b, r]).repeat_interleave(heads)
    keys = torch.cat([flat, *(old for old, _ in bank)]).permute(1, 2, 0)
    return sum(F.cross_entropy(torch.addmm(hidden, a, c), target) for a, c in zip(q, keys)) / kv


def refill(bank, k, batch, rng):
    """Adds keys of plain text and of all needles' digits to the bank, with their tags (0: text), and
    forgets the oldest."""
    at = np.flatnonzero(batch.hay)
    at = rng.choice(at, min(BANK_KEYS, len(at)), replace=False)
    tags = np.concatenate([np.zeros(len(at), np.int64), batch.digit_tags])
    bank.append((k.detach().reshape(-1, *k.shape[2:])[np.concatenate([at, batch.digits])], tags))
    del bank[:-BANK_STEPS]


def score(logits, batch):
    """Shares (first tokens right, answers exact, questions without an answer exact)."""
    is_answer = batch.weight > 0
    right = logits.argmax(-1).numpy() == batch.target
    exact = np.ones(len(batch.absent), dtype=bool)
    np.logical_and.at(exact, batch.question[is_answer], right[is_answer])
    mean = lambda a: float(a.mean()) if len(a) else math.nan
    there = batch.first.astype(bool) & (batch.key > 0)
    return mean(right[there]), mean(exact[~batch.absent]), mean(exact[batch.absent])


@torch.no_grad()
def check(net, tasks, batches=3):
    """The same shares on unseen text with held-out key words, at the training lengths."""
    rows = []
    for _ in range(batches):
        batch = make_batch(tasks, CHECK, net.shape.chunk, 0.01)
        logits, _, _ = net(torch.from_numpy(batch.ids), torch.from_numpy(batch.rows))
        rows.append(score(logits, batch))
    return np.nanmean(rows, axis=0)


class Run:
    """Everything that a checkpoint holds."""

    def __init__(self, net, seed):
        self.net = net
        matrices = [p for p in net.parameters() if p.dim() > 1]
        vectors = [p for p in net.parameters() if p.dim() == 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
            lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9, fused=True)
        self.rng = np.random.default_rng(seed)
        self.stage, self.stage_step, self.step, self.tokens = 0, 0, 0, 0
        self.mean, self.seconds = 0.0, 0.0
        self.bank = [[] for _ in net.shape.global_layers]
        self.history = []  # of the commands that led here, for the model's record

    COUNTERS = ["stage", "stage_step", "step", "mean", "seconds", "tokens", "bank", "history"]

    def save(self, path):
        state = {name: getattr(self, name) for name in self.COUNTERS}
        state.update(weights=self.net.state_dict(), optimizer=self.optimizer.state_dict(),
                     rng=self.rng.bit_generator.state)
        torch.save(state, path + ".new")
        os.replace(path + ".new", path)

    def load(self, path):
        state = torch.load(path, weights_only=False)
        for name in self.COUNTERS:
            setattr(self, name, state[name])
        self.net.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]

    def rate(self, steps):
        if self.stage < len(CURRICULUM):
            return PEAK_RATE * min(1.0, (self.step + 1) / WARMUP)
        done = self.stage_step / steps
        fall = min(1.0, max(0.02, (1 - done) / 0.75))
        # The optimizer of a grown model is new here, so it warms up.
        return MIXED_RATE * min(1.0, (self.step + 1) / WARMUP) * fall

    def advance(self, tasks, steps):
        """One optimizer step; returns the figures of the progress line."""
        net, rng = self.net, self.rng
        mixed = self.stage == len(CURRICULUM)
        mix = MIXED[rng.integers(len(MIXED))] if mixed else CURRICULUM[self.stage].mix
        chunk = net.shape.chunk if mixed else CURRICULUM[self.stage].chunk
        batch = make_batch(tasks, mix, chunk, TEXT_ROWS_LATE if mixed else TEXT_ROWS)
        offset = None
        if self.stage > 0:
            far = np.exp(rng.uniform(0, math.log(SHIFT_UP_TO), mix.batch)).astype(np.int64)
            offset = torch.from_numpy(np.where(rng.random(mix.batch) < 0.5, far, 0))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(steps)
        logits, balance, seen = net(torch.from_numpy(batch.ids), torch.from_numpy(batch.rows), offset, chunk)
        target = torch.from_numpy(batch.target).flatten()
        loss = F.cross_entropy(logits.flatten(0, 1), target, reduction="none")
        weight, text = (torch.from_numpy(a).flatten() for a in (batch.weight, batch.text))
        answers = (loss * weight).sum() / (weight > 0).sum().clamp_min(1)
        reading = (loss * text).sum() / text.sum()
        attention = sum(supervise(q, k, batch, bank, rng) for (q, k), bank in zip(seen, self.bank))
        (answers + (TEXT_LATE if mixed else TEXT_EARLY) * reading + SUPERVISION * attention +
         BALANCE * balance).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for (_, k), bank in zip(seen, self.bank):
            refill(bank, k, batch, rng)
        first, exact, silent = score(logits.detach(), batch)
        self.step, self.stage_step = self.step + 1, self.stage_step + 1
        self.tokens += batch.ids.size
        if not math.isnan(exact):  # a batch may happen to have only questions without an answer
            self.mean += 0.05 * (exact - self.mean)
        return {"stage": self.stage, "len": mix.length, "answer": answers.item(), "text": reading.item(),
                "attention": attention.item(), "first digit": first, "exact": exact,
                "not there": silent, "mean exact": self.mean}

    def maybe_next_stage(self):
        if self.stage == len(CURRICULUM):
            return
        stage = CURRICULUM[self.stage]
        if (self.mean > stage.goal and self.stage_step > 40) or self.stage_step >= stage.most:
            print(f"== stage {self.stage} done after {self.stage_step} steps, {self.mean:.3f} exact",
                  flush=True)
            # Exact answers fall at each change; a low start makes the mean wait for the new ones.
            self.stage, self.stage_step, self.mean = self.stage + 1, 0, min(self.mean, 0.5)


def checkpoint_path(args):
    return os.path.join(args.work, args.model + ".pt")


def train(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    language, train_text, test_text = prepare(args.work)
    net = Needle(SHAPES[args.model], args.seed)
    run = Run(net, args.seed)
    path = checkpoint_path(args)
    if os.path.exists(path):
        run.load(path)
        print(f"going on at step {run.step}, after {run.seconds:.0f} s of training")
    elif args.grow_from:
        net.grow_from(torch.load(args.grow_from, weights_only=False)["weights"])
        run.stage = len(CURRICULUM)
    run.history.append({"from_step": run.step, "seed": args.seed, "steps": args.steps,
                        "threads": args.threads, "grown": bool(args.grow_from)})
    print(f"{args.model}: {parameters(net):,} parameters, {len(language.short)} one-token words, "
          f"{len(language.long)} longer ones", flush=True)
    tasks = Tasks(language, train_text, run.rng, words_held_out=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # saves, as Ctrl-C does
    began = said = saved = time.monotonic()
    started_with = run.seconds
    try:
        while run.stage < len(CURRICULUM) or run.stage_step < args.steps:
            while args.pause_file and os.path.exists(args.pause_file):
                time.sleep(0.5)
                began += 0.5
            figures = run.advance(tasks, args.steps)
            run.maybe_next_stage()
            now = time.monotonic()
            run.seconds = started_with + now - began
            if now - said >= 20:
                said = now
                shown = " ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}"
                                 for k, v in figures.items())
                print(f"{run.seconds:6.0f} s step {run.step} {shown} rate {run.rate(args.steps):.5f} "
                      f"tokens {run.tokens / 1e6:.2f}M", flush=True)
            if run.step % 250 == 0:
                fixed = Tasks(language, test_text, np.random.default_rng(1), words_held_out=True)
                first, exact, silent = check(net, fixed)
                print(f"   check, held-out words, {CHECK.length} tokens: first digit {first:.3f} "
                      f"exact {exact:.3f} not there {silent:.3f}", flush=True)
            if now - saved >= 60:
                saved = now
                run.save(path)
            if args.minutes and run.seconds - started_with > 60 * args.minutes:
                break
    finally:
        run.save(path)
    print(f"stopped at step {run.step}, {run.seconds:.0f} s of training, {run.tokens / 1e6:.1f}M tokens",
          flush=True)
    return run


def add_options(parser):
    parser.add_argument("--model", choices=sorted(SHAPES), required=True)
    parser.add_argument("--work", required=True, help="folder for corpus, tokenizer and checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2000, help="of the mixed part, after the curriculum")
    parser.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    parser.add_argument("--grow-from", metavar="CHECKPOINT", help="a finished model with fewer layers")
    parser.add_argument("--pause-file", metavar="PATH", help="wait while this file exists")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    train(parser.parse_args())


if __name__ == "__main__":
    main()

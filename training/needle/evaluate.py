#!/usr/bin/env python3
"""Accuracy of a needle model by length, read chunk by chunk with a KV cache.

    python3 training/needle/evaluate.py models/needle-4l --work build/needle --json OUT.json \\
        [--lengths 4096,32768,131072] [--facts 300]

One haystack of unseen text per row holds all of the row's needles and records at random token offsets
(short ones hold fewer, so there are several); all are asked over the same cache. An answer counts
when all its tokens and the end token are the most probable ones, each after the right tokens before
it: that is the same as a greedy answer that is equal. Keys are held-out words unless the row says
otherwise. Needles cut by a border of the chunked layers are counted apart.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F

import export
from network import rms
from prepare import prepare
from tasks import DIGITS, UNSEEN_QUESTIONS, Mix, Tasks, fact_is_cut

BLOCK_CHUNKS = 4      # chunks read in one pass
KEY_BLOCK = 4096      # keys per step of the softmax over a long cache
ROOM = 64             # tokens that the longest question and its answer take
ASKED_TOGETHER = 64   # questions in one pass


class Reader:
    """A document's keys and values: all of them in global layers, the open chunk's in the others."""

    def __init__(self, net, capacity):
        self.net, self.shape, self.length = net, net.shape, 0
        s = self.shape
        new = lambda: torch.empty(s.kv_heads, capacity, s.head_dim)
        self.cache = {i: (new(), new()) for i in s.global_layers}
        self.open_chunk = {}

    def read(self, ids):
        """Reads a whole document."""
        step = self.shape.chunk * BLOCK_CHUNKS
        whole = len(ids) - len(ids) % self.shape.chunk
        for at in range(0, whole, step):
            self.block(ids[at:min(at + step, whole)][None], aligned=True)
        if whole < len(ids):
            self.block(ids[whole:][None], aligned=False)

    def block(self, ids, aligned):
        net, s, n = self.net, self.shape, ids.shape[1]
        x = F.embedding(ids, net.embedding)
        positions = self.length + torch.arange(n)
        for i, layer in enumerate(net.layers):
            if layer.is_global:
                h = rms(x, layer.norm_attention, s.eps)
                k, v = layer.keys_values(h)
                if i < s.layers - 1:  # the last layer's output is wanted of questions only
                    y = self.global_attention(i, layer.queries(h), positions[None], k, v,
                                              torch.arange(n)[None])
                    x, _ = layer.merge(x, y)
                for cache, new in zip(self.cache[i], (k, v)):
                    cache[:, self.length:self.length + n] = new[0].transpose(0, 1)
            elif aligned:
                x, _ = net.chunked(layer, x, s.chunk)
            else:
                x, self.open_chunk[i] = self.chunked_attention(i, layer, x)
        self.length += n

    def chunked_attention(self, i, layer, x):
        """Tokens after the open chunk's, whose keys and values are then returned too."""
        s, (b, t, _) = self.shape, x.shape
        h = rms(x, layer.norm_attention, s.eps)
        start = self.length % s.chunk
        at = start + torch.arange(t)
        q, k, v = layer.rotated(h, self.net.rope(at % s.chunk))
        if i in self.open_chunk:
            k, v = (torch.cat([old.expand(b, -1, -1, -1), new], 1)
                    for old, new in zip(self.open_chunk[i], (k, v)))
        key_at = torch.arange(start + t)
        mask = (key_at <= at[:, None]) & (key_at // s.chunk == at[:, None] // s.chunk)
        group = s.heads // s.kv_heads
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), *(a.repeat_interleave(group, 2).transpose(1, 2) for a in (k, v)),
            attn_mask=mask)
        return layer.merge(x, y)[0], (k, v)

    def global_attention(self, i, q, positions, k, v, rows):
        """Attention of q (B, R, heads, head_dim), at `rows` of the new tokens, over the cache and the new
        keys (B, T, kv_heads, head_dim): a softmax that goes on from block to block."""
        s = self.shape
        b, r = q.shape[:2]
        group = s.heads // s.kv_heads
        scale = self.net.temperature(positions)[..., None, None] * s.head_dim ** -0.5
        # (kv_heads, B, R, group, head_dim)
        q = (q * scale).view(b, r, s.kv_heads, group, s.head_dim).permute(2, 0, 1, 3, 4)
        scores = torch.einsum("kbrgd,btkd->kbrgt", q, k)
        hidden = torch.arange(k.shape[1]) > rows[..., None]
        scores = scores.masked_fill(hidden[None, :, :, None], -torch.inf)
        top = scores.amax(-1, keepdim=True)
        p = (scores - top).exp()
        total = p.sum(-1, keepdim=True)
        out = torch.einsum("kbrgt,btkd->kbrgd", p, v)
        flat = q.reshape(s.kv_heads, -1, s.head_dim)
        keys, values = self.cache[i]
        for at in range(0, self.length, KEY_BLOCK):
            end = min(at + KEY_BLOCK, self.length)
            scores = torch.bmm(flat, keys[:, at:end].transpose(1, 2))
            new_top = torch.maximum(top, scores.amax(-1).view_as(top))
            scores = scores.sub_(new_top.view(s.kv_heads, -1, 1)).exp_()
            old = (top - new_top).exp()
            total = total * old + scores.sum(-1).view_as(total)
            out = out * old + torch.bmm(scores, values[:, at:end]).view_as(out)
            top = new_top
        return (out / total).permute(1, 0, 3, 2, 4).reshape(b, s.heads, r, s.head_dim)

    def ask(self, prompts, answers):
        """Whether each answer is exact. All questions follow the document; nothing of them is kept."""
        exact = []
        for at in range(0, len(prompts), ASKED_TOGETHER):
            exact += self.ask_some(prompts[at:at + ASKED_TOGETHER], answers[at:at + ASKED_TOGETHER])
        return exact

    def ask_some(self, prompts, answers):
        net, s = self.net, self.shape
        longest = max(len(p) + len(a) for p, a in zip(prompts, answers))
        most = max(map(len, answers))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        rows = torch.zeros(len(prompts), most, dtype=torch.long)
        target = torch.full((len(prompts), most), -1)
        for n, (p, a) in enumerate(zip(prompts, answers)):
            ids[n, :len(p) + len(a)] = torch.tensor(p + a)
            rows[n, :len(a)] = len(p) - 1 + torch.arange(len(a))
            target[n, :len(a)] = torch.tensor(a)
        x = F.embedding(ids, net.embedding)
        every = torch.arange(longest).expand_as(ids)
        for i, layer in enumerate(net.layers):
            if not layer.is_global:
                x, _ = self.chunked_attention(i, layer, x)
                continue
            h = rms(x, layer.norm_attention, s.eps)
            k, v = layer.keys_values(h)
            wanted = rows if i == s.layers - 1 else every
            pick = lambda a: a.gather(1, wanted[..., None].expand(-1, -1, s.hidden))
            y = self.global_attention(i, layer.queries(pick(h)), self.length + wanted, k, v, wanted)
            x, _ = layer.merge(pick(x), y)
        best = F.linear(rms(x, net.norm, s.eps), net.head).argmax(-1)
        return ((best == target) | (target < 0)).all(-1).tolist()


def kind(key):
    return "pair" if len(key.words) == 2 else "word" if len(key.ids) == 1 else "long word"


@torch.no_grad()
def row(net, tasks, length, n_facts, border=False):
    """Counts (right, asked) by category at one length.

    The document ends where a question fits into its last chunk; with `border`, where none does.
    """
    counts, seconds, chunk = {}, 0.0, net.shape.chunk
    mix = Mix(length, 1, max(4, min(n_facts, length // 128)), 0)
    asked = 0

    def count(name, right):
        have = counts.setdefault(name, [0, 0])
        have[0] += int(right)
        have[1] += 1

    while asked < n_facts:
        used = set()
        facts, records = tasks.facts(mix, used)
        head = [tasks.lang.bos, *tasks.lang.user]
        document = np.concatenate([head, tasks.document(length - len(head) - ROOM, facts, records)])
        for f in facts:
            f.at, f.key_at, f.value_at = (x + len(head) for x in (f.at, f.key_at, f.value_at))
        # Text is cut off in front (the facts move along) until the end lies as wanted.
        low, high = (chunk - 12, chunk - 4) if border else (0, chunk - ROOM)
        free = min(f.at for f in facts) - len(head)
        fitting = [d for d in range(min(free, chunk)) if low <= (len(document) - d) % chunk < high]
        if not fitting:
            continue
        drop = fitting[0]
        document = np.concatenate([document[:len(head)], document[len(head) + drop:]])
        for f in facts:
            f.at, f.key_at, f.value_at = f.at - drop, f.key_at - drop, f.value_at - drop
        reader = Reader(net, len(document))
        began = time.monotonic()
        reader.read(torch.from_numpy(document))
        seconds += time.monotonic() - began
        asked += len(facts)
        ask = lambda fact, form=None: tasks.ask(fact, mix, form, used)
        shown = [ask(f) for f in facts]
        for f, right in zip(facts, reader.ask([q[0] for q in shown], [q[2] for q in shown])):
            if fact_is_cut(f, chunk):
                count("cut", right)
                continue
            count("whole", right)
            count(f"depth {min(4, 5 * f.at // len(document)) * 20} %", right)
            count("key: " + kind(f.key), right)
            count("record" if f.noun == "value" else "needle", right)
        whole = [f for f in facts if not fact_is_cut(f, chunk)]
        other = [ask(f, UNSEEN_QUESTIONS[n % 2]) for n, f in enumerate(whole)]
        for right in reader.ask([q[0] for q in other], [q[2] for q in other]):
            count("wording never shown", right)
        none = [ask(None) for _ in range(len(facts) // 3 + 1)]
        for right in reader.ask([q[0] for q in none], [q[2] for q in none]):
            count("no answer", right)
    return {"length": length, "seconds reading": round(seconds, 1), "counts": counts}


def show(name, result):
    parts = [f"{k} {a}/{b}" for k, (a, b) in result["counts"].items()]
    print(f"{name}, {result['length']:,} tokens: " + "; ".join(parts) +
          f"; read in {result['seconds reading']} s", flush=True)


def evaluate(folder, work, lengths, n_facts, seed=7):
    net = export.load(folder)
    language, _, test_text = prepare(work)
    results = []
    rows = [("held-out words", n, False, True) for n in lengths]
    rows += [("training words", lengths[0], False, False),
             ("question across a border", lengths[0], True, True)]
    for name, length, border, words_held_out in rows:
        tasks = Tasks(language, test_text, np.random.default_rng([seed, length]), words_held_out)
        results.append({"row": name, **row(net, tasks, length, n_facts, border)})
        show(name, results[-1])
    return {"digits": DIGITS, "seed": seed, "facts": n_facts, "rows": results}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--work", required=True, help="the training's folder: corpus and tokens")
    parser.add_argument("--lengths", default="4096,32768,131072")
    parser.add_argument("--facts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="PATH", help="write the counts here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lengths = [int(n) for n in args.lengths.split(",")]
    result = evaluate(args.folder, args.work, lengths, args.facts, args.seed)
    if args.json:
        with open(args.json, "w") as f:
            f.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

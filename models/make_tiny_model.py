#!/usr/bin/env python3
"""Trains the bundled demonstration model, models/tiny, from nothing, on one thread, in minutes.

A text model of the Llama 4 architecture: three chunked layers with rotary positions and qk-norm, one
global layer without, routed and shared experts in each. It learns the short dialogs of
tiny_dialogs.py by heart. Written with its own forward pass, which sends each row only through its
expert; --verify compares that with the transformers package.

    python3 models/make_tiny_model.py [--out models/tiny] [--steps N] [--verify]

Needs torch, tokenizers, safetensors (and transformers for --verify). SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import math
import os
import random
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import tiny_dialogs as dialogs

SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>",
            "<|eom|>", "<|eot|>", "<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"]

VOCAB = 768
LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM = 4, 96, 4, 2, 32
EXPERTS, FFN, CHUNK, FLOOR, ATTN_SCALE = 4, 48, 64, 64, 0.1
THETA, EPS = 10000.0, 1e-5
GLOBAL = [(i + 1) % 4 == 0 for i in range(LAYERS)]
ROW = 144  # tokens of a training row: more than two chunks


def train_tokenizer(seed):
    r = random.Random(seed)
    corpus = [part for _ in range(6000) for part in dialogs.question(r)]
    corpus += dialogs.SYSTEM + ["system", "user", "assistant", "ipython"] * 200
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(SPECIALS), min_frequency=2,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    n = tokenizer.get_vocab_size()
    # The specials stand behind the pieces and end at the vocabulary's edge, as in Llama 4.
    spare = [f"<|reserved_special_token_{i}|>" for i in range(VOCAB - len(SPECIALS) - n)]
    tokenizer.add_special_tokens(SPECIALS + spare)
    bos = tokenizer.token_to_id(SPECIALS[0])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{SPECIALS[0]} $A", pair=None,
                                      special_tokens=[(SPECIALS[0], bos)])])
    return tokenizer


class Format:
    """The Llama 4 chat format as token ids."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.bos, self.start, self.end, self.eot = (
            tokenizer.token_to_id(f"<|{n}|>")
            for n in ("begin_of_text", "header_start", "header_end", "eot"))

    def text(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def header(self, role):
        # "\n\n" and the content are one text, as the chat template renders them.
        return [self.start] + self.text(role) + [self.end]

    def message(self, role, content):
        return self.header(role) + self.text("\n\n" + content) + [self.eot]

    def prompt(self, question):
        return [self.bos] + self.message("user", question) + self.header("assistant") + \
            self.text("\n\n")


def training_row(fmt, r):
    """One dialog that fills the row, and the weight of each token's loss."""
    ids, weight = [fmt.bos], [0.0]

    def put(tokens, w):
        ids.extend(tokens)
        weight.extend([w] * len(tokens))

    if r.random() < 0.2:
        put(fmt.message("system", r.choice(dialogs.SYSTEM)), 0.02)
    while len(ids) < ROW + 1:
        q, a = dialogs.question(r)
        put(fmt.message("user", q), 0.02)
        put(fmt.header("assistant") + fmt.text("\n\n"), 0.02)
        put(fmt.text(a) + [fmt.eot], 1.0)
    return ids[:ROW + 1], weight[:ROW + 1]


def init_weights(generator):
    w = {}

    def normal(name, *shape, std=0.02):
        w[name] = torch.randn(*shape, generator=generator) * std

    normal("model.embed_tokens.weight", VOCAB, HIDDEN, std=0.05)
    normal("lm_head.weight", VOCAB, HIDDEN)
    w["model.norm.weight"] = torch.ones(HIDDEN)
    std = HIDDEN ** -0.5
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        normal(p + "self_attn.q_proj.weight", HEADS * HEAD_DIM, HIDDEN, std=std)
        normal(p + "self_attn.k_proj.weight", KV_HEADS * HEAD_DIM, HIDDEN, std=std)
        normal(p + "self_attn.v_proj.weight", KV_HEADS * HEAD_DIM, HIDDEN, std=std)
        normal(p + "self_attn.o_proj.weight", HIDDEN, HEADS * HEAD_DIM, std=std / 3)
        f = p + "feed_forward."
        normal(f + "router.weight", EXPERTS, HIDDEN, std=std)
        normal(f + "experts.gate_up_proj", EXPERTS, HIDDEN, 2 * FFN, std=std)
        normal(f + "experts.down_proj", EXPERTS, FFN, HIDDEN, std=FFN ** -0.5 / 3)
        normal(f + "shared_expert.gate_proj.weight", FFN, HIDDEN, std=std)
        normal(f + "shared_expert.up_proj.weight", FFN, HIDDEN, std=std)
        normal(f + "shared_expert.down_proj.weight", HIDDEN, FFN, std=FFN ** -0.5 / 3)
        w[p + "input_layernorm.weight"] = torch.ones(HIDDEN)
        w[p + "post_attention_layernorm.weight"] = torch.ones(HIDDEN)
    return w


def rmsnorm(x, weight=None):
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)
    return y if weight is None else y * weight


def attention(w, p, x, global_layer, tables):
    b, t, _ = x.shape
    q = F.linear(x, w[p + "q_proj.weight"]).view(b, t, HEADS, HEAD_DIM)
    k = F.linear(x, w[p + "k_proj.weight"]).view(b, t, KV_HEADS, HEAD_DIM)
    v = F.linear(x, w[p + "v_proj.weight"]).view(b, t, KV_HEADS, HEAD_DIM)
    if global_layer:
        q = q * tables["temperature"][:t, None, None]
        mask = tables["causal"][:t, :t]
    else:
        cos, sin = tables["cos"][:t, None], tables["sin"][:t, None]

        def rotate(a):  # pairs (2j, 2j + 1)
            even, odd = a[..., 0::2], a[..., 1::2]
            return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

        q, k = rmsnorm(rotate(q)), rmsnorm(rotate(k))
        mask = tables["chunk"][:t, :t]
    k, v = (a.repeat_interleave(HEADS // KV_HEADS, 2).transpose(1, 2) for a in (k, v))
    scores = q.transpose(1, 2) @ k.transpose(-1, -2) / math.sqrt(HEAD_DIM)
    y = (scores + mask).softmax(-1) @ v
    return F.linear(y.transpose(1, 2).reshape(b, t, -1), w[p + "o_proj.weight"])


def moe(w, p, x):
    """Output, and the loss that keeps the experts equally used."""
    shape = x.shape
    x = x.reshape(-1, HIDDEN)
    y = F.linear(F.silu(F.linear(x, w[p + "shared_expert.gate_proj.weight"])) *
                 F.linear(x, w[p + "shared_expert.up_proj.weight"]),
                 w[p + "shared_expert.down_proj.weight"])
    router = F.linear(x, w[p + "router.weight"])
    best, choice = router.max(-1)
    scaled = x * torch.sigmoid(best)[:, None]
    order = choice.argsort(stable=True)
    sizes = torch.bincount(choice, minlength=EXPERTS)
    parts = []
    for e, rows in enumerate(scaled[order].split(sizes.tolist())):
        gate, up = (rows @ w[p + "experts.gate_up_proj"][e]).chunk(2, -1)
        parts.append((F.silu(gate) * up) @ w[p + "experts.down_proj"][e])
    y = y.index_add(0, order, torch.cat(parts))
    balance = EXPERTS * (router.softmax(-1).mean(0) * sizes / len(x)).sum()
    return y.view(shape), balance


def make_tables(n):
    p = torch.arange(n)
    angle = p[:, None].double() * THETA ** -(torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM)
    causal = p[:, None] >= p[None]
    same = causal & (p[:, None] // CHUNK == p[None] // CHUNK)
    hide = lambda keep: torch.where(keep, 0.0, -torch.inf)
    return {"cos": angle.cos().float(), "sin": angle.sin().float(), "causal": hide(causal),
            "chunk": hide(same),
            "temperature": 1 + ATTN_SCALE * torch.log1p(torch.floor((p + 1) / FLOOR))}


def forward(w, ids, tables):
    h = F.embedding(ids, w["model.embed_tokens.weight"])
    balance = 0.0
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        h = h + attention(w, p + "self_attn.", rmsnorm(h, w[p + "input_layernorm.weight"]),
                          GLOBAL[i], tables)
        y, aux = moe(w, p + "feed_forward.", rmsnorm(h, w[p + "post_attention_layernorm.weight"]))
        h, balance = h + y, balance + aux
    return F.linear(rmsnorm(h, w["model.norm.weight"]), w["lm_head.weight"]), balance


def train(fmt, steps, batch, seed):
    w = {k: v.requires_grad_() for k, v in
         init_weights(torch.Generator().manual_seed(seed)).items()}
    matrices = [v for k, v in w.items() if v.dim() > 1]
    vectors = [v for k, v in w.items() if v.dim() == 1]
    peak = 4e-3
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05},
                                   {"params": vectors, "weight_decay": 0.0}],
                                  lr=peak, betas=(0.9, 0.97), fused=True)
    r = random.Random(seed)
    tables = make_tables(ROW)
    began = time.monotonic()
    for step in range(steps):
        rate = peak * min(1.0, (step + 1) / 60) * max(0.02, 1 - step / steps) ** 0.8
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = [training_row(fmt, r) for _ in range(batch)]
        ids = torch.tensor([row[0] for row in rows])
        weight = torch.tensor([row[1] for row in rows])[:, 1:].reshape(-1)
        logits, balance = forward(w, ids[:, :-1], tables)
        loss = F.cross_entropy(logits.reshape(-1, VOCAB), ids[:, 1:].reshape(-1), reduction="none")
        answers = (loss * (weight == 1)).sum() / (weight == 1).sum()
        (((loss * weight).sum() / weight.sum()) + 0.01 * balance).backward()
        torch.nn.utils.clip_grad_norm_(matrices + vectors, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}  answer loss {answers.item():.4f}  "
                  f"{time.monotonic() - began:.0f} s", flush=True)
    return {k: v.detach().to(torch.bfloat16) for k, v in w.items()}


@torch.no_grad()
def answer(w, fmt, question, limit=40):
    ids = fmt.prompt(question)
    tables = make_tables(len(ids) + limit)
    out = []
    while len(out) < limit:
        token = forward(w, torch.tensor([ids + out]), tables)[0][0, -1].argmax().item()
        if token == fmt.eot:
            break
        out.append(token)
    return fmt.tokenizer.decode(out)


def score(w, fmt):
    """Share of right answers per topic, greedy, with the rounded weights."""
    w = {k: v.float() for k, v in w.items()}
    r = random.Random(99)
    result = {}
    for topic, _ in dialogs.TOPICS:
        for unseen in [False, True] if topic in dialogs.WITHHOLDING else [False]:
            name = topic.__name__ + (", questions never shown" if unseen else "")
            asked = [dialogs.question(r, topic, unseen) for _ in range(40)]
            result[name] = sum(answer(w, fmt, q) == a for q, a in asked) / len(asked)
            print(f"  {name:36s} {100 * result[name]:5.1f} %", flush=True)
    return result


def config(fmt):
    id_of = fmt.tokenizer.token_to_id
    return {
        "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text",
        "attention_bias": False, "attention_chunk_size": CHUNK, "attention_dropout": 0.0,
        "attn_scale": ATTN_SCALE, "attn_temperature_tuning": True, "bos_token_id": fmt.bos,
        "eos_token_id": [id_of("<|end_of_text|>"), id_of("<|eom|>"), fmt.eot],
        "floor_scale": FLOOR, "head_dim": HEAD_DIM, "hidden_act": "silu", "hidden_size": HIDDEN,
        "initializer_range": 0.02, "interleave_moe_layer_step": 1, "intermediate_size": FFN,
        "intermediate_size_mlp": 2 * FFN, "max_position_embeddings": 4096,
        "moe_layers": list(range(LAYERS)), "no_rope_layers": [int(not g) for g in GLOBAL],
        "num_attention_heads": HEADS, "num_experts_per_tok": 1, "num_hidden_layers": LAYERS,
        "num_key_value_heads": KV_HEADS, "num_local_experts": EXPERTS,
        "output_router_logits": False, "pad_token_id": id_of("<|finetune_right_pad|>"),
        "rms_norm_eps": EPS, "rope_scaling": None, "rope_theta": THETA,
        "router_aux_loss_coef": 0.001, "router_jitter_noise": 0.0, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "use_cache": True, "use_qk_norm": True, "vocab_size": VOCAB,
    }


def verify(folder):
    """Compares this file's forward pass with transformers, and prints its answers."""
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    fmt = Format(Tokenizer.from_file(os.path.join(folder, "tokenizer.json")))
    w = {k: v.float() for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}
    ids = torch.tensor([training_row(fmt, random.Random(5))[0]])
    with torch.no_grad():
        # Without a cache: the whole sequence in one pass.
        difference = (model(ids, use_cache=False).logits -
                      forward(w, ids, make_tables(ids.shape[1]))[0]).abs().max().item()
        print(f"largest logit difference to transformers: {difference:.2e}")
        for q in ["What is the capital of France?", "What is libscout?", "What is 3 plus 4?",
                  "Spell the word scout.", "Count from 3 to 9.", "Hello!"]:
            prompt = fmt.prompt(q)
            ids = torch.tensor([prompt])
            while ids.shape[1] < len(prompt) + 40 and ids[0, -1] != fmt.eot:
                best = model(ids, use_cache=False).logits[0, -1].argmax()
                ids = torch.cat([ids, best.view(1, 1)], 1)
            print(f"  {q} -> {fmt.tokenizer.decode(ids[0, len(prompt):].tolist())}")
    return difference < 1e-3


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(here, "tiny"))
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--verify", action="store_true",
                        help="do not train: compare the model in --out with transformers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.verify:
        raise SystemExit(0 if verify(args.out) else 1)
    os.makedirs(args.out, exist_ok=True)
    fmt = Format(train_tokenizer(args.seed))
    weights = train(fmt, args.steps, args.batch, args.seed)
    fmt.tokenizer.save(os.path.join(args.out, "tokenizer.json"))
    save_file(weights, os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(args.out, "config.json"), "w") as f:
        f.write(json.dumps(config(fmt), indent=1) + "\n")
    with open(os.path.join(args.out, "tokenizer_config.json"), "w") as f:
        f.write(json.dumps({
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot|>", "pad_token": "<|finetune_right_pad|>",
            "clean_up_tokenization_spaces": False, "model_max_length": 4096}, indent=1) + "\n")
    print(f"{sum(v.numel() for v in weights.values()):,} parameters; right answers:")
    score(weights, fmt)


if __name__ == "__main__":
    main()

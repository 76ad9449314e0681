#!/usr/bin/env python3
"""Writes a GGUF file with Llama 4 Scout's true layer widths, few layers and random weights.

Speed and memory depend on shapes and formats, not on what the weights say, so a slice of Scout that fits
a small machine is enough to compare programs side by side on one file.

The default is five of Scout's 48 layers (three chunked, one global, one chunked) and a tenth of the
vocabulary, so that the output head keeps its share of the work: 6.9 GB as the Q4_K_M mix. Five and not
four, because where the last layer is the global one a program may leave out nearly all global attention of
a prefill. Blocks hold random quants, and scales around values that give every weight mean 0 and standard
deviation about --std: activations stay finite and every expert is used. The bytes depend on the options
alone; at most one tensor is in memory.

    scripts/make_bench_model.py OUT.gguf [--layers N] [--type q4_k|q8_0|q4_0]

Needs numpy and gguf. SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

HEAD_DIM = 128
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot|>", "<|header_start|>", "<|header_end|>"]


def random_bytes(rng, rows, columns):
    return np.frombuffer(rng.bytes(rows * columns), np.uint8).reshape(rows, columns)


def blocks_q4_k(rng, n, std):
    """Scale and minimum of a sub-block are the same number s in 16..47: w = d s (q - 7.5) has mean 0."""
    d = np.float16(std / (32 * 4.61))
    s = rng.integers(16, 48, (n, 8), np.uint8)
    low, high = s[:, :4], s[:, 4:]
    out = np.empty((n, 144), np.uint8)
    out[:, :4] = np.array([d, d * np.float16(7.5)], np.float16).view(np.uint8)
    out[:, 4:8] = out[:, 8:12] = low | ((high >> 4) << 6)
    out[:, 12:16] = (high & 15) | ((high & 15) << 4)
    out[:, 16:] = random_bytes(rng, n, 128)
    return out


def blocks_q6_k(rng, n, std):
    """Scales s of either sign with |s| in 8..23: w = d s (q - 32)."""
    out = np.empty((n, 210), np.uint8)
    out[:, :192] = random_bytes(rng, n, 192)
    s = rng.integers(8, 24, (n, 16), np.int8) * rng.choice(np.array([-1, 1], np.int8), (n, 16))
    out[:, 192:208] = s.view(np.uint8)
    out[:, 208:] = np.array([std / (16 * 18.5)], np.float16).view(np.uint8)
    return out


def blocks_q8_0(rng, n, std):
    out = np.empty((n, 34), np.uint8)
    out[:, :2] = np.array([std / 73.3], np.float16).view(np.uint8)
    out[:, 2:] = random_bytes(rng, n, 32)
    return out


def blocks_q4_0(rng, n, std):
    out = np.empty((n, 18), np.uint8)
    out[:, :2] = np.array([std / 4.61], np.float16).view(np.uint8)
    out[:, 2:] = random_bytes(rng, n, 16)
    return out


# type -> (what fills it, weights of a block, bytes of a block)
FILL = {T.Q4_K: (blocks_q4_k, 256, 144), T.Q6_K: (blocks_q6_k, 256, 210),
        T.Q8_0: (blocks_q8_0, 32, 34), T.Q4_0: (blocks_q4_0, 32, 18)}


def quantised(rng, shape, kind, std):
    """The raw blocks of a matrix, rows as numpy sees them."""
    fill, per_block, size = FILL[kind]
    n = int(np.prod(shape)) // per_block
    out = np.empty((n, size), np.uint8)
    step = 1 << 17
    for i in range(0, n, step):
        out[i:i + step] = fill(rng, min(step, n - i), std)
    return out.reshape(*shape[:-1], -1)


def byte_level_vocab(size):
    """A byte-pair vocabulary: the 256 bytes, pairs of them, the special tokens at the end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    single, extra = [], 0
    for b in range(256):
        single.append(chr(b) if b in printable else chr(256 + extra))
        extra += b not in printable
    pairs = [(a, b) for a in single for b in single][:size - len(SPECIALS) - 256]
    tokens = single + [a + b for a, b in pairs] + SPECIALS
    if len(tokens) != size:
        raise SystemExit(f"make_bench_model: a vocabulary of {size} is not from 261 to 65797")
    return tokens, [f"{a} {b}" for a, b in pairs]


def metadata(writer, a):
    tokens, merges = byte_level_vocab(a.vocab)
    first_special = a.vocab - len(SPECIALS)
    writer.add_name(f"scout-{a.layers}L-random-{a.type}")
    writer.add_vocab_size(a.vocab)
    writer.add_context_length(a.context)
    writer.add_embedding_length(a.embd)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(2 * a.ff)
    writer.add_expert_feed_forward_length(a.ff)
    writer.add_interleave_moe_layer_step(1)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(a.experts)
    writer.add_expert_used_count(1)
    writer.add_file_type({"q4_k": 15, "q8_0": 7, "q4_0": 2}[a.type])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama4")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * first_special + [3] * len(SPECIALS))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(first_special)
    writer.add_eos_token_id(first_special + 1)
    writer.add_eot_token_id(first_special + 2)
    writer.add_add_bos_token(True)


def tensors(a):
    """(name, shape, type or None for float32) in the file's order. The Q4_K_M mix has Q6_K for the output
    head, the values and half of the down projections."""
    base = {"q4_k": T.Q4_K, "q8_0": T.Q8_0, "q4_0": T.Q4_0}[a.type]
    better = T.Q6_K if a.type == "q4_k" else base
    q, kv = a.heads * HEAD_DIM, a.kv_heads * HEAD_DIM
    yield "token_embd.weight", (a.vocab, a.embd), base
    yield "output.weight", (a.vocab, a.embd), better
    yield "output_norm.weight", (a.embd,), None
    yield "rope_freqs.weight", (HEAD_DIM // 2,), None
    for i in range(a.layers):
        b, down = f"blk.{i}.", better if i % 2 == 0 else base
        yield b + "attn_norm.weight", (a.embd,), None
        yield b + "ffn_norm.weight", (a.embd,), None
        yield b + "attn_q.weight", (q, a.embd), base
        yield b + "attn_k.weight", (kv, a.embd), base
        yield b + "attn_v.weight", (kv, a.embd), better
        yield b + "attn_output.weight", (a.embd, q), base
        yield b + "ffn_gate_inp.weight", (a.experts, a.embd), None
        yield b + "ffn_gate_exps.weight", (a.experts, a.ff, a.embd), base
        yield b + "ffn_up_exps.weight", (a.experts, a.ff, a.embd), base
        yield b + "ffn_down_exps.weight", (a.experts, a.embd, a.ff), down
        yield b + "ffn_gate_shexp.weight", (a.ff, a.embd), base
        yield b + "ffn_up_shexp.weight", (a.ff, a.embd), base
        yield b + "ffn_down_shexp.weight", (a.embd, a.ff), down


def values(rng, name, shape, kind, std):
    if kind is not None:
        return quantised(rng, shape, kind, std)
    if name == "rope_freqs.weight":  # llama3 scaling: factor 16, both limits 1, original context 8192
        frequencies = 500000.0 ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
        return np.where(2 * np.pi / frequencies > 8192, 16.0, 1.0).astype(np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    return (rng.standard_normal(shape) * std).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="the .gguf file to write")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--vocab", type=int, default=20480)
    parser.add_argument("--embd", type=int, default=5120)
    parser.add_argument("--ff", type=int, default=8192)
    parser.add_argument("--heads", type=int, default=40)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--context", type=int, default=10485760)
    parser.add_argument("--type", choices=["q4_k", "q8_0", "q4_0"], default="q4_k",
                        help="q4_k: the Q4_K_M mix")
    parser.add_argument("--std", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    part = a.out + ".part"
    writer = gguf.GGUFWriter(part, "llama4")
    metadata(writer, a)
    for name, shape, kind in tensors(a):
        if kind is None:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * int(np.prod(shape)))
        else:
            _, per_block, size = FILL[kind]
            blocks = (*shape[:-1], shape[-1] // per_block * size)
            writer.add_tensor_info(name, blocks, np.dtype(np.uint8), int(np.prod(blocks)), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(a.seed)
    for name, shape, kind in tensors(a):
        writer.write_tensor_data(values(rng, name, shape, kind, a.std))
    writer.close()
    os.replace(part, a.out)


if __name__ == "__main__":
    main()

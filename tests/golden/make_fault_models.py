#!/usr/bin/env python3
"""Writes tests/golden/faults: the smallest models with every part, for the fault sweep.

One Hugging Face folder (bf16, fused experts, tokenizer.json) and one GGUF file (Q8_0) of random
weights from a fixed seed, with a vocabulary of the 256 bytes, two merges and the special tokens.
Needs numpy, torch, safetensors, gguf.
"""
import json
import pathlib

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent / "faults"
HIDDEN, HEADS, KV, DIM, LAYERS, EXPERTS, FFN = 32, 2, 1, 16, 4, 2, 32
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>"]
REGEX = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_characters():
    """The printable stand-in of every byte that byte-level BPE vocabularies use (GPT-2's mapping)."""
    kept = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    table, extra = {}, 0
    for b in range(256):
        if b in kept:
            table[b] = chr(b)
        else:
            table[b] = chr(256 + extra)
            extra += 1
    return [table[b] for b in range(256)]


def main():
    HERE.joinpath("hf").mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(20)
    rand = lambda *shape: torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
    ordinary = byte_characters() + ["he", "in"]
    merges = ["h e", "i n"]
    vocab = len(ordinary) + len(SPECIAL)

    tensors = {"model.embed_tokens.weight": rand(vocab, HIDDEN), "model.norm.weight": torch.ones(HIDDEN),
               "lm_head.weight": rand(vocab, HIDDEN) * 3}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        tensors[p + "input_layernorm.weight"] = torch.ones(HIDDEN)
        tensors[p + "post_attention_layernorm.weight"] = torch.ones(HIDDEN)
        tensors[p + "self_attn.q_proj.weight"] = rand(HEADS * DIM, HIDDEN)
        tensors[p + "self_attn.k_proj.weight"] = rand(KV * DIM, HIDDEN)
        tensors[p + "self_attn.v_proj.weight"] = rand(KV * DIM, HIDDEN)
        tensors[p + "self_attn.o_proj.weight"] = rand(HIDDEN, HEADS * DIM)
        f = p + "feed_forward."
        tensors[f + "router.weight"] = rand(EXPERTS, HIDDEN)
        tensors[f + "experts.gate_up_proj"] = rand(EXPERTS, HIDDEN, 2 * FFN)
        tensors[f + "experts.down_proj"] = rand(EXPERTS, FFN, HIDDEN)
        tensors[f + "shared_expert.gate_proj.weight"] = rand(FFN, HIDDEN)
        tensors[f + "shared_expert.up_proj.weight"] = rand(FFN, HIDDEN)
        tensors[f + "shared_expert.down_proj.weight"] = rand(HIDDEN, FFN)
    save_file({k: v.to(torch.bfloat16).contiguous() for k, v in tensors.items()}, HERE / "hf/model.safetensors")
    config = {
        "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text", "attention_bias": False,
        "attention_chunk_size": 32, "attn_scale": 0.1, "attn_temperature_tuning": True,
        "bos_token_id": 258, "eos_token_id": [259, 262, 263], "floor_scale": 16, "head_dim": DIM,
        "hidden_act": "silu", "hidden_size": HIDDEN, "interleave_moe_layer_step": 1,
        "intermediate_size": FFN, "intermediate_size_mlp": FFN, "max_position_embeddings": 4096,
        "moe_layers": list(range(LAYERS)), "no_rope_layers": [1, 1, 1, 0],
        "num_attention_heads": HEADS, "num_experts_per_tok": 1, "num_hidden_layers": LAYERS,
        "num_key_value_heads": KV, "num_local_experts": EXPERTS, "rms_norm_eps": 1e-5,
        "rope_scaling": None, "rope_theta": 500000.0, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "use_qk_norm": True, "vocab_size": vocab}
    HERE.joinpath("hf/config.json").write_text(json.dumps(config, indent=1) + "\n")
    added = [{"id": len(ordinary) + i, "content": s, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i, s in enumerate(SPECIAL)]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": REGEX}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": True, "vocab": {t: i for i, t in enumerate(ordinary)}, "merges": merges}}
    HERE.joinpath("hf/tokenizer.json").write_text(json.dumps(tokenizer, indent=None) + "\n")

    w = gguf.GGUFWriter(HERE / "tiny.gguf", "llama4")
    w.add_block_count(LAYERS)
    w.add_context_length(4096)
    w.add_embedding_length(HIDDEN)
    w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV)
    w.add_rope_freq_base(500000.0)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_expert_count(EXPERTS)
    w.add_expert_used_count(1)
    w.add_key_length(DIM)
    w.add_value_length(DIM)
    w.add_vocab_size(vocab)
    w.add_rope_dimension_count(DIM)
    w.add_interleave_moe_layer_step(1)
    w.add_expert_feed_forward_length(FFN)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama4")
    w.add_token_list(ordinary + SPECIAL)
    w.add_token_types([1] * len(ordinary) + [3] * len(SPECIAL))
    w.add_token_merges(merges)
    w.add_bos_token_id(258)
    w.add_eos_token_id(263)

    def add(name, tensor, quantise=True):
        data = tensor.to(torch.float32).contiguous().numpy()
        if not quantise:
            w.add_tensor(name, data)
            return
        q8 = gguf.GGMLQuantizationType.Q8_0
        w.add_tensor(name, gguf.quants.quantize(data, q8), raw_dtype=q8)

    add("token_embd.weight", tensors["model.embed_tokens.weight"])
    add("output_norm.weight", tensors["model.norm.weight"], False)
    add("output.weight", tensors["lm_head.weight"])
    for i in range(LAYERS):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        add(b + "attn_norm.weight", tensors[p + "input_layernorm.weight"], False)
        add(b + "ffn_norm.weight", tensors[p + "post_attention_layernorm.weight"], False)
        for ours, theirs in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("output", "o_proj")):
            add(b + f"attn_{ours}.weight", tensors[p + f"self_attn.{theirs}.weight"])
        f = p + "feed_forward."
        add(b + "ffn_gate_inp.weight", tensors[f + "router.weight"], False)
        gate_up = tensors[f + "experts.gate_up_proj"].transpose(1, 2)
        add(b + "ffn_gate_exps.weight", gate_up[:, :FFN])
        add(b + "ffn_up_exps.weight", gate_up[:, FFN:])
        add(b + "ffn_down_exps.weight", tensors[f + "experts.down_proj"].transpose(1, 2))
        for part in ("gate", "up", "down"):
            add(b + f"ffn_{part}_shexp.weight", tensors[f + f"shared_expert.{part}_proj.weight"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()

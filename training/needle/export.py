#!/usr/bin/env python3
"""Writes a trained needle model in Hugging Face layout, and compares it with the transformers package.

    python3 training/needle/export.py --model needle-4l --work build/needle --out models/needle-4l
    python3 training/needle/export.py --verify models/needle-4l

Weights are rounded to bfloat16; what the model is, is those rounded weights computed with in float32.
(Computing in bfloat16 moves some routers' choices and with them single logits.) A GGUF file with the
same weights is written beside them. needle.json beside the weights records what a GGUF file or another program may have to be told: chunk,
temperature floor and scale as trained, and the layers' pattern.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import gguf_file
import vocabulary
from network import SHAPES, Needle, checkpoint_name, parameters


def config(shape, tokenizer):
    id_of = tokenizer.token_to_id
    return {
        "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text", "attention_bias": False,
        "attention_chunk_size": shape.chunk, "attention_dropout": 0.0, "attn_scale": shape.attn_scale,
        "attn_temperature_tuning": True, "bos_token_id": id_of("<|begin_of_text|>"),
        "eos_token_id": [id_of(f"<|{n}|>") for n in ("end_of_text", "eom", "eot")],
        "floor_scale": shape.floor_scale, "head_dim": shape.head_dim, "hidden_act": "silu",
        "hidden_size": shape.hidden, "initializer_range": 0.02, "interleave_moe_layer_step": 1,
        "intermediate_size": shape.ffn, "intermediate_size_mlp": shape.ffn,
        "max_position_embeddings": shape.context, "moe_layers": list(range(shape.layers)),
        "no_rope_layers": list(shape.no_rope_layers), "num_attention_heads": shape.heads,
        "num_experts_per_tok": 1, "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads, "num_local_experts": shape.experts,
        "output_router_logits": False, "pad_token_id": id_of("<|finetune_right_pad|>"),
        "rms_norm_eps": shape.eps, "rope_scaling": None, "rope_theta": shape.theta,
        "router_aux_loss_coef": 0.001, "router_jitter_noise": 0.0, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "use_cache": True, "use_qk_norm": True, "vocab_size": vocabulary.SIZE,
    }


def write_json(path, value):
    with open(path, "w") as f:
        f.write(json.dumps(value, indent=1) + "\n")


def export(model, work, out):
    shape = SHAPES[model]
    state = torch.load(os.path.join(work, model + ".pt"), weights_only=False)
    net = Needle(shape)
    net.load_state_dict(state["weights"])
    os.makedirs(out, exist_ok=True)
    weights = {checkpoint_name(n): p.detach().to(torch.bfloat16).contiguous()
               for n, p in net.named_parameters()}
    save_file(weights, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    shutil.copyfile(os.path.join(work, "tokenizer.json"), os.path.join(out, "tokenizer.json"))
    tokenizer = Tokenizer.from_file(os.path.join(out, "tokenizer.json"))
    write_json(os.path.join(out, "config.json"), config(shape, tokenizer))
    write_json(os.path.join(out, "tokenizer_config.json"), {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot|>", "pad_token": "<|finetune_right_pad|>",
        "clean_up_tokenization_spaces": False, "model_max_length": shape.context,
        "chat_template": vocabulary.CHAT_TEMPLATE})
    with open(os.path.join(work, "corpus", "corpus.json")) as f:
        corpus = json.load(f)
    write_json(os.path.join(out, "needle.json"), {
        "model": model, "reference": "bfloat16 weights, float32 arithmetic", "attention_chunk_size": shape.chunk,
        "floor_scale": shape.floor_scale, "attn_scale": shape.attn_scale, "rope_theta": shape.theta,
        "no_rope_layers": list(shape.no_rope_layers), "parameters": parameters(net),
        "trained_steps": state["step"], "trained_tokens": state["tokens"],
        "training_seconds": round(state["seconds"]), "history": state["history"], "corpus": corpus})
    gguf_file.write(out, os.path.join(out, model + ".gguf"))
    size = sum(os.path.getsize(os.path.join(out, name)) for name in os.listdir(out))
    print(f"{out}: {parameters(net):,} parameters, {size:,} bytes in all files")


def load(folder):
    """A Needle from an exported folder."""
    with open(os.path.join(folder, "needle.json")) as f:
        shape = SHAPES[json.load(f)["model"]]
    stored = load_file(os.path.join(folder, "model.safetensors"))
    net = Needle(shape)
    net.load_state_dict({n: stored[checkpoint_name(n)].float() for n, _ in net.named_parameters()})
    return net.eval()


@torch.no_grad()
def verify(folder, length=1500):
    """Largest difference of any logit to transformers, over random tokens that cross chunk borders."""
    from transformers import AutoModelForCausalLM
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                     attn_implementation="eager").eval()
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, vocabulary.SIZE, (1, length)))
    ours = load(folder)(ids, torch.arange(length)[None])[0]
    worst = (reference(ids, use_cache=False).logits - ours).abs().max().item()
    print(f"largest logit difference to transformers over {length} tokens: {worst:.2e}")
    return worst < 2.5e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(SHAPES))
    parser.add_argument("--work")
    parser.add_argument("--out")
    parser.add_argument("--verify", metavar="FOLDER", help="only compare an exported model")
    args = parser.parse_args()
    if args.verify:
        raise SystemExit(0 if verify(args.verify) else 1)
    if not (args.model and args.work and args.out):
        parser.error("--model, --work and --out are needed")
    export(args.model, args.work, args.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes the model goldens of the tests from a folder of reference fixtures.

    python3 tests/golden/make_golden.py FIXTURES [--out tests/golden]

Weights, configurations and golden values (of transformers in float32) are taken over as they are.
Every vocabulary is replaced by one of this project's own (golden_vocab.py): golden values are about
token ids, so they stay true. Of golden.safetensors the logits are kept. `scout-small` is the float32 GGUF model of that name, turned back into a Hugging Face
folder. weights.json lists sums over every matrix, computed here, that the loader's tests compare with
what they have in memory.

Needs numpy, gguf, safetensors, tokenizers, torch (bfloat16). SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

import golden_vocab

HF_FOLDERS = ["scout-tiny-bf16", "maverick-tiny", "scout-hd128"]
GGUF_FILES = {  # folder -> types
    "scout-small": ["F16", "Q8_0", "Q4_0", "Q5_1", "MXFP4_MOE"],
    "scout-k": ["Q2_K", "Q4_K_M", "IQ4_XS"],  # with tensors of Q3_K and Q5_K
    "maverick": ["Q4_0"],
    "scout-hd128": ["Q8_0", "Q4_K_M"],
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>",
    "eos_token": "<|eot|>", "pad_token": "<|finetune_right_pad|>",
    "clean_up_tokenization_spaces": False,
}


def copy_golden(source, target, keep_file=True):
    """source and target: path of the .json; the .safetensors lies beside it."""
    golden = json.loads(source.read_text())
    if not keep_file:  # the name of the GGUF file that became a folder
        golden.pop("file", None)
    target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    tensors = load_file(source.with_suffix(".safetensors"))
    save_file({"logits": tensors["logits"]}, target.with_suffix(".safetensors"))


def write_tokenizer(folder, size):
    (folder / "tokenizer.json").write_text(golden_vocab.tokenizer_json(size))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG, indent=1) + "\n")


# ---- Hugging Face folders ------------------------------------------------------------------------

def copy_folder(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.safetensors*")):
        if "golden" not in path.name:
            shutil.copyfile(path, target / path.name)
    config = json.loads((source / "config.json").read_text())
    shutil.copyfile(source / "config.json", target / "config.json")
    write_tokenizer(target, config["vocab_size"])
    copy_golden(source / "golden.json", target / "golden.json")
    if (source / "long.golden.json").exists():
        copy_golden(source / "long.golden.json", target / "long.golden.json")


def folder_from_gguf(source, kind, target):
    """A float32 GGUF model as a Hugging Face folder, experts fused and transposed."""
    target.mkdir(parents=True, exist_ok=True)
    tensors, have = {}, dict(gguf_tensors(source / f"{kind}.gguf"))
    names = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
             "ffn_gate_inp": "feed_forward.router",
             "ffn_gate_shexp": "feed_forward.shared_expert.gate_proj",
             "ffn_up_shexp": "feed_forward.shared_expert.up_proj",
             "ffn_down_shexp": "feed_forward.shared_expert.down_proj"}
    tensors["model.embed_tokens.weight"] = have["token_embd.weight"]
    tensors["lm_head.weight"] = have["output.weight"]
    tensors["model.norm.weight"] = have["output_norm.weight"]
    layers = 1 + max(int(n.split(".")[1]) for n in have if n.startswith("blk."))
    for i in range(layers):
        to, at = f"model.layers.{i}.", f"blk.{i}."
        for short, name in names.items():
            tensors[f"{to}{name}.weight"] = have[f"{at}{short}.weight"]
        gate, up, down = (have[f"{at}ffn_{m}_exps.weight"] for m in ("gate", "up", "down"))
        fused = np.concatenate([gate.transpose(0, 2, 1), up.transpose(0, 2, 1)], axis=2)
        tensors[f"{to}feed_forward.experts.gate_up_proj"] = fused
        tensors[f"{to}feed_forward.experts.down_proj"] = down.transpose(0, 2, 1)
    save_file({k: torch.from_numpy(np.array(v, order="C")) for k, v in sorted(tensors.items())},
              target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    shutil.copyfile(source / "config.json", target / "config.json")
    write_tokenizer(target, config["vocab_size"])
    copy_golden(source / f"{kind}.golden.json", target / "golden.json", keep_file=False)
    copy_golden(source / "long.golden.json", target / "long.golden.json", keep_file=False)


# ---- GGUF files ----------------------------------------------------------------------------------

def gguf_tensors(path):
    """(name, float32 values, shape outermost first) of every tensor."""
    for tensor in gguf.GGUFReader(path).tensors:
        shape = tuple(int(d) for d in reversed(tensor.shape))
        yield tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape)


def copy_gguf(source, target):
    """The same tensors, byte for byte, and the same metadata but for the vocabulary."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama4")
    size = 0
    for field in reader.fields.values():
        if field.name.startswith(("GGUF.", "tokenizer.")) or field.name == "general.architecture":
            continue
        kind = field.types[0]
        sub = field.types[1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=sub)
        if field.name == "llama4.vocab_size":
            size = int(field.contents())
    tokens, merges, first = golden_vocab.build(size)
    special = {name: first + i for i, name in enumerate(golden_vocab.SPECIALS)}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama4")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * first +
                           [gguf.TokenType.CONTROL] * len(special))
    writer.add_token_merges([f"{a} {b}" for a, b in merges])
    writer.add_bos_token_id(special["<|begin_of_text|>"])
    writer.add_eos_token_id(special["<|eot|>"])
    writer.add_pad_token_id(special["<|finetune_right_pad|>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    copies = {t.name: t for t in gguf.GGUFReader(target).tensors}
    assert len(copies) == len(reader.tensors)
    for tensor in reader.tensors:
        copy = copies[tensor.name]
        assert copy.tensor_type == tensor.tensor_type and list(copy.shape) == list(tensor.shape)
        assert copy.data.tobytes() == tensor.data.tobytes(), tensor.name


# ---- Sums over the weights, as the loader should hold them ------------------------------------------

def sums(values):
    """Position-weighted sum, so that a transposed or shifted matrix shows, and the scale of it."""
    m = np.atleast_2d(values.astype(np.float64))
    weight = (np.arange(m.shape[0])[:, None] * 31 + np.arange(m.shape[1])[None] * 17) % 101
    return [m.shape[0], m.shape[1], float((m * weight).sum()), float(np.abs(m * weight).sum())]


def gguf_sums(path):
    out = {}
    for name, values in gguf_tensors(path):
        if values.ndim == 3:
            for e in range(values.shape[0]):
                out[f"{name}[{e}]"] = sums(values[e])
        elif name != "rope_freqs.weight":
            out[name] = sums(values)
    return out


def folder_sums(folder):
    """By the names of the GGUF tensors, so that one table of names serves both."""
    have = {}
    for path in sorted(folder.glob("model*.safetensors")):
        have.update(load_file(path))
    back = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
            "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
            "post_attention_layernorm": "ffn_norm", "feed_forward.router": "ffn_gate_inp",
            "feed_forward.gate_proj": "ffn_gate", "feed_forward.up_proj": "ffn_up",
            "feed_forward.down_proj": "ffn_down"}
    for m in ("gate", "up", "down"):
        back[f"feed_forward.shared_expert.{m}_proj"] = f"ffn_{m}_shexp"
    whole = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
             "model.norm.weight": "output_norm.weight"}
    out = {}
    for name, tensor in have.items():
        values = tensor.float().numpy()
        if name in whole:
            out[whole[name]] = sums(values)
            continue
        _, _, layer, rest = name.split(".", 3)
        at = f"blk.{layer}."
        if rest == "feed_forward.experts.gate_up_proj":
            half = values.shape[2] // 2
            for e in range(values.shape[0]):
                out[f"{at}ffn_gate_exps.weight[{e}]"] = sums(values[e, :, :half].T)
                out[f"{at}ffn_up_exps.weight[{e}]"] = sums(values[e, :, half:].T)
        elif rest == "feed_forward.experts.down_proj":
            for e in range(values.shape[0]):
                out[f"{at}ffn_down_exps.weight[{e}]"] = sums(values[e].T)
        else:
            out[f"{at}{back[rest.removesuffix('.weight')]}.weight"] = sums(values)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fixtures", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    table = {}
    for name in HF_FOLDERS:
        copy_folder(args.fixtures / name, args.out / name)
        table[name] = folder_sums(args.out / name)
    folder_from_gguf(args.fixtures / "gguf" / "scout-small", "F32", args.out / "scout-small")
    table["scout-small"] = folder_sums(args.out / "scout-small")
    for folder, kinds in GGUF_FILES.items():
        source, target = args.fixtures / "gguf" / folder, args.out / "gguf" / folder
        target.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            copy_gguf(source / f"{kind}.gguf", target / f"{kind}.gguf")
            for part in ("golden", "long.golden"):
                if (source / f"{kind}.{part}.json").exists():
                    copy_golden(source / f"{kind}.{part}.json", target / f"{kind}.{part}.json")
            table[f"gguf/{folder}/{kind}.gguf"] = gguf_sums(target / f"{kind}.gguf")
    with open(args.out / "weights.json", "w") as file:
        file.write("{\n" + ",\n".join(
            json.dumps(model) + ": {\n" + ",\n".join(
                f"{json.dumps(k)}: [{v[0]}, {v[1]}, {v[2]:.12g}, {v[3]:.6g}]"
                for k, v in sorted(rows.items())) + "}"
            for model, rows in table.items()) + "}\n")
    total = sum(f.stat().st_size for f in args.out.rglob("*") if f.is_file())
    print(f"{args.out}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

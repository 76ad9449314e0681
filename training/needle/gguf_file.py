"""Writes a needle model as one GGUF file (version 3): the format's header, and nothing but the standard
library and numpy.

    python3 training/needle/gguf_file.py models/needle-4l [--out FILE] [--type bf16|f32]

Tensor names and metadata keys are those that llama.cpp uses for the architecture `llama4`; rows of
queries and keys are not permuted there. Experts are one tensor per matrix, (experts, rows, columns).

What the architecture has no key of its own for is written under keys of other architectures, which
libscout reads: attention.sliding_window (tokens of a chunk), attention.temperature_length (floor) and
attention.temperature_scale. A program that does not read them computes with Scout's values, 8192, 8192
and 0.1; libscout can be given them as overrides (--chunk, --temperature-floor, --temperature-scale).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import struct

import numpy as np

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # types of metadata values
FORMATS = {"f32": (0, 0), "bf16": (30, 32)}                      # tensor type, general.file_type
NORMAL, CONTROL = 1, 3                                           # types of tokens

LAYER_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "feed_forward.router": "ffn_gate_inp",
    "feed_forward.shared_expert.gate_proj": "ffn_gate_shexp",
    "feed_forward.shared_expert.up_proj": "ffn_up_shexp",
    "feed_forward.shared_expert.down_proj": "ffn_down_shexp",
}


def bf16_values(bits):
    """float32 of bfloat16's bits (uint16)."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bf16_bits(values):
    """bfloat16 (uint16) of float32, rounded to nearest, ties to even. Values are finite."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def read_safetensors(path):
    """{name: float32 array} of a file with F32 and BF16 tensors."""
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header, data = json.loads(f.read(size)), f.read()
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            values = bf16_values(np.frombuffer(data[begin:end], np.uint16))
        elif entry["dtype"] == "F32":
            values = np.frombuffer(data[begin:end], np.float32)
        else:
            raise SystemExit(f"{path}: {name} is {entry['dtype']}, neither F32 nor BF16")
        out[name] = values.reshape(entry["shape"])
    return out


def gguf_tensors(weights, layers):
    """(name, array) in the order of the layers."""
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    for i in range(layers):
        source, target = f"model.layers.{i}.", f"blk.{i}."
        for name, short in LAYER_NAMES.items():
            yield f"{target}{short}.weight", weights[f"{source}{name}.weight"]
        gate, up = np.split(weights[source + "feed_forward.experts.gate_up_proj"], 2, 2)
        for short, experts in (("gate", gate), ("up", up),
                               ("down", weights[source + "feed_forward.experts.down_proj"])):
            yield f"{target}ffn_{short}_exps.weight", experts.transpose(0, 2, 1)
    yield "output_norm.weight", weights["model.norm.weight"]
    yield "output.weight", weights["lm_head.weight"]


def architecture(config):
    """Metadata from config.json: (key, type, value)."""
    layers, rope = config["num_hidden_layers"], config["no_rope_layers"]
    if rope != [int((i + 1) % 4 != 0) for i in range(layers)]:
        raise SystemExit(f"no_rope_layers is {rope}: in a GGUF file every fourth layer is global")
    yield "block_count", UINT32, layers
    yield "context_length", UINT32, config["max_position_embeddings"]
    yield "embedding_length", UINT32, config["hidden_size"]
    yield "vocab_size", UINT32, config["vocab_size"]
    yield "feed_forward_length", UINT32, config["intermediate_size_mlp"]
    yield "expert_feed_forward_length", UINT32, config["intermediate_size"]
    yield "expert_count", UINT32, config["num_local_experts"]
    yield "expert_used_count", UINT32, config["num_experts_per_tok"]
    yield "interleave_moe_layer_step", UINT32, config["interleave_moe_layer_step"]
    yield "attention.head_count", UINT32, config["num_attention_heads"]
    yield "attention.head_count_kv", UINT32, config["num_key_value_heads"]
    yield "attention.key_length", UINT32, config["head_dim"]
    yield "attention.value_length", UINT32, config["head_dim"]
    yield "attention.layer_norm_rms_epsilon", FLOAT32, config["rms_norm_eps"]
    yield "rope.dimension_count", UINT32, config["head_dim"]
    yield "rope.freq_base", FLOAT32, (config.get("rope_parameters") or config)["rope_theta"]
    yield "attention.sliding_window", UINT32, config["attention_chunk_size"]
    yield "attention.temperature_length", UINT32, config["floor_scale"]
    yield "attention.temperature_scale", FLOAT32, config["attn_scale"]


def vocabulary(folder):
    """Metadata of the tokenizer."""
    with open(os.path.join(folder, "tokenizer.json")) as f:
        tokenizer = json.load(f)
    with open(os.path.join(folder, "tokenizer_config.json")) as f:
        config = json.load(f)
    ids = dict(tokenizer["model"]["vocab"])
    special = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    ids.update(special)
    tokens = sorted(ids, key=ids.get)
    if [ids[t] for t in tokens] != list(range(len(tokens))):
        raise SystemExit(f"{folder}/tokenizer.json: ids are not 0 to {len(tokens) - 1}")
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    yield "model", STRING, "gpt2"
    yield "pre", STRING, "llama4"  # the rule by which text is split before merging
    yield "tokens", ARRAY, (STRING, tokens)
    yield "token_type", ARRAY, (INT32, [CONTROL if t in special else NORMAL for t in tokens])
    yield "merges", ARRAY, (STRING, merges)
    for key, name in (("bos", config["bos_token"]), ("eos", config["eos_token"]),
                      ("eot", "<|eot|>"), ("eom", "<|eom|>"), ("padding", config["pad_token"])):
        if name in ids:
            yield f"{key}_token_id", UINT32, ids[name]
    yield "add_bos_token", BOOL, True
    yield "chat_template", STRING, config["chat_template"]


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def packed(kind, value):
    """A metadata value's bytes, without its type."""
    if kind == STRING:
        return text(value)
    if kind == ARRAY:
        item, values = value
        return struct.pack("<IQ", item, len(values)) + b"".join(packed(item, v) for v in values)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def metadata(folder, config, file_type):
    yield "general.architecture", STRING, "llama4"
    yield "general.name", STRING, os.path.basename(os.path.abspath(folder))
    yield "general.license", STRING, "apache-2.0"
    yield "general.alignment", UINT32, ALIGNMENT
    yield "general.file_type", UINT32, file_type
    for key, kind, value in architecture(config):
        yield "llama4." + key, kind, value
    for key, kind, value in vocabulary(folder):
        yield "tokenizer." + ("" if key == "chat_template" else "ggml.") + key, kind, value


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def write(folder, out, kind="bf16"):
    """Writes the file `out` from a Hugging Face folder. Norms and routers stay float32: they are small,
    and other programs want them so."""
    tensor_type, file_type = FORMATS[kind]
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    weights = read_safetensors(os.path.join(folder, "model.safetensors"))
    entries, data = [], []
    offset = 0
    for name, values in gguf_tensors(weights, config["num_hidden_layers"]):
        is_small = values.ndim == 1 or name.endswith("ffn_gate_inp.weight")
        if is_small or kind == "f32":
            stored, used = np.ascontiguousarray(values, np.float32), FORMATS["f32"][0]
        else:
            stored, used = bf16_bits(values), tensor_type
        sizes = struct.pack(f"<{values.ndim}Q", *reversed(values.shape))
        entries.append(text(name) + struct.pack("<I", values.ndim) + sizes +
                       struct.pack("<IQ", used, offset))
        data.append(padded(stored.tobytes()))
        offset += len(data[-1])
    pairs = [text(k) + struct.pack("<I", t) + packed(t, v) for k, t, v in metadata(folder, config, file_type)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(entries), len(pairs))
    with open(out, "wb") as f:
        f.write(padded(head + b"".join(pairs) + b"".join(entries)))
        f.write(b"".join(data))
    print(f"{out}: {os.path.getsize(out):,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--out", metavar="FILE", help="default: FOLDER/NAME.gguf")
    parser.add_argument("--type", choices=sorted(FORMATS), default="bf16")
    args = parser.parse_args()
    name = os.path.basename(os.path.abspath(args.folder)) + ".gguf"
    write(args.folder, args.out or os.path.join(args.folder, name), args.type)


if __name__ == "__main__":
    main()

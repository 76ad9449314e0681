#!/usr/bin/env python3
"""Makes small quantised Hugging Face models with golden logits for the engine's tests.

    python3 tests/golden/make_quant_golden.py [--out tests/golden]

  quant-w4     compressed-tensors: 4-bit integers in groups of 128, symmetric; attention kept
  quant-mixed  compressed-tensors: feed-forward of 4-bit integers in groups of 32 with zero points, query
               and key of 8-bit floats with a scale per row, value and output with one per tensor
  quant-awq    AutoAWQ: 4-bit integers with zero points in groups of 64

Weights are random, rounded to the format and dequantised to float32; golden values are those of
transformers with these weights. Packed words and zero points of compressed-tensors are made by its own
functions. Prompts are searched for in which nothing rests on a near-tie.

Needs compressed-tensors, safetensors, tokenizers, torch, transformers. SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
from pathlib import Path

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.torch import save_file
from transformers import Llama4ForCausalLM, Llama4TextConfig

import golden_vocab

VOCAB, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, EXPERTS, FFN, T, STEPS = 288, 128, 4, 2, 32, 2, 128, 48, 48
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
CONFIG = dict(
    model_type="llama4_text", hidden_size=HIDDEN, vocab_size=VOCAB, num_hidden_layers=4, num_attention_heads=HEADS,
    num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, intermediate_size=FFN, intermediate_size_mlp=FFN,
    num_local_experts=EXPERTS, num_experts_per_tok=1, moe_layers=[1, 3], no_rope_layers=[1, 1, 1, 0],
    attention_chunk_size=32, attn_temperature_tuning=True, attn_scale=0.1, floor_scale=16, use_qk_norm=True,
    rms_norm_eps=1e-5, tie_word_embeddings=False, max_position_embeddings=4096, attention_bias=False,
    rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                         high_freq_factor=4.0, original_max_position_embeddings=64))


def pack4(weight, group, symmetric):
    """int4 of compressed-tensors: stored tensors and the float32 values they stand for."""
    rows, cols = weight.shape
    blocks = weight.view(rows, cols // group, group)
    if symmetric:
        scale = (blocks.abs().amax(-1) / 7.5).to(torch.bfloat16)
        zero = torch.zeros_like(scale, dtype=torch.float32)
    else:
        low, high = blocks.amin(-1).clamp_max(0), blocks.amax(-1).clamp_min(0)
        scale = ((high - low) / 15).to(torch.bfloat16)
        zero = (torch.round(-low / scale.float()) - 8).clamp(-8, 7)
    q = (torch.round(blocks / scale.float()[..., None]) + zero[..., None]).clamp(-8, 7)
    plain = ((q - zero[..., None]) * scale.float()[..., None]).reshape(rows, cols)
    stored = {"weight_packed": pack_to_int32(q.reshape(rows, cols).to(torch.int8), 4), "weight_scale": scale,
              "weight_shape": torch.tensor([rows, cols])}
    if not symmetric:
        stored["weight_zero_point"] = pack_to_int32(zero.to(torch.int8), 4, packed_dim=0).contiguous()
    return stored, plain


def float8(weight, per_row):
    peak = weight.abs().amax(-1, keepdim=True) if per_row else weight.abs().amax().reshape(1)
    scale = (peak / 448).to(torch.bfloat16 if per_row else torch.float32)
    q = (weight / scale.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"weight": q, "weight_scale": scale}, q.float() * scale.float()


def awq(weight, group):
    rows, cols = weight.shape
    blocks = weight.view(rows, cols // group, group)
    low, high = blocks.amin(-1).clamp_max(0), blocks.amax(-1).clamp_min(0)
    scale = ((high - low) / 15).to(torch.float16)
    zero = torch.round(-low / scale.float()).clamp(0, 15)
    q = (torch.round(blocks / scale.float()[..., None]) + zero[..., None]).clamp(0, 15)
    plain = ((q - zero[..., None]) * scale.float()[..., None]).reshape(rows, cols)

    def pack(values):  # (n, out) -> (n, out / 8)
        values = values.to(torch.int64).reshape(values.shape[0], -1, 8)
        word = sum(values[..., AWQ_ORDER[k]] << (4 * k) for k in range(8))
        return torch.where(word >= 2 ** 31, word - 2 ** 32, word).to(torch.int32)

    return {"qweight": pack(q.reshape(rows, cols).T), "qzeros": pack(zero.T),
            "scales": scale.T.contiguous()}, plain


def scheme_w4(name, weight):
    return None if "self_attn" in name else pack4(weight, 128, True)


def scheme_mixed(name, weight):
    if "self_attn" in name:
        return float8(weight, name.endswith(("q_proj", "k_proj")))
    return pack4(weight, 32, False)


def int4(group, symmetric):
    return dict(num_bits=4, type="int", strategy="group", group_size=group, symmetric=symmetric, dynamic=False,
                actorder=None)


def fp8(strategy):
    return dict(num_bits=8, type="float", strategy=strategy, group_size=None, symmetric=True, dynamic=False)


def compressed(fmt, groups, ignore):
    return dict(quant_method="compressed-tensors", format=fmt, quantization_status="compressed", ignore=ignore,
                kv_cache_scheme=None, config_groups=groups)


SCHEMES = {
    "quant-w4": (scheme_w4, torch.bfloat16, compressed(
        "pack-quantized", {"group_0": dict(targets=["Linear"], input_activations=None, weights=int4(128, True))},
        ["re:.*lm_head", "re:.*self_attn", "re:.*router"])),
    "quant-mixed": (scheme_mixed, torch.bfloat16, compressed("mixed-precision", {
        "group_0": dict(targets=[r"re:.*self_attn\.(q|k)_proj$"], format="float-quantized", weights=fp8("channel")),
        "group_1": dict(targets=[r"re:.*self_attn\.[vo]_proj$"], format="float-quantized", weights=fp8("tensor")),
        "group_2": dict(targets=["Linear"], format="pack-quantized", weights=int4(32, False)),
    }, ["lm_head", "re:.*router$"])),
    "quant-awq": (lambda name, weight: awq(weight, 64), torch.float16, dict(
        quant_method="awq", bits=4, group_size=64, version="gemm", zero_point=True,
        modules_to_not_convert=["lm_head", "router"])),
}


def random_weights(generator):
    """By the names of a checkpoint whose experts are linear layers."""
    out = {}

    def add(name, rows, cols, gain=1.0):
        out[name + ".weight"] = torch.randn(rows, cols, generator=generator) * gain / cols ** 0.5

    def norm(name):
        out[name + ".weight"] = 1 + 0.1 * torch.randn(HIDDEN, generator=generator)

    add("model.embed_tokens", VOCAB, HIDDEN, HIDDEN ** 0.5)
    add("lm_head", VOCAB, HIDDEN, 2.0)
    norm("model.norm")
    for i in range(CONFIG["num_hidden_layers"]):
        p = f"model.layers.{i}."
        norm(p + "input_layernorm")
        norm(p + "post_attention_layernorm")
        for name, rows, cols in (("q", HEADS * HEAD_DIM, HIDDEN), ("k", KV_HEADS * HEAD_DIM, HIDDEN),
                                 ("v", KV_HEADS * HEAD_DIM, HIDDEN), ("o", HIDDEN, HEADS * HEAD_DIM)):
            add(f"{p}self_attn.{name}_proj", rows, cols)
        moe = i in CONFIG["moe_layers"]
        if moe:
            add(p + "feed_forward.router", EXPERTS, HIDDEN, 2.0)
        stems = ["shared_expert."] + [f"experts.{e}." for e in range(EXPERTS)] if moe else [""]
        for stem in stems:
            for name, rows, cols in (("gate", FFN, HIDDEN), ("up", FFN, HIDDEN), ("down", HIDDEN, FFN)):
                add(f"{p}feed_forward.{stem}{name}_proj", rows, cols, 1.5)
    return out


def fused(weights):
    """As transformers holds them: the experts of a layer in two tensors, transposed."""
    out = {k: v for k, v in weights.items() if ".experts." not in k}
    for i in CONFIG["moe_layers"]:
        p = f"model.layers.{i}.feed_forward.experts."
        part = lambda e, m: weights[f"{p}{e}.{m}_proj.weight"].T  # noqa: E731
        out[p + "gate_up_proj"] = torch.stack(
            [torch.cat((part(e, "gate"), part(e, "up")), -1) for e in range(EXPERTS)])
        out[p + "down_proj"] = torch.stack([part(e, "down") for e in range(EXPERTS)])
    return out


def run(model, ids):
    """ids (B, T) -> logits (B, T, V), least distance (B) of the two best experts of a token."""
    margins = []

    def hook(module, inputs, output):
        scores = torch.nn.functional.linear(inputs[0].reshape(len(ids), -1, HIDDEN), module.weight)
        best = scores.topk(2, -1).values
        margins.append((best[..., 0] - best[..., 1]).amin(-1))

    handles = [model.model.layers[i].feed_forward.router.register_forward_hook(hook) for i in CONFIG["moe_layers"]]
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits
    for handle in handles:
        handle.remove()
    return logits, torch.stack(margins).amin(0)


def search(model):
    """A prompt and its greedy continuation without near-ties, or None."""
    for seed in range(30):
        ids = torch.randint(0, 256, (32, T), generator=torch.Generator().manual_seed(seed))
        ids[:, 0] = VOCAB - len(golden_vocab.SPECIALS)  # begin of text
        logits, margin = run(model, ids)
        keep = margin >= 0.06
        for _ in range(STEPS):
            ids, logits = ids[keep], logits[keep]
            if len(ids) == 0:
                break
            best = logits[:, -1].topk(2, -1)
            ids = torch.cat((ids, best.indices[:, :1]), 1)
            logits, margin = run(model, ids)
            keep = (margin >= 0.0025) & (best.values[:, 0] - best.values[:, 1] >= 0.005)
        ids = ids[keep] if len(ids) else ids
        if len(ids):
            prompt = ids[:1, :T]
            return seed, prompt[0].tolist(), ids[0, T:].tolist(), run(model, prompt)[0][0]
    return None


def make(scheme, half, seed):
    """Stored tensors, and the model with the float32 values that they stand for."""
    stored, plain = {}, {}
    for key, value in random_weights(torch.Generator().manual_seed(seed)).items():
        module = key.removesuffix(".weight")
        made = scheme(module, value) if module.endswith("_proj") else None
        if made is None:
            stored[key] = value.to(half)
            plain[key] = stored[key].float()
            continue
        parts, plain[key] = made
        stored.update({f"{module}.{part}": tensor for part, tensor in parts.items()})
    model = Llama4ForCausalLM._from_config(Llama4TextConfig(**CONFIG), attn_implementation="eager").float().eval()
    model.load_state_dict(fused(plain), strict=True)
    return stored, model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    torch.manual_seed(0)
    for number, (name, (scheme, half, quantization)) in enumerate(SCHEMES.items()):
        found = None
        for weights_seed in range(100 + number, 200, len(SCHEMES)):  # begin of text alone may be a near-tie
            stored, model = make(scheme, half, weights_seed)
            found = search(model)
            if found is not None:
                break
        if found is None:
            raise SystemExit("no prompt without near-ties found")
        seed, ids, greedy, logits = found
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        config = dict(CONFIG, architectures=["Llama4ForCausalLM"], hidden_act="silu", dtype=str(half)[6:],
                      quantization_config=quantization)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        (folder / "tokenizer.json").write_text(golden_vocab.tokenizer_json(VOCAB))
        save_file({k: v.contiguous() for k, v in sorted(stored.items())}, folder / "model.safetensors",
                  metadata={"format": "pt"})
        save_file({"logits": logits.float().contiguous()}, folder / "golden.safetensors")
        (folder / "golden.json").write_text(
            json.dumps({"input_ids": ids, "greedy_ids": greedy}, separators=(",", ":")) + "\n")
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(f"{name}: {size / 1e6:.2f} MB, weights {weights_seed}, prompt {seed}, logits std {float(logits.std()):.2f}", flush=True)


if __name__ == "__main__":
    main()

"""The Llama 4 text architecture in PyTorch, written for training needle models on a CPU.

Weights have the shapes and names of the Hugging Face checkpoint, so exporting is copying. Two things
differ from the reference implementation in speed only: chunked layers run each chunk as a sequence of
its own (a rotation is relative, so a chunk's positions may start at 0), and the last layer computes
only the rows whose logits are wanted.

SPDX-License-Identifier: Apache-2.0
"""
import json
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

import vocabulary


@dataclass(frozen=True)
class Shape:
    no_rope_layers: tuple   # 1: chunked with rotary positions, 0: global
    hidden: int = 128
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    experts: int = 4
    ffn: int = 128          # of each expert and of the shared one
    chunk: int = 512
    theta: float = 500.0    # a chunk is short: fast rotations tell neighbours apart
    attn_scale: float = 1.0
    floor_scale: int = 64
    eps: float = 1e-5
    context: int = 10_485_760

    @property
    def layers(self):
        return len(self.no_rope_layers)

    @property
    def global_layers(self):
        return [i for i, rope in enumerate(self.no_rope_layers) if not rope]


SHAPES = {"needle-4l": Shape((1, 1, 1, 0)), "needle-8l": Shape((1, 1, 1, 0, 1, 1, 1, 0))}


class Rms(torch.autograd.Function):
    """x / RMS(x) * weight over the last axis. torch's own takes ten times as long on a CPU."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        # (sqrt(mean(x^2)))^2 + eps, with one pass over x
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = scale.div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight)
        return unit if weight is None else unit * weight

    @staticmethod
    def backward(ctx, grad):
        unit, scale, weight = ctx.saved_tensors
        d_weight = None
        if weight is not None:
            d_weight = (grad * unit).flatten(0, -2).sum(0)
            grad = grad * weight
        along = (grad * unit).mean(-1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).mul_(scale), d_weight, None


def rms(x, weight, eps):
    return Rms.apply(x, weight, eps)


def halves(weight, size):
    """Rows of each head of `size` with the even ones first: a rotation's pairs (2j, 2j + 1) are then
    (j, j + size / 2), and scores of queries and keys stay as they are."""
    return weight.unflatten(0, (-1, size // 2, 2)).transpose(1, 2).reshape_as(weight)


def per_query_head(x, shape):
    """(..., T, kv_heads, head_dim) -> (..., heads, T, head_dim)"""
    return x.repeat_interleave(shape.heads // shape.kv_heads, -2).transpose(-3, -2)


def causal(q, k, v):
    """Causal attention of (B, heads, T, head_dim)."""
    t, size = q.shape[-2:]
    if t > 128:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    # Short sequences are faster with their scores in memory.
    hidden = torch.full((t, t), -torch.inf).triu(1)
    return ((q * size ** -0.5) @ k.transpose(-1, -2) + hidden).softmax(-1) @ v


class Layer(nn.Module):
    def __init__(self, shape, rope, generator):
        super().__init__()
        self.shape, self.is_global = shape, not rope
        d, wide, narrow, ffn = (shape.hidden, shape.heads * shape.head_dim,
                                shape.kv_heads * shape.head_dim, shape.ffn)

        def matrix(*size, inputs, gain=1.0):
            return nn.Parameter(torch.randn(*size, generator=generator) * gain * inputs ** -0.5)

        self.q, self.k, self.v = (matrix(n, d, inputs=d) for n in (wide, narrow, narrow))
        self.o = matrix(d, wide, inputs=wide, gain=0.5)
        if self.is_global:
            # A start that matches and copies: queries are as keys, so that what has a word in common is
            # found, and the output undoes the values.
            group = shape.heads // shape.kv_heads
            per_head = lambda a: a.detach().unflatten(0, (shape.kv_heads, -1)).repeat_interleave(
                group, 0).flatten(0, 1)
            self.q = nn.Parameter(per_head(self.k))
            self.o = nn.Parameter(per_head(self.v).t().contiguous() / group)
        self.router = matrix(shape.experts, d, inputs=d)
        self.experts_in = matrix(shape.experts, d, 2 * ffn, inputs=d)
        self.experts_out = matrix(shape.experts, ffn, d, inputs=ffn, gain=0.5)
        self.shared_gate, self.shared_up = matrix(ffn, d, inputs=d), matrix(ffn, d, inputs=d)
        self.shared_down = matrix(d, ffn, inputs=ffn, gain=0.5)
        self.norm_attention = nn.Parameter(torch.ones(d))
        self.norm_ffn = nn.Parameter(torch.ones(d))

    def keys_values(self, h):
        n = (*h.shape[:-1], self.shape.kv_heads, self.shape.head_dim)
        return F.linear(h, self.k).view(n), F.linear(h, self.v).view(n)

    def queries(self, h):
        return F.linear(h, self.q).view(*h.shape[:-1], self.shape.heads, self.shape.head_dim)

    def rotated(self, h, rope):
        """Queries, keys, values of a chunked layer: q and k rotated, then of unit RMS per head."""
        s, (cos, sin) = self.shape, rope

        def turn(weight):
            x = F.linear(h, halves(weight, s.head_dim)).unflatten(-1, (-1, s.head_dim))
            left, right = x.chunk(2, -1)
            return rms(torch.addcmul(x * cos, torch.cat((right, left), -1), sin), None, s.eps)

        v = F.linear(h, self.v).unflatten(-1, (-1, s.head_dim))
        return turn(self.q), turn(self.k), v

    def merge(self, x, attention):
        """The layer's output from its input and its heads' (..., heads, T, head_dim)."""
        x = x + F.linear(attention.transpose(-3, -2).flatten(-2), self.o)
        return self.ffn(x)

    def ffn(self, x):
        """(x with the experts' outputs added, loss that keeps experts equally used)"""
        s = self.shape
        h = rms(x, self.norm_ffn, s.eps).reshape(-1, s.hidden)
        out = F.linear(F.silu(F.linear(h, self.shared_gate)) * F.linear(h, self.shared_up),
                       self.shared_down)
        router = F.linear(h, self.router)
        best, choice = router.max(-1)
        order = choice.argsort(stable=True)
        sizes = torch.bincount(choice, minlength=s.experts)
        scaled = (h * torch.sigmoid(best)[:, None])[order]
        parts = []
        for e, rows in enumerate(scaled.split(sizes.tolist())):
            gate, up = (rows @ self.experts_in[e]).chunk(2, -1)
            parts.append((F.silu(gate) * up) @ self.experts_out[e])
        out = out.index_add(0, order, torch.cat(parts))
        balance = s.experts * (router.softmax(-1).mean(0) * sizes / len(h)).sum()
        return x + out.view_as(x), balance


class Needle(nn.Module):
    def __init__(self, shape, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.shape = shape
        d = shape.hidden
        self.embedding = nn.Parameter(torch.randn(vocabulary.SIZE, d, generator=generator) * 0.5)
        # The head begins as the embedding, so that a copied token is a guess.
        self.head = nn.Parameter(self.embedding.detach() * d ** -0.5)
        self.norm = nn.Parameter(torch.ones(d))
        self.layers = nn.ModuleList(
            [Layer(shape, rope, generator) for rope in shape.no_rope_layers])

    def rope(self, positions):
        """Tables (n, 1, head_dim) for positions inside a chunk: cosines, and sines with their signs."""
        pairs = torch.arange(0, self.shape.head_dim, 2).double() / self.shape.head_dim
        angle = positions.double()[:, None, None] * self.shape.theta ** -pairs
        cos, sin = angle.cos().float(), angle.sin().float()
        return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)

    def temperature(self, positions):
        s = self.shape
        return 1 + s.attn_scale * torch.log1p(torch.floor((positions.double() + 1) / s.floor_scale)).float()

    def chunked(self, layer, x, chunk):
        """A chunked layer over (B, T, hidden) whose position 0 is a chunk's first."""
        b, t, d = x.shape
        pad = -t % chunk if t > chunk else 0
        width = min(t, chunk)
        x = F.pad(x, (0, 0, 0, pad)).view(-1, width, d)
        h = rms(x, layer.norm_attention, self.shape.eps)
        q, k, v = layer.rotated(h, self.rope(torch.arange(width)))
        y = causal(q.transpose(1, 2), per_query_head(k, self.shape), per_query_head(v, self.shape))
        x, balance = layer.merge(x, y)
        return x.view(b, t + pad, d)[:, :t], balance

    def global_(self, layer, x, temperature, rows):
        """A global layer; `rows` (B, R) limits the output to these. Also q and k as supervision sees
        them: before the temperature."""
        h = rms(x, layer.norm_attention, self.shape.eps)
        k, v = layer.keys_values(h)
        mask = None
        if rows is not None:
            pick = lambda a: a.gather(1, rows[..., None].expand(-1, -1, a.shape[-1]))
            x, h, temperature = pick(x), pick(h), temperature.gather(1, rows)
            mask = (torch.arange(k.shape[1]) <= rows[..., None])[:, None]
        q = layer.queries(h)
        y = F.scaled_dot_product_attention((q * temperature[..., None, None]).transpose(1, 2),
                                           per_query_head(k, self.shape), per_query_head(v, self.shape),
                                           attn_mask=mask, is_causal=mask is None)
        return *layer.merge(x, y), q, k

    def forward(self, ids, rows, offset=None, chunk=None):
        """Logits (B, R, vocabulary) of `rows`, the balance loss, and (q of the rows, k of all
        positions) of each global layer. `offset` (B,) shifts the positions that the temperature sees."""
        b, t = ids.shape
        chunk = chunk or self.shape.chunk
        positions = torch.arange(t).expand(b, t) + (0 if offset is None else offset[:, None])
        temperature = self.temperature(positions)
        x, balance, seen = F.embedding(ids, self.embedding), 0.0, []
        for i, layer in enumerate(self.layers):
            if layer.is_global:
                last = i == self.shape.layers - 1
                x, aux, q, k = self.global_(layer, x, temperature, rows if last else None)
                if not last:
                    q = q.gather(1, rows[..., None, None].expand(-1, -1, *q.shape[2:]))
                seen.append((q, k))
            else:
                x, aux = self.chunked(layer, x, chunk)
            balance = balance + aux
        return F.linear(rms(x, self.norm, self.shape.eps), self.head), balance, seen

    def grow_from(self, smaller):
        """Takes over the weights of a model with fewer layers; the others start as the identity."""
        own = self.state_dict()
        own.update(smaller)
        for name in own:
            layer = name.split(".")[1] if name.startswith("layers.") else "0"
            added = name.startswith("layers.") and f"layers.{layer}.o" not in smaller
            if added and name.split(".")[-1] in ("o", "experts_out", "shared_down"):
                own[name] = torch.zeros_like(own[name])
        self.load_state_dict(own)


NAMES = {
    "q": "self_attn.q_proj.weight", "k": "self_attn.k_proj.weight", "v": "self_attn.v_proj.weight",
    "o": "self_attn.o_proj.weight", "router": "feed_forward.router.weight",
    "experts_in": "feed_forward.experts.gate_up_proj", "experts_out": "feed_forward.experts.down_proj",
    "shared_gate": "feed_forward.shared_expert.gate_proj.weight",
    "shared_up": "feed_forward.shared_expert.up_proj.weight",
    "shared_down": "feed_forward.shared_expert.down_proj.weight",
    "norm_attention": "input_layernorm.weight", "norm_ffn": "post_attention_layernorm.weight",
}
TOP_NAMES = {"embedding": "model.embed_tokens.weight", "head": "lm_head.weight",
             "norm": "model.norm.weight"}


def checkpoint_name(name):
    """Hugging Face's name of one of Needle's parameters."""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    _, layer, own = name.split(".")
    return f"model.layers.{layer}.{NAMES[own]}"


def save_shape(shape, path):
    with open(path, "w") as f:
        f.write(json.dumps(asdict(shape), indent=1) + "\n")


def parameters(net):
    return sum(math.prod(p.shape) for p in net.parameters())

#!/usr/bin/env python3
"""llama.py - the reference of anneal's gradients: a Llama in plain PyTorch.

Written from the papers with nothing of anneal in it: loss and gradients come
from PyTorch's own backward pass, in double precision. It needs PyTorch (Debian:
apt-get install python3-torch) and is run by hand; tests read what it wrote:

    python3 tests/reference/llama.py tests/data/reference

One file a case, in safetensors form: "ids" I32 [batch, seq+1], "loss" F32 [1]
(mean over all tokens, nats), and the gradient of each weight under its public
name, F32. Weights are not stored: both sides make them by `number` below.
"""
import json
import math
import struct
import sys

import numpy as np
import torch

LAYERS, DIM, HIDDEN, HEADS, KV, HD, VOCAB, SEQ, BATCH = 2, 48, 64, 4, 2, 16, 80, 32, 2
THETA, EPS = 10000.0, 1e-5

# name: (tied, interleaved, q/k norm)
CASES = {
    "half_tied": (True, False, False),
    "half_untied": (False, False, False),
    "interleaved_untied": (False, True, False),
    "qwen_tied": (True, False, True),
}


def number(tensor, n):
    """n numbers in [0,1) with 24 bits, a function of (tensor, index) alone."""
    x = np.arange(n, dtype=np.uint64) * np.uint64(2654435769) + np.uint64(tensor * 97 + 1)
    for _ in range(2):
        x = x & np.uint64(0xFFFFFFFF)
        x = (x ^ (x >> np.uint64(15))) * np.uint64(0x2C1B3C6D)
    x = x & np.uint64(0xFFFFFFFF)
    x = x ^ (x >> np.uint64(13))
    return (x >> np.uint64(8)).astype(np.float64) / 2.0**24


def shapes(tied, qk_norm):
    """Public names and shapes, in the order that numbers the tensors."""
    out = [("model.embed_tokens", (VOCAB, DIM))]
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        out += [(p + "input_layernorm", (DIM,)),
                (p + "self_attn.q_proj", (HEADS * HD, DIM)),
                (p + "self_attn.k_proj", (KV * HD, DIM)),
                (p + "self_attn.v_proj", (KV * HD, DIM)),
                (p + "self_attn.o_proj", (DIM, HEADS * HD))]
        if qk_norm:
            out += [(p + "self_attn.q_norm", (HD,)), (p + "self_attn.k_norm", (HD,))]
        out += [(p + "post_attention_layernorm", (DIM,)),
                (p + "mlp.gate_proj", (HIDDEN, DIM)),
                (p + "mlp.up_proj", (HIDDEN, DIM)),
                (p + "mlp.down_proj", (DIM, HIDDEN))]
    out.append(("model.norm", (DIM,)))
    if not tied:
        out.append(("lm_head", (VOCAB, DIM)))
    return [(n + ".weight", s) for n, s in out]


def weights(tied, qk_norm):
    """Matrices uniform in [-1/8, 1/8), norms in [1/4, 13/4): far from 1; those of
    heads in [1/2, 3/2), since with larger ones attention is so sharp that rounding
    the weights to fp16 alone moves the gradients by more than one percent."""
    w = {}
    for i, (name, shape) in enumerate(shapes(tied, qk_norm)):
        u = number(i, math.prod(shape)).reshape(shape)
        if len(shape) == 2:
            u = (u - 0.5) / 4
        elif "self_attn" in name:
            u = 0.5 + u
        else:
            u = 0.25 + 3 * u
        w[name] = torch.tensor(u, dtype=torch.float64, requires_grad=True)
    return w


def rms_norm(x, w):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * w


def rope(x, interleaved):
    """x [B, heads, S, hd]: pair i turned by position * theta^(-2i/hd)."""
    s, half = x.shape[2], x.shape[3] // 2
    angle = torch.arange(s, dtype=torch.float64)[:, None] * THETA ** (
        -torch.arange(half, dtype=torch.float64) / half)
    z = torch.polar(torch.ones_like(angle), angle)
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        a, b = x[..., :half], x[..., half:]
    turned = torch.complex(a, b) * z
    parts = [turned.real, turned.imag]
    if interleaved:
        return torch.stack(parts, -1).flatten(-2)
    return torch.cat(parts, -1)


def attention(h, w, p, interleaved, qk_norm):
    b, s, _ = h.shape

    def heads(name, n):
        return (h @ w[p + name + ".weight"].T).view(b, s, n, HD).transpose(1, 2)

    q, k, v = heads("q_proj", HEADS), heads("k_proj", KV), heads("v_proj", KV)
    if qk_norm:
        q, k = rms_norm(q, w[p + "q_norm.weight"]), rms_norm(k, w[p + "k_norm.weight"])
    q, k = rope(q, interleaved), rope(k, interleaved)
    k, v = (x.repeat_interleave(HEADS // KV, dim=1) for x in (k, v))
    score = q @ k.transpose(2, 3) / math.sqrt(HD)
    later = torch.triu(torch.ones(s, s, dtype=torch.bool), 1)
    probs = score.masked_fill(later, -math.inf).softmax(-1)
    out = (probs @ v).transpose(1, 2).reshape(b, s, HEADS * HD)
    return out @ w[p + "o_proj.weight"].T


def loss_of(w, ids, tied, interleaved, qk_norm):
    x = w["model.embed_tokens.weight"][ids[:, :-1]]
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        h = rms_norm(x, w[p + "input_layernorm.weight"])
        x = x + attention(h, w, p + "self_attn.", interleaved, qk_norm)
        h = rms_norm(x, w[p + "post_attention_layernorm.weight"])
        gate, up = (h @ w[p + f"mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (torch.nn.functional.silu(gate) * up) @ w[p + "mlp.down_proj.weight"].T
    x = rms_norm(x, w["model.norm.weight"])
    logits = x @ w["model.embed_tokens.weight" if tied else "lm_head.weight"].T
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def save(path, tensors):
    header, data = {}, b""
    for name, a in tensors.items():
        raw = np.ascontiguousarray(a).tobytes()
        header[name] = {"dtype": {"float32": "F32", "int32": "I32"}[a.dtype.name],
                        "shape": list(a.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else "tests/data/reference"
    ids = (number(1000, BATCH * (SEQ + 1)) * VOCAB).astype(np.int32)
    ids = ids.reshape(BATCH, SEQ + 1)
    for case, (tied, interleaved, qk_norm) in CASES.items():
        w = weights(tied, qk_norm)
        loss = loss_of(w, torch.tensor(ids, dtype=torch.long), tied, interleaved, qk_norm)
        loss.backward()
        tensors = {"ids": ids, "loss": np.array([loss.item()], dtype=np.float32)}
        for name, x in w.items():
            tensors[name] = x.grad.numpy().astype(np.float32)
        save(f"{out}/{case}.safetensors", tensors)
        print(f"{case}: loss {loss.item():.6f}")


if __name__ == "__main__":
    main()

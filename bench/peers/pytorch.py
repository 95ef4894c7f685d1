#!/usr/bin/env python3
"""The work of `anneal bench layer` and `anneal bench step`, in PyTorch on the CPU.

Prints one JSON object: median and least milliseconds. fp32, as PyTorch trains on
CPUs; the same shapes, the same products, random tokens, AdamW unfused (the fused
and multi-tensor forms are slower here).

  python3 pytorch.py layer --dim 768 --hidden 2048 --heads 12 --seq 512
  python3 pytorch.py step --layers 12 --dim 768 --hidden 2048 --heads 12 --seq 256 --vocab 32000
"""
import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Layer(nn.Module):
    def __init__(self, dim, hidden, heads, seq):
        super().__init__()
        self.heads, self.hd = heads, dim // heads
        self.n1, self.n2 = RMSNorm(dim), RMSNorm(dim)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, dim, bias=False)
        freq = 10000 ** (-torch.arange(0, self.hd, 2) / self.hd)
        angle = torch.arange(seq)[:, None] * freq[None]
        self.register_buffer("cos", torch.cos(angle).repeat(1, 2))
        self.register_buffer("sin", torch.sin(angle).repeat(1, 2))
        self.register_buffer("mask", torch.full((seq, seq), -1e4).triu(1))

    def forward(self, x):
        b, t, d = x.shape
        h = self.n1(x)
        q, k, v = (w(h).view(b, t, self.heads, self.hd).transpose(1, 2) for w in (self.q, self.k, self.v))
        q, k = rotate(q, self.cos, self.sin), rotate(k, self.cos, self.sin)
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(self.hd) + self.mask, -1)
        x = x + self.o((p @ v).transpose(1, 2).reshape(b, t, d))
        h = self.n2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embed = nn.Embedding(a.vocab, a.dim)
        self.layers = nn.ModuleList(Layer(a.dim, a.hidden, a.heads, a.seq) for _ in range(a.layers))
        self.norm = RMSNorm(a.dim)

    def forward(self, ids, targets):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        logits = self.norm(x) @ self.embed.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def timed(fn, repeat):
    fn()
    ms = []
    for _ in range(repeat):
        start = time.perf_counter()
        fn()
        ms.append((time.perf_counter() - start) * 1e3)
    ms.sort()
    return {"ms": ms[len(ms) // 2], "min_ms": ms[0]}


def bench_layer(a):
    layer = Layer(a.dim, a.hidden, a.heads, a.seq)
    x = torch.randn(a.batch, a.seq, a.dim, requires_grad=True)
    dy = torch.randn(a.batch, a.seq, a.dim)

    def once():
        layer.zero_grad(set_to_none=False)
        layer(x).backward(dy)

    return timed(once, a.repeat)


def bench_step(a):
    model = Model(a)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False)
    ids = torch.randint(a.vocab, (a.batch, a.seq))

    def once():
        opt.zero_grad(set_to_none=False)
        model(ids, ids).backward()
        opt.step()

    return timed(once, a.repeat)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["layer", "step"])
    for name, value in dict(layers=12, dim=768, hidden=2048, heads=12, seq=512, batch=1, vocab=32000,
                            repeat=10, threads=2).items():
        p.add_argument("--" + name, type=int, default=value)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    print(json.dumps({"what": a.what, "torch": torch.__version__} | (bench_layer(a) if a.what == "layer" else bench_step(a))))


main()

#!/usr/bin/env python3
"""twin.py - one training of anneal done again by PyTorch on the CPU.

The same weights to begin with, the same windows of text in the same order, the
same schedule, clip and AdamW, but PyTorch's operations, backward pass and
optimizer. Where the twin and `anneal train -d emu:m4,wide` agree, fp32 is the
yardstick that docs/numerics.md takes it for.

  anneal train RECIPE -n start train.lr=0 --stop-after 1    # the first weights
  twin.py RECIPE --start runs/start/step-00000001 [key=value ...]

A recipe names its text as data.dir, a folder made by `anneal data`. Prints JSON
lines: {step, loss, norm, lr} as events.jsonl has them, then {held_out, windows},
the mean over all held-out windows. --against EVENTS says how far from a run of
anneal that was. --mistake NAME trains with an error that was in a public
trainer, always in fp32: what that loses is no arithmetic. --mistakes lists them.

Needs PyTorch (Debian: apt-get install python3-torch).
"""
import argparse
import json
import math
import pathlib
import re
import struct
import sys

import numpy as np
import torch
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
MASK32, MASK64 = 2**32 - 1, 2**64 - 1

# name: (what is wrong, where it was). All of them are in the public repository
# maderix/ANE; "HEAD" is d91c984. The forward pass is right in all but `rotary`.
MISTAKES = {
    "rmsnorm": ("dx = w r (dy - x c) for r (w dy - x c), where c = r^2 mean(w dy x): "
                "the second term has the gain too, so it is right while gains are 1",
                "rmsnorm_bwd of both trainers, HEAD"),
    "heads": ("forward query head h reads key head h mod K, backward h div (H / K); "
              "the same where H = K", "training_dynamic with GQA, HEAD"),
    "transposed": ("backward multiplies with the memory of transposed weights, read "
                   "in the shape of untransposed ones", "training_dynamic, 926f977 to c3c5094"),
    "prototype": ("dx = r w dy - x c: the second term lacks 1 / rms; the norm before "
                  "feed-forward is given the layer's input, not its own; gains get no "
                  "gradient", "backward.h, HEAD"),
    "rotary": ("queries and keys are not rotated: no positions", "static trainers, HEAD"),
}


# ---- settings ----

def defaults():
    """Settings and their defaults, from the table of docs/config.md."""
    text = (ROOT / "docs/config.md").read_text()
    rows = re.findall(r"^\| `([a-z]+\.[a-z_0-9]+)` \| ([^|]*?) \|", text, re.M)
    return {k: "" if v == "none" else v for k, v in rows}


def read_recipe(path, words):
    said = defaults()
    lines = [re.sub(r"(^|\s)#.*", "", s) for s in pathlib.Path(path).read_text().split("\n")]
    for line in [s for s in lines if s.strip()] + words:
        key, equals, value = line.partition("=")
        if not equals or key.strip() not in said:
            sys.exit(f"twin.py: no setting '{line.strip()}'")
        said[key.strip()] = value.strip().strip('"')
    if not said["data.dir"]:
        sys.exit("twin.py: wanted data.dir, a folder made by: anneal data TEXT -o DIR")
    return said


def check_shape(s, shape):
    for key, name in {"layers": "num_hidden_layers", "dim": "hidden_size",
                      "heads": "num_attention_heads",
                      "kv_heads": "num_key_value_heads"}.items():
        said = int(s["model." + key])
        if said and said != shape[name]:
            sys.exit(f"twin.py: model.{key} is {said}, the first weights have {shape[name]}")


# ---- random numbers: Philox 4x32-10, as src/base/rng.c ----

def block(seed, stream, counter):
    c = [counter & MASK32, counter >> 32, stream & MASK32, stream >> 32]
    k = [seed & MASK32, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & MASK32, p0 >> 32 ^ c[3] ^ k[1], p0 & MASK32]
        k = [k[0] + 0x9E3779B9 & MASK32, k[1] + 0xBB67AE85 & MASK32]
    return c


def stream(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & MASK64
    for mul in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * mul & MASK64
    return h ^ h >> 33


def below(seed, strm, counter, n):
    w = block(seed, strm, counter)
    return (w[1] << 32 | w[0]) * n >> 64


def permute(seed, strm, i, n):
    if n < 2:
        return 0
    bits = (n - 1).bit_length()
    right_bits = (bits + 1) // 2
    right_mask, left_mask = (1 << right_bits) - 1, (1 << bits - right_bits) - 1
    while True:
        left, right = i >> right_bits, i & right_mask
        for r in range(8):
            if r & 1:
                right ^= block(seed, strm, r << 32 | left)[0] & right_mask
            else:
                left ^= block(seed, strm, r << 32 | right)[0] & left_mask
        i = left << right_bits | right
        if i < n:
            return i


# ---- data: the windows of src/data/dataset.c ----

class Text:
    """The tokens of a dataset folder (the format: src/data/tokens.h)."""

    def __init__(self, folder):
        self.train, self.held = (self.read(pathlib.Path(folder) / (n + ".bin"))
                                 for n in ("train", "heldout"))

    def read(self, path):
        head = path.read_bytes()[:64]
        magic, version, width, count = struct.unpack("<8sIIQ", head[:24])
        if magic != b"ANNEALTK" or version != 1:
            sys.exit(f"twin.py: {path} holds no tokens of version 1")
        self.vocab = struct.unpack("<I", head[48:52])[0]
        return np.memmap(path, {2: "<u2", 4: "<u4"}[width], "r", 64, (count,))

    def example(self, seed, x, seq):
        """Training example number x: seq tokens and the next one."""
        n = len(self.train)
        windows = n // seq - 1 if n // seq > 2 else 1
        epoch, i = divmod(x, windows)
        room = min(n - 1 - windows * seq, seq - 1)
        at = below(seed, stream("window offset"), epoch, room + 1)
        at += seq * permute(seed, stream("window order") + epoch & MASK64, i, windows)
        return self.train[at:at + seq + 1].astype(np.int64)

    def held_windows(self, seq):
        """All held-out windows, ids and targets; what lies past the end is -1."""
        windows = (len(self.held) - 2) // seq + 1
        padded = np.full(windows * seq + 1, -1, np.int64)
        padded[:min(len(self.held), len(padded))] = self.held[:len(padded)]
        return padded[:-1].reshape(windows, seq), padded[1:].reshape(windows, seq)


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header, out = json.loads(raw[8:8 + n]), {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        out[name] = np.frombuffer(raw[8 + n + a:8 + n + b], "<f4").reshape(t["shape"])
    return out


def schedule(step, s):
    """The learning rate of update `step`, from 0 (src/train/schedule.c)."""
    lr, low = float(s["train.lr"]), float(s["train.min_lr"])
    warmup, steps = int(s["train.warmup"]), int(s["train.steps"])
    if step < warmup:
        return lr * (step + 1) / warmup
    done = min((step - warmup) / (steps - warmup), 1) if steps > warmup else 1
    return {"cosine": low + (lr - low) * 0.5 * (1 + math.cos(math.pi * done)),
            "linear": lr + (low - lr) * done, "constant": lr}[s["train.schedule"]]


# ---- the model ----

class WrongNorm(torch.autograd.Function):
    """RMSNorm(x) * w with the backward pass of `rmsnorm` or `prototype`, whose
    norm before feed-forward believes its input to be `seen`."""

    @staticmethod
    def forward(ctx, x, w, eps, mistake, seen):
        ctx.save_for_backward(seen, w)
        ctx.eps, ctx.mistake = eps, mistake
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + ctx.eps)
        c = r * r * (w * dy * x).mean(-1, keepdim=True)
        if ctx.mistake == "prototype":
            return r * w * dy - x * c, torch.zeros_like(w), None, None, None
        dw = (dy * x * r).flatten(0, -2).sum(0)
        return w * r * (dy - x * c), dw, None, None, None


class WrongLinear(torch.autograd.Function):
    """x W^T with the backward pass of `transposed`."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w.t()

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dw = dy.flatten(0, -2).t() @ x.flatten(0, -2)
        return dy @ w.t().contiguous().view(w.shape), dw


def rotate(x, cos, sin):
    """Pairs (i, i + hd/2), as public files hold them. x: [B, heads, S, hd]"""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Twin:
    def __init__(self, shape, weights, s, mistake=None, double=False, half=False):
        self.kind = torch.float64 if double else torch.float32
        self.mistake, self.half = mistake, half
        self.layers, self.eps = shape["num_hidden_layers"], shape["rms_norm_eps"]
        self.heads, self.kv = shape["num_attention_heads"], shape["num_key_value_heads"]
        self.hd, self.theta = shape["head_dim"], shape["rope_theta"]
        self.w = {k: torch.tensor(v, dtype=self.kind, requires_grad=True)
                  for k, v in weights.items()}
        self.clip, self.accum = float(s["train.clip"]), int(s["train.accum"])
        self.batch, seq = int(s["train.batch"]), int(s["model.seq"])
        decay = float(s["train.weight_decay"])
        matrices = [w for w in self.w.values() if w.dim() == 2]
        gains = [w for w in self.w.values() if w.dim() == 1]
        self.adamw = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": decay},
             {"params": gains, "weight_decay": 0.0}],
            betas=(float(s["train.beta1"]), float(s["train.beta2"])), eps=1e-8)
        freq = self.theta ** (-torch.arange(0, self.hd, 2, dtype=torch.float64) / self.hd)
        angle = torch.arange(seq, dtype=torch.float64)[:, None] * freq[None]
        self.cos, self.sin = angle.cos().to(self.kind), angle.sin().to(self.kind)
        self.later = torch.ones(seq, seq, dtype=torch.bool).triu(1)

    def weight(self, name):
        w = self.w[name + ".weight"]
        return w + (w.half().to(self.kind) - w).detach() if self.half else w

    def norm(self, name, x, seen=None):
        w = self.weight(name)
        if self.mistake == "rmsnorm":
            return WrongNorm.apply(x, w, self.eps, self.mistake, x)
        if self.mistake == "prototype":
            return WrongNorm.apply(x, w, self.eps, self.mistake, x if seen is None else seen)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * w

    def linear(self, name, x):
        w = self.weight(name)
        return WrongLinear.apply(x, w) if self.mistake == "transposed" else x @ w.t()

    def attend(self, q, k, v):
        """k, v: one head for each head of q. -> [B, S, heads * hd]"""
        score = q @ k.transpose(2, 3) / math.sqrt(self.hd)
        p = score.masked_fill(self.later, -math.inf).softmax(-1)
        return (p @ v).transpose(1, 2).flatten(2)

    def attention(self, p, h):
        b, s, _ = h.shape

        def heads(name, n):
            x = self.linear(p + f"self_attn.{name}_proj", h).view(b, s, n, self.hd)
            x = x.transpose(1, 2)
            if name == "v":
                return x
            if p + f"self_attn.{name}_norm.weight" in self.w:
                x = self.norm(p + f"self_attn.{name}_norm", x)
            return x if self.mistake == "rotary" else rotate(x, self.cos, self.sin)

        q, k, v = heads("q", self.heads), heads("k", self.kv), heads("v", self.kv)
        group = self.heads // self.kv
        out = self.attend(q, *(x.repeat_interleave(group, 1) for x in (k, v)))
        if self.mistake == "heads":  # its value from one mapping, its slope from the other
            with torch.no_grad():
                told = self.attend(q, *(x.repeat(1, group, 1, 1) for x in (k, v)))
            out = out + (told - out).detach()
        return self.linear(p + "self_attn.o_proj", out)

    def loss(self, ids, targets):
        x = self.weight("model.embed_tokens")[ids]
        for i in range(self.layers):
            p, layer_input = f"model.layers.{i}.", x
            x = x + self.attention(p, self.norm(p + "input_layernorm", x))
            h = self.norm(p + "post_attention_layernorm", x, layer_input)
            gate, up = (self.linear(p + f"mlp.{n}_proj", h) for n in ("gate", "up"))
            x = x + self.linear(p + "mlp.down_proj", F.silu(gate) * up)
        x = self.norm("model.norm", x)
        head = self.weight("lm_head" if "lm_head.weight" in self.w else "model.embed_tokens")
        return F.cross_entropy((x @ head.t()).flatten(0, 1), targets.flatten(), ignore_index=-1)

    def step(self, passes, lr):
        """One update. passes: [batch, seq + 1] each. -> mean loss, norm of gradients"""
        self.adamw.zero_grad()
        total = 0.0
        for ids in passes:
            ids = torch.from_numpy(ids)
            loss = self.loss(ids[:, :-1], ids[:, 1:]) / len(passes)
            loss.backward()
            total += loss.item()
        grads = [w.grad for w in self.w.values()]
        norm = math.sqrt(sum(g.double().pow(2).sum().item() for g in grads))
        if self.clip > 0 and norm > self.clip:
            for g in grads:
                g.mul_(self.clip / norm)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        self.adamw.step()
        return total, norm

    @torch.no_grad()
    def held_out(self, ids, targets):
        total, counted = 0.0, 0
        for i in range(0, len(ids), self.batch):
            t = torch.from_numpy(targets[i:i + self.batch])
            n = int((t >= 0).sum())
            if n:
                x = torch.from_numpy(ids[i:i + self.batch]).clamp_min(0)
                total, counted = total + self.loss(x, t).item() * n, counted + n
        return {"held_out": total / counted, "windows": len(ids)}


# ---- the comparison ----

def compare(lines, events):
    """How far the twin's losses are from those of a run of anneal, in nats."""
    theirs, held = {}, None
    for text in open(events):
        e = json.loads(text)
        if e["kind"] == "step":
            theirs[e["step"]] = e["loss"]
        if e["kind"] == "done":
            held = e["held_out"]
    apart = [(abs(x["loss"] - theirs[x["step"]]), x["step"])
             for x in lines if x.get("step") in theirs]
    out = {"against": str(events), "steps": len(apart),
           "apart_first_20": max((a for a, s in apart if s <= 20), default=None),
           "apart_worst": max(apart, default=(None, None))[0],
           "worst_step": max(apart, default=(None, None))[1]}
    if held is not None and "held_out" in lines[-1]:
        out |= {"held_out_anneal": held, "held_out_apart": lines[-1]["held_out"] - held}
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("recipe", nargs="?")
    p.add_argument("--start", help="folder of the first weights: a checkpoint of anneal")
    p.add_argument("--mistake", choices=MISTAKES)
    p.add_argument("--mistakes", action="store_true", help="list them")
    p.add_argument("--double", action="store_true", help="fp64: what fp32 itself does")
    p.add_argument("--half", action="store_true",
                   help="weights rounded to fp16 where they are used, as surfaces hold them")
    p.add_argument("--against", help="events.jsonl of a run to compare with")
    p.add_argument("--stop-after", type=int, help="stop after this many updates")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("words", nargs="*", metavar="key=value")
    a = p.parse_intermixed_args()
    if a.mistakes:
        for name, (what, where) in MISTAKES.items():
            print(f"{name}\t{what}\t{where}")
        return
    if not a.recipe or not a.start:
        p.error("wanted RECIPE and --start")
    torch.set_num_threads(a.threads)
    lines = []

    def say(line):
        lines.append(line)
        print(json.dumps(line), flush=True)

    s = read_recipe(a.recipe, a.words)
    weights = read_safetensors(pathlib.Path(a.start) / "model.safetensors")
    shape = json.loads((pathlib.Path(a.start) / "config.json").read_text())
    check_shape(s, shape)
    twin = Twin(shape, weights, s, a.mistake, a.double, a.half)
    text = Text(s["data.dir"])
    seq, batch, seed = int(s["model.seq"]), int(s["train.batch"]), int(s["train.seed"])
    x = 0
    steps = int(s["train.steps"])
    for step in range(min(a.stop_after or steps, steps)):
        passes = []
        for _ in range(int(s["train.accum"])):
            passes.append(np.stack([text.example(seed, x + b, seq) for b in range(batch)]))
            x += batch
        lr = schedule(step, s)
        loss, norm = twin.step(passes, lr)
        say({"step": step + 1, "loss": loss, "norm": norm, "lr": lr})
    if step + 1 == steps:
        say(twin.held_out(*text.held_windows(seq)))
    if a.against:
        say(compare(lines, a.against))


if __name__ == "__main__":
    main()

"""The residual field of crates/thalweg/src/field in PyTorch: training steps and sampling, one JSON line a measurement.

The same network, batch and optimiser as crates/thalweg/benches/field.rs; a rate is the best of several windows and of PyTorch's
fused and foreach optimisers. A step with clipping and average does the same work as ours; one without them does less.
THREADS: threads (2).
"""
import json
import os
import time

import torch
from torch import nn

torch.set_num_threads(int(os.environ.get("THREADS", 2)))
WINDOWS, SECONDS = 6, 0.7


class Field(nn.Module):
    def __init__(self, p, width=512, blocks=3, features=32, embedding=64):
        super().__init__()
        self.width, self.blocks = width, blocks
        self.register_buffer("frequencies", 100 ** torch.linspace(0, 1, features // 2))
        self.input = nn.Linear(p, width)
        self.time = nn.Linear(features, embedding)
        self.modulation = nn.Linear(embedding, blocks * 2 * width)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.output = nn.Linear(width, p)
        self.gate = nn.Linear(features, p)
        for layer in (self.output, self.gate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x, t):
        angles = t[:, None] * self.frequencies
        phi = torch.cat([angles.sin(), angles.cos()], 1)
        modulation = self.modulation(nn.functional.silu(self.time(phi))).view(-1, self.blocks, 2, self.width)
        h = self.input(x)
        for i, (up, down) in enumerate(zip(self.up, self.down)):
            a = nn.functional.layer_norm(h, (self.width,)) * (1 + modulation[:, i, 0]) + modulation[:, i, 1]
            h = h + down(nn.functional.silu(up(a)))
        return self.output(h) + self.gate(phi) * x


def waves(rows, p, pitch):
    return torch.sin(torch.arange(rows * p) * pitch).view(rows, p)


def rate(units, work):
    work()
    best = 0.0
    for _ in range(WINDOWS):
        start, done = time.perf_counter(), 0.0
        while time.perf_counter() - start < SECONDS:
            work()
            done += units
        best = max(best, done / (time.perf_counter() - start))
    return best


def training(bare, **kind):
    rows, p = 64, 2864
    torch.manual_seed(1)
    field = Field(p)
    x, u, t = waves(rows, p, 0.3), waves(rows, p, 0.7), torch.arange(rows) / rows
    parameters = list(field.parameters())
    average = [q.detach().clone() for q in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, **kind)

    def step():
        optimiser.zero_grad(set_to_none=True)
        nn.functional.mse_loss(field(x, t), u).backward()
        if not bare:
            nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimiser.step()
        if not bare:
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 0.005)

    return rate(1, step)


@torch.inference_mode()
def sampling():
    rows, p, steps = 1000, 2464, 20
    torch.manual_seed(1)
    field, start, h = Field(p), waves(rows, p, 0.3), 1 / steps

    def sample():
        x = start
        for step in range(steps):
            t = torch.full((rows,), step * h)
            first = field(x, t)
            x = x + h / 2 * (first + field(x + h * first, t + h))
        return x

    return rate(rows, sample)


def report(name, by, per_second):
    print(json.dumps({"name": name, "per_second": round(per_second, 2), "by": by}), flush=True)


for bare, what in ((False, "clipping and average"), (True, "without clipping and average")):
    rates = {kind: training(bare, **{kind: True}) for kind in ("fused", "foreach")}
    best = max(rates, key=rates.get)
    report("step", f"{best} AdamW, {what}", rates[best])
report("sample", "inference mode", sampling())

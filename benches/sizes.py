"""Seconds, memory and disk of import, fit and sampling as networks grow, with fitted exponents; and the same work in PyTorch, run in turn.

    benches/sizes.py THALWEG FOLDER --parameters 1e3,1e4,1e5,1e6 --runs 30,100 [--field 1e5] [--repeat 1]
    benches/sizes.py THALWEG FOLDER --peer          # a step of NM-CFM at P = 1e5, and 10 networks from a PCA latent at P = 1e6, beside PyTorch

Zoos are synthetic: eight directions with noise around a centre, one checkpoint a run, in FOLDER, one at a time; they are removed again. Seconds are user
and system time of the whole process on one thread; memory is its largest resident set. Wants a Python with numpy, and torch for --peer.
"""
import argparse
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GAUSSIAN = ["--set", "method.cfm.source=gaussian", "--set", "method.cfm.coupling=independent"]


def make(folder, p, runs):
    """Writes `runs` networks of `p` weights, written piece by piece: a matrix of 900 columns, and the rest."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = p // 1000
    shapes = {"a.weight": [rows, 900], "b.weight": [p - 900 * rows]} if rows else {"b.weight": [p]}
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    files = [open(folder / f"run-{r:04}.safetensors", "wb") for r in range(runs)]
    for file in files:
        file.write(struct.pack("<Q", len(text)) + text)
    latents = rng.standard_normal((runs, 8), dtype=np.float32)
    for first in range(0, p, 1 << 18):
        wide = min(1 << 18, p - first)
        centre = 0.3 * rng.standard_normal(wide, dtype=np.float32)
        basis = 0.1 * rng.standard_normal((8, wide), dtype=np.float32)
        for file, latent in zip(files, latents):
            theta = centre + latent @ basis + 0.03 * rng.standard_normal(wide, dtype=np.float32)
            file.write(theta.astype(np.float32).tobytes())
    for file in files:
        file.close()


def run(command):
    """User and system seconds, wall seconds and megabytes of a command that has to succeed; by time(1), whose own memory is small."""
    began = time.perf_counter()
    with tempfile.NamedTemporaryFile("r") as file:
        done = subprocess.run(["time", "-q", "-o", file.name, "-f", "%U %S %M", *command], stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}")
        user, system, kilobytes = map(float, file.read().split())
    return user + system, time.perf_counter() - began, kilobytes / 1024


def bytes_of(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def measure(program, folder, p, runs, field, repeat):
    """One row: what each command takes, the best of `repeat` tries."""
    source, zoo, model, samples = (folder / name for name in ("source", "zoo", "model", "samples.safetensors"))
    shutil.rmtree(folder, ignore_errors=True)
    make(source, p, runs)

    def best(target, *words):
        tries = []
        for _ in range(repeat):
            shutil.rmtree(target, ignore_errors=True)
            target.unlink(missing_ok=True)
            tries.append(run([program, *words, "--out", target, "--threads", "1", "-q", "--force"]))
        return min(tries)

    row = {"p": p, "runs": runs}
    row["import"] = best(zoo, "zoo", "import", source)
    row["zoo MB"] = bytes_of(zoo)
    shutil.rmtree(source)
    row["pca"] = best(model, "fit", zoo, "--set", "latent.pca.dimension=16", *GAUSSIAN, "--steps", "200")
    row["model MB"] = bytes_of(model)
    row["sample"] = best(samples, "sample", model, "-n", "10")
    if p <= field:
        few, many = (best(model, "fit", zoo, *GAUSSIAN, "--steps", str(n), "--set", "validate-every=1000") for n in (2, 12))
        row["step"] = ((many[0] - few[0]) / 10, (many[1] - few[1]) / 10, many[2])
        row["sample field"] = best(samples, "sample", model, "-n", "10", "--steps", "20")
    shutil.rmtree(folder)
    return row


def exponent(rows, value):
    """The slope of log value over log P by least squares; over the upper half of the sizes where there are four or more."""
    points = [(math.log(row["p"]), math.log(value(row))) for row in rows if value(row) > 0]
    x, y = np.array(points).T
    return np.polyfit(x, y, 1)[0] if len(points) > 1 else float("nan")


def table(rows, kinds, least):
    print("| P | R | " + " | ".join(f"{kind}: s, MB" for kind in kinds) + " | zoo MB | model MB |")
    print("| --- | --- | " + " | ".join("---" for _ in kinds) + " | --- | --- |")
    for row in rows:
        cells = [f"{row[kind][0]:.3g}, {row[kind][2]:,.0f}" if kind in row else "–" for kind in kinds]
        print(f"| {row['p']:.0e} | {row['runs']} | " + " | ".join(cells) + f" | {row['zoo MB']:,.1f} | {row['model MB']:,.1f} |")
    for runs in sorted({row["runs"] for row in rows}):
        for kind in kinds:
            some = [row for row in rows if row["runs"] == runs and kind in row and row["p"] >= least]
            if len(some) > 1:
                seconds, memory = (exponent(some, lambda row, i=i: row[kind][i]) for i in (0, 2))
                print(f"R = {runs}, {kind}, from P = {some[0]['p']:.0e} on: seconds ~ P^{seconds:.2f}, memory ~ P^{memory:.2f}")


def peer(program, folder):
    """The same work in PyTorch on one thread, in turn with ours, three times."""
    import torch

    torch.set_num_threads(1)
    rates = {"sample 10 from PCA, P = 1e6": [], "a step of NM-CFM, P = 1e5, batch 48, width 4": []}
    shutil.rmtree(folder, ignore_errors=True)
    make(folder / "source", 1_000_000, 30)
    zoo, model, out = folder / "zoo", folder / "model", folder / "samples.safetensors"
    quiet = ["--threads", "1", "-q", "--force"]
    run([program, "zoo", "import", folder / "source", "--out", zoo, *quiet])
    run([program, "fit", zoo, "--set", "latent.pca.dimension=16", *GAUSSIAN, "--steps", "200", "--out", model, *quiet])
    mean, scale, directions = torch.randn(1_000_000), torch.rand(1_000_000), torch.randn(16, 1_000_000)
    for _ in range(3):
        # The whole of it on either side, but for starting Python: the model read, the networks drawn, written and flushed.
        torch.save((mean, scale, directions), folder / "peer.pt")
        ours = run([program, "sample", model, "-n", "10", "--out", out, *quiet])[0]
        began = time.process_time()
        mean, scale, directions = torch.load(folder / "peer.pt")
        field = torch.nn.Sequential(torch.nn.Linear(17, 32), torch.nn.SiLU(), torch.nn.Linear(32, 16))
        with torch.no_grad():
            y = torch.randn(10, 16)
            for step in range(100):
                y = y + field(torch.cat([y, torch.full((10, 1), step / 100)], 1)) / 100
            theta = (y @ directions + mean) * scale + mean
        with open(folder / "peer.bin", "wb") as file:
            file.write(theta.numpy().tobytes())
            os.fsync(file.fileno())
        rates["sample 10 from PCA, P = 1e6"].append((ours, time.process_time() - began))
    shutil.rmtree(folder)
    make(folder / "source", 100_000, 30)
    run([program, "zoo", "import", folder / "source", "--out", zoo, *quiet])
    for _ in range(3):
        few, many = (
            run([program, "fit", zoo, *GAUSSIAN, "--steps", str(n), "--set", "validate-every=1000", "--out", model, *quiet])[0]
            for n in (2, 32)
        )
        rates["a step of NM-CFM, P = 1e5, batch 48, width 4"].append(((many - few) / 30, torch_step(torch, 100_000)))
    shutil.rmtree(folder)
    for name, pairs in rates.items():
        ratios = [theirs / ours for ours, theirs in pairs]
        shown = ", ".join(f"{1e3 * ours:.0f} against {1e3 * theirs:.0f} ms" for ours, theirs in pairs)
        print(f"{name}: {shown}; ratio {sorted(ratios)[len(ratios) // 2]:.2f}")


def torch_step(torch, p, batch=48, width=4, features=32, embedding=64, steps=20):
    """Seconds of a step of the same field, loss, AdamW, clipping and average in PyTorch."""
    linear = torch.nn.Linear

    class Field(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.time, self.inner, self.outer = linear(features, embedding), linear(p, width), linear(width, p)
            self.gate, self.modulation = linear(features, p), linear(embedding, 2 * 2 * width)
            self.blocks = torch.nn.ModuleList(linear(width, width) for _ in range(4))

        def forward(self, x, phi):
            e = torch.nn.functional.silu(self.time(phi))
            m, h = self.modulation(e).view(-1, 2, 2, width), self.inner(x)
            for i in range(2):
                a = torch.nn.functional.layer_norm(h, (width,)) * (1 + m[:, i, 0]) + m[:, i, 1]
                h = h + self.blocks[2 * i + 1](torch.nn.functional.silu(self.blocks[2 * i](a)))
            return self.outer(h) + self.gate(phi) * x

    field = Field()
    parameters = list(field.parameters())
    average = [q.detach().clone() for q in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=5e-3, foreach=True)
    ends = torch.randn(24, p)
    frequencies = 2 ** torch.arange(features // 2)
    began = time.process_time()
    for _ in range(steps):
        x0, x1, t = torch.randn(batch, p), ends[torch.randint(24, (batch,))], torch.rand(batch, 1)
        x, u = torch.lerp(x0, x1, t), x1 - x0
        phi = torch.cat([torch.sin(t * frequencies), torch.cos(t * frequencies)], 1)
        loss = torch.nn.functional.mse_loss(field(x, phi), u)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        torch._foreach_mul_(average, 0.995)
        torch._foreach_add_(average, [q.detach() for q in parameters], alpha=0.005)
    return (time.process_time() - began) / steps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(float(word)) for word in text.split(",")]
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parameters", type=numbers, default=numbers("1e3,1e4,1e5,1e6"))
    parser.add_argument("--runs", type=numbers, default=[30])
    parser.add_argument("--field", type=float, default=1e5, help="the largest P for a field over weights")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--least", type=float, default=1e5, help="exponents are fitted from this P on")
    parser.add_argument("--peer", action="store_true")
    asked = parser.parse_args()
    if asked.peer:
        peer(asked.program, asked.folder)
    else:
        rows = []
        for runs in asked.runs:
            for p in asked.parameters:
                rows.append(measure(asked.program, asked.folder, p, runs, asked.field, asked.repeat))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        table(rows, ["import", "pca", "sample", "step", "sample field"], asked.least)

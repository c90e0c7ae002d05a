"""Training a zoo of ResNet-8s on images of CIFAR's shape, beside a loop in PyTorch on the same cores, in turn.

    benches/resnet8.py THALWEG [--rounds 3] [--threads 2]

Network steps a second: a batch of 64 random images of 3 x 32 x 32 each, gradient, Adam, batch normalisation in training. Ours is `zoo train` of two networks for
a few and for more steps, so that starting, loading and writing drop out. PyTorch's is its best of a loop whose operations use all threads and of as many
processes as threads, each with a loop of its own; its layouts of memory (channels first or last) compete too. Wants numpy and torch.
"""
import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs/architectures/resnet8.toml"
# The same architecture as a module, which the file is tested against.
sys.path.insert(0, str(ROOT / "crates/thalweg-nets/tests/data/architectures"))
ROWS, BATCH = 1024, 64
FEW, MORE = 10, 40


def ours(program, data, out, threads):
    """Network steps a second of two networks."""

    def seconds(steps):
        command = [program, "zoo", "train", "--arch", ARCHITECTURE, "--data", f"npz:{data}", "--kind", "independent", "--runs", "2", "--batch", str(BATCH)]
        command += ["--optimiser", "adam", "--steps", str(steps), "--checkpoints", "2", "--threads", str(threads), "--out", out, "--force", "-q"]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - began

    few, more = seconds(FEW), seconds(MORE)
    return 2 * (MORE - FEW) / (more - few)


def loop(threads, last, steps):
    """Steps a second of one network after the other."""
    import torch

    from make import USUAL

    torch.set_num_threads(threads)
    net, *_ = USUAL["resnet8"][1]()
    assert sum(p.numel() for p in net.parameters()) == 78042
    x, y = torch.randn(ROWS, 3, 32, 32), torch.randint(10, (ROWS,))
    if last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for step in range(steps + 3):
        if step == 3:
            began = time.perf_counter()
        rows = torch.randint(ROWS, (BATCH,))
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimiser.step()
    return steps / (time.perf_counter() - began)


def processes(threads, last, steps):
    """The same in so many processes of one thread."""
    with multiprocessing.get_context("spawn").Pool(threads) as pool:
        return sum(pool.starmap(loop, [(1, last, steps)] * threads))


def main(program, rounds, threads):
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        images, labels = rng.standard_normal((2 * ROWS, 3, 32, 32), dtype=np.float32), rng.integers(10, size=2 * ROWS)
        halves = {"x_train": images[:ROWS], "y_train": labels[:ROWS], "x_test": images[ROWS:], "y_test": labels[ROWS:]}
        np.savez(data, **halves)
        ratios = []
        for _ in range(rounds):
            own = ours(program, data, Path(folder) / "zoo", threads)
            theirs = {f"{way.__name__}, channels {order}": way(threads, order == "last", MORE) for way in (loop, processes) for order in ("first", "last")}
            best = max(theirs, key=theirs.get)
            ratios.append(own / theirs[best])
            print(f"{own:.1f} network steps a second; PyTorch {', '.join(f'{rate:.1f} ({way})' for way, rate in theirs.items())}; ratio {ratios[-1]:.2f}", flush=True)
        print(f"ratio, median of {rounds}: {sorted(ratios)[rounds // 2]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    main(given.program, given.rounds, given.threads)

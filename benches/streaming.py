#!/usr/bin/env python3
"""Fits over 10³, 10⁴, 10⁵ runs: batches a second and memory, as docs/scale.md has them.

  benches/streaming.py PROGRAM [RUNS …]   a gigabyte of disk in the folder of temporary files for 10⁵ runs

A batch's time is that of a long fit less that of a short one, over the steps between them, on one thread: user and system seconds, and seconds of the clock. Memory
is the largest resident set of the long one. --memory 1G holds 64 MB of points at most, so that larger zoos are read from their files as they are
needed; without it, half a gigabyte.
"""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = (300, 2300)
ZOO = "zoo train --arch digits --data digits --kind fork --steps 10 --batch 32 --set kind.fork.steps=20 --checkpoints 2 --seed 1 --set shard=64 -q".split()


def run(words):
    """Processor seconds, seconds of the clock, megabytes."""
    begun = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(words)}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / 1e3


def main(program, sizes):
    print("| runs | zoo, MB | points held | batches a core-second | batches a second | memory, MB | opening, s |")
    for runs in sizes:
        with tempfile.TemporaryDirectory() as folder:
            zoo = Path(folder) / "zoo"
            run([program, *ZOO, "--runs", str(runs), "--out", str(zoo)])
            size = sum(path.stat().st_size for path in zoo.iterdir()) / 1e6
            for held in ((), ("--memory", "1G")):
                found = []
                for number, steps in enumerate(STEPS):
                    words = [program, "fit", str(zoo), "--method", "cfm", "--steps", str(steps), "--batch", "64", "--threads", "1", "-q", *held]
                    found.append(run([*words, "--set", "validate-every=100000", "--out", str(Path(folder) / f"model{len(held)}-{number}")]))
                (cpu, clock, _), (cpu_long, clock_long, memory) = found
                steps = STEPS[1] - STEPS[0]
                words = "64 MB at most" if held else "512 MB at most"
                opening = max(clock - STEPS[0] * (clock_long - clock) / steps, 0)
                print(
                    f"| {runs:,} | {size:.0f} | {words} | {steps / (cpu_long - cpu):.0f} | {steps / (clock_long - clock):.0f} | {memory:.0f} | {opening:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], [int(float(text)) for text in sys.argv[2:]] or [10**3, 10**4, 10**5])

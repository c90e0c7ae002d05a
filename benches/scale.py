#!/usr/bin/env python3
"""The cost of zoos that many machines share: tasks measured on this machine, a model fitted to them, and a simulation that the model is held against.

  benches/scale.py measure PROGRAM   runs tasks of three sizes by `PROGRAM zoo train --shard`, gathers them, writes benches/scale.json
  benches/scale.py table             the model's figures for larger zoos, as docs/scale.md has them
  benches/scale.py test              the fit, and the simulation's means against the closed form (a few seconds; run by .ci/run)

Python's standard library alone.
"""
import heapq
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECORD = Path(__file__).with_name("scale.json")

#: What is measured: `cnn-s`-like work in small, one thread a task.
ZOO = "--arch digits --data digits --kind fork --steps 400 --batch 32 --set kind.fork.steps=20 --checkpoints 5 --seed 1 --threads 1 -q".split()

#: Runs in a shard, and shards that are timed.
SIZES = [(4, 6), (16, 4), (64, 2)]


def measure(program):
    tasks, gathers = [], []
    for runs, count in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "zoo")
            words = [program, "zoo", "train", *ZOO, "--runs", str(runs * count), "--set", f"shard={runs}", "--out", out]
            for task in range(count):
                started = time.perf_counter()
                subprocess.run([*words, "--shard", f"{task}/{count}"], check=True)
                size = (Path(out) / f"shard-{task:05}.safetensors").stat().st_size
                tasks.append(dict(runs=runs, seconds=round(time.perf_counter() - started, 3), bytes=size, first=task == 0))
            started = time.perf_counter()
            subprocess.run([program, "gather", out, "-q"], check=True)
            gathers.append(dict(shards=count, bytes=sum(t["bytes"] for t in tasks if t["runs"] == runs), seconds=round(time.perf_counter() - started, 3)))
    RECORD.write_text(json.dumps(dict(command=" ".join(ZOO), tasks=tasks, gathers=gathers), indent=1) + "\n")


def line(points):
    """Least squares: intercept and slope of (x, y)."""
    xs, ys = zip(*points)
    x, y = statistics.mean(xs), statistics.mean(ys)
    slope = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a in xs)
    return y - slope * x, slope


class Model:
    """Seconds and bytes of a task, from measured ones: a fixed part and a part for each run."""

    def __init__(self, record):
        # The first task of a zoo also trains the trunk and writes the centre.
        later = [t for t in record["tasks"] if not t["first"]]
        self.start, self.run = line([(t["runs"], t["seconds"]) for t in later])
        self.head, self.weights = line([(t["runs"], t["bytes"]) for t in record["tasks"]])

    def task(self, runs):
        return self.start + self.run * runs

    def file(self, runs):
        return self.head + self.weights * runs


def with_failures(seconds, rate):
    """Mean time until a task of so many seconds is done on workers that fail at this rate a second, each time from its beginning: (e^{rt} − 1)/r."""
    return math.expm1(rate * seconds) / rate if rate else seconds


def makespan(seconds, tasks, workers, rate):
    """About how long `tasks` tasks take on `workers`: as much work for each, and the last tasks are half a task apart from one another."""
    each = with_failures(seconds, rate)
    return each * tasks / workers + (each / 2 if tasks > workers else 0.0)


def simulate(times, workers, rate, seed):
    """Tasks of these times on workers that fail at `rate` and come back at once; a task that was lost is taken up by the next free worker.

    Returns the makespan and the mean time that workers spent on a task.
    """
    rng = random.Random(seed)
    free = [0.0] * workers
    waiting = list(reversed(times))
    spent = 0.0
    end = 0.0
    while waiting:
        now = heapq.heappop(free)
        need = waiting.pop()
        failure = rng.expovariate(rate) if rate else math.inf
        took = min(need, failure)
        spent += took
        if failure < need:
            waiting.append(need)
        end = max(end, now + took)
        heapq.heappush(free, now + took)
    return end, spent / len(times)


def recorded(record, model, runs, tasks, seed):
    """Times of `tasks` tasks of so many runs: the model's, each with the relative deviation of a measured one."""
    later = [t for t in record["tasks"] if not t["first"]]
    deviations = [t["seconds"] / model.task(t["runs"]) for t in later]
    rng = random.Random(seed)
    return [model.task(runs) * rng.choice(deviations) for _ in range(tasks)]


def test():
    record = json.loads(RECORD.read_text())
    model = Model(record)
    for t in record["tasks"]:
        if not t["first"]:
            assert abs(model.task(t["runs"]) - t["seconds"]) < 0.25 * t["seconds"] + 0.2, (t, model.task(t["runs"]))
        assert abs(model.file(t["runs"]) - t["bytes"]) < 0.01 * t["bytes"], t
    # One length, one law: the mean over many tasks is the closed form's, within four standard errors.
    seconds = 60.0
    for rate in (0.0, 1e-3, 1e-2, 3e-2):
        means = [simulate([seconds] * 2000, 1000, rate, seed)[1] for seed in range(8)]
        expected, error = with_failures(seconds, rate), statistics.stdev(means) / len(means) ** 0.5
        assert abs(statistics.mean(means) - expected) <= 4 * error + 1e-9 * expected, (rate, statistics.mean(means), expected, error)
    assert math.isclose(with_failures(seconds, 1e-12), seconds, rel_tol=1e-6)
    # Recorded times on a thousand workers, one of which dies every minute or so: the makespan is the model's.
    times = recorded(record, model, 64, 20_000, 0)
    rate = 1 / 60 / 1000
    ends = [simulate(times, 1000, rate, seed)[0] for seed in range(3)]
    expected = makespan(statistics.mean(times), len(times), 1000, rate)
    assert abs(statistics.mean(ends) / expected - 1) < 0.05, (ends, expected)
    print(f"a task takes {model.start:.2f} s and {1000 * model.run:.1f} ms a run; 20,000 tasks on 1,000 workers {statistics.mean(ends):.0f} s simulated, {expected:.0f} s by the model")


def table():
    record = json.loads(RECORD.read_text())
    model = Model(record)
    print(f"fixed {model.start:.2f} s, {1000 * model.run:.1f} ms a run; {model.head:.0f} bytes and {model.weights:.0f} a run")
    print("measured (first tasks of a zoo left out) | model")
    for runs, _ in SIZES:
        seconds = [t["seconds"] for t in record["tasks"] if t["runs"] == runs and not t["first"]]
        size = next(t["bytes"] for t in record["tasks"] if t["runs"] == runs)
        print(f"| {runs} runs | {statistics.mean(seconds):.2f} s, {size:,} bytes | {model.task(runs):.2f} s, {model.file(runs):,.0f} bytes |")
    rate = sum(g["bytes"] for g in record["gathers"]) / sum(g["seconds"] for g in record["gathers"])
    print(f"gather: {rate / 1e6:.0f} MB/s on one core")
    print("| runs | runs a shard | shards | bytes | one core | 1,000 workers | a worker lost each hour on average | gather, one core |")
    for total, runs in ((10**4, 16), (10**6, 256), (10**7, 1024)):
        shards = total // runs
        size = shards * model.file(runs)
        alone = shards * model.task(runs)
        many = makespan(model.task(runs), shards, 1000, 0)
        lost = makespan(model.task(runs), shards, 1000, 1 / 3600)
        print(f"| {total:,} | {runs} | {shards:,} | {size / 1e9:.1f} GB | {alone / 3600:.1f} h | {many / 60:.1f} min | {lost / 60:.1f} min | {size / rate / 60:.1f} min |")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", program]:
            measure(program)
        case ["table"]:
            table()
        case ["test"]:
            test()
        case _:
            sys.exit(__doc__)

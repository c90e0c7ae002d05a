#!/usr/bin/env python3
"""Throughput of tasks on two workers of one core each, against one process with two threads, on one machine by the loopback.

  benches/throughput.py PROGRAM [RUNS]   in an environment that has PyPI's `hyperqueue`

Prints seconds of the clock and of the processors for both. On a machine that others use too only the second say what sharing costs: they leave out what tasks
wait for (the engine, the last of them), so the clock's ratio is the one to state wherever it can be measured.
"""
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent / "crates/thalweg-cli/tests/hyperqueue"

ZOO = "zoo train --arch digits --data digits --kind fork --steps 1500 --batch 32 --set kind.fork.steps=20 --checkpoints 3 --seed 5".split()


def cut(runs):
    """So many runs, in a shard for each of the tasks."""
    return ["--runs", str(runs), "--set", f"shard={max(runs // 16, 1)}"]


def spent():
    """Processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(work):
    before, begun = spent(), time.perf_counter()
    work()
    return time.perf_counter() - begun, spent() - before


def shared(program, runs, home):
    """The same zoo by 16 tasks; seconds of the clock from `submit` to its end, of the processors for all that the tasks and the command took."""
    folder = home / "server"
    folder.mkdir()
    piped = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    server = subprocess.Popen([sys.executable, SCRIPTS / "server.py", folder], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not (folder / "hq-current/access.json").exists():
        time.sleep(0.05)
    workers = []
    for number in range(2):
        own = home / f"worker-{number}"
        own.mkdir()
        worker = subprocess.Popen([sys.executable, SCRIPTS / "worker.py", own, folder], **piped)
        while worker.stdout.readline().strip() != "at work":
            pass
        workers.append(worker)
    words = [program, "submit", "--tasks", "16", "-q", "--", *ZOO, *cut(runs), "--out", str(home / "many")]
    environment = dict(os.environ, HQ_SERVER_DIR=str(folder), THALWEG_PYTHON=sys.executable)
    before, begun = spent(), time.perf_counter()
    subprocess.run(words, check=True, env=environment)
    clock = time.perf_counter() - begun
    for process in (*workers, server):
        process.stdin.close()
        process.wait()
    return clock, spent() - before


def main(program, runs=5120):
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        words = [program, *ZOO, *cut(runs), "--threads", "2", "-q", "--out", str(home / "one")]
        one = timed(lambda: subprocess.run(words, check=True))
        many = shared(program, runs, home)
        same = all((home / "many" / path.name).read_bytes() == path.read_bytes() for path in (home / "one").glob("*.safetensors"))
    for name, (clock, processors) in (("one process, two threads", one), ("two workers, 16 tasks", many)):
        print(f"{name}: {clock:.1f} s of the clock, {processors:.1f} s of the processors")
    print(f"throughput by the clock {one[0] / many[0]:.2f}, by the processors {one[1] / many[1]:.2f}; {'the same bytes' if same else 'OTHER BYTES'}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))

"""Joins criterion's estimates with the peers' JSON lines by name: `ratios.py CRITERION_FOLDER LINES`. A line is
{"name": "GROUP/BENCH", "per_second": …, "by": …}; `by` says by what means the peer reached its rate.
"""
import json
import sys
from pathlib import Path


def ours(folder, name):
    """Units a second at the median of the latest run; nothing where there is no such bench."""
    new = Path(folder, *name.split("/"), "new")
    if not new.exists():
        return None
    throughput = json.loads((new / "benchmark.json").read_text())["throughput"]
    nanoseconds = json.loads((new / "estimates.json").read_text())["median"]["point_estimate"]
    return next(iter(throughput.values())) / (nanoseconds * 1e-9)


folder, lines = sys.argv[1:]
print(f"{'workload':<40} {'thalweg /s':>12} {'peer /s':>12} {'ratio':>7}  by")
for line in Path(lines).read_text().splitlines():
    peer = json.loads(line)
    rate, theirs = ours(folder, peer["name"]), peer["per_second"]
    show = lambda value, width: f"{'–':>{width}}" if value is None else f"{value:>{width},.{1 if value < 1000 else 0}f}"
    ratio = None if rate is None else rate / theirs
    print(f"{peer['name']:<40} {show(rate, 12)} {show(theirs, 12)} {show(ratio, 7)}  {peer.get('by', '')}")

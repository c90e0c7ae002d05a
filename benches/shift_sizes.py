"""Seconds and memory of `thalweg shift calibrate` and of one `shift test` as rows, features and classes grow, one at a time.

    benches/shift_sizes.py THALWEG FOLDER [--rows 1000,50000] [--features 10,1000] [--classes 2,100] [--threads 1] [--limit 600]

The middle, 10,000 rows of P x 100 features x 10 classes, comes first. Rows are a centre of their class in the first ten features and unit noise; f is a run of
`zoo train` with two hidden layers of 32 units; 2,000 rows are held out; Q is 20 rows of P's law, and then 20 that lie two deviations away in every feature (which
may ask for a harmless explanation as well). Seconds are those of the clock and of the processor, memory is the largest resident set. Wants Python alone; rows are
windows of one long series of noise, since Python draws slowly.
"""
import argparse
import array
import io
import json
import os
import random
import resource
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

MIDDLE = {"rows": 10_000, "features": 100, "classes": 10}
HELD, QUERY, SIGNAL = 2_000, 20, 10
NOISE = array.array("f", (random.Random(0).gauss(0, 1) for _ in range(1 << 20)))


def npy(shape, kind, pieces, file):
    """Writes an array in NumPy's format."""
    header = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for piece in pieces:
        file.write(piece)


def table(path, n, features, classes, moved, seed):
    """Writes `n` rows with their classes; `moved` is added to every feature."""
    rng, centres = random.Random(seed), random.Random(1)
    centres = [[3 * centres.gauss(0, 1) for _ in range(min(SIGNAL, features))] for _ in range(classes)]
    # Every class occurs where there are rows enough.
    labels = array.array("i", (i % classes for i in range(n)))

    def row(label):
        at = rng.randrange(len(NOISE) - features)
        values = NOISE[at : at + features]
        for j, centre in enumerate(centres[label]):
            values[j] += centre
        return (array.array("f", (v + moved for v in values)) if moved else values).tobytes()

    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("x.npy", "w", force_zip64=True) as file:
            npy((n, features), "<f4", map(row, labels), file)
        with archive.open("y.npy", "w") as file:
            npy((n,), "<i4", [labels.tobytes()], file)


def run(command, limit):
    """Seconds of the clock and of the processor, megabytes, exit code and what was said."""
    began = time.perf_counter()
    limited = lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=limited) as child:
        said = io.TextIOWrapper(child.stderr).read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "wall": round(time.perf_counter() - began, 3), "cpu": round(used.ru_utime + used.ru_stime, 3), "mb": used.ru_maxrss // 1024,
        "code": child.returncode, "said": said.strip().splitlines()[-1:] if child.returncode not in (0, 1, 3) else [],
    }


def measure(thalweg, folder, size, flags, limit):
    """One line of the table."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    d, c = size["features"], size["classes"]
    for name, n, moved, seed in [("p", size["rows"], 0, 2), ("held", HELD, 0, 3), ("q", QUERY, 0, 4), ("far", QUERY, 2, 5)]:
        table(folder / f"{name}.npz", n, d, c, moved, seed)
    f = ["zoo", "train", "--arch", "mlp", "--widths", "32,32", "--data", f"npz:{folder}/p.npz", "--runs", 1, "--steps", 500, "--checkpoints", 2]
    f = run([thalweg, *f, "--optimiser", "adam", "--learning-rate", "3e-3", "--out", folder / "f", "-q", *flags], limit)
    cal, out = folder / "f.cal", {"f": f}
    made = ["--model", folder / "f", "--held", f"npz:{folder}/held.npz", "--size", QUERY, "--out", cal, "-q"]
    out["calibrate"] = run([thalweg, "shift", "calibrate", *made, *flags], limit)
    if cal.exists():
        out["file_mb"] = round(cal.stat().st_size / 1e6, 1)
        for name in ["q", "far"]:
            asked = [thalweg, "shift", "test", cal, "--query", f"npz:{folder}/{name}.npz", "-q"]
            out[name] = run([*asked, *flags], limit)
            said = subprocess.run(list(map(str, [*asked, "--json", *flags])), stdout=subprocess.PIPE, check=False).stdout
            rows = json.loads(said or "{}").get("rows", [])
            out[name]["tests_ms"] = {row["method"]: round(1e3 * row["seconds"], 2) for row in rows if "seconds" in row}
    shutil.rmtree(folder)
    return out


def main():
    numbers = lambda text: [int(n) for n in text.split(",") if n]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("thalweg")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=numbers, default=[1_000, 50_000])
    parser.add_argument("--features", type=numbers, default=[10, 1_000, 10_000])
    parser.add_argument("--classes", type=numbers, default=[2, 100, 1_000])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, default=600, help="seconds of processor time of one command")
    of = parser.parse_args()
    sizes = [{}] + [{key: n} for key in MIDDLE for n in getattr(of, key)]
    for size in sizes:
        size = {**MIDDLE, **size}
        found = measure(of.thalweg, of.folder / "shift-size", size, ["--threads", of.threads], of.limit)
        print(json.dumps({**size, "load": os.getloadavg()[0], **found}), flush=True)


if __name__ == "__main__":
    main()

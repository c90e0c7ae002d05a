"""The examples run and show what they say."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]


def run(path, **environment):
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(text, before):
    return [float(n) for n in re.findall(before + r"\D*([\d.]+)", text)]


def test_own_checkpoints():
    pytest.importorskip("torch")
    said = run(HERE / "examples/own_checkpoints.py")
    trained, = numbers(said, "trained networks, mean accuracy")
    sampled, = numbers(said, "sampled networks, mean accuracy")
    vote, = numbers(said, "the samples' vote, accuracy")
    assert trained > 0.85 and sampled > 0.75 and vote >= sampled
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()[3:]}
    assert {"samples", "zoo", "held-out", "soup-2", "noise-1.1"} <= set(rows)
    assert abs(float(rows["samples"][0]) - sampled) < 1e-3


def test_shift_of_a_classifier():
    pytest.importorskip("torch")
    said = run(HERE / "examples/shift_of_a_classifier.py")
    assert "fresh rows: no evidence of harm" in said and "under noise: harmful shift" in said and "bank" in said


def test_steer_to_a_loss():
    pytest.importorskip("torch")
    said = run(HERE / "examples/steer_to_a_loss.py")
    (before, after), losses = numbers(said, "accuracy"), numbers(said, "loss")
    assert after > before + 0.08 and losses[1] < losses[0] - 1.5


def test_zoos_with_numpy():
    said = run(HERE / "examples/zoos_with_numpy.py")
    trained, sampled = ([float(n) for n in re.findall(r"-?\d+\.\d*", line)] for line in said.splitlines()[1:])
    assert all(abs(a - b) < 0.1 for a, b in zip(trained, sampled))


@pytest.mark.parametrize("path", [HERE / "README.md", HERE.parents[1] / "README.md"], ids=["package", "project"])
def test_readme(path, tmp_path):
    """Every block of Python in a README runs, the blocks of one file one after the other."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks
    if any("torch" in block for block in blocks):
        pytest.importorskip("torch")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

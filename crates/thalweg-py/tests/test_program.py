"""The program that comes with the package is the program."""
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import thalweg as tw

MODULE = [sys.executable, "-m", "thalweg"]
TRAIN = "zoo train --arch digits --data digits --train-rows 200 --runs 4 --steps 60 --checkpoints 3 --seed 2 -q".split()


def script():
    """The installed script, beside the interpreter."""
    found = shutil.which("thalweg", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("the package is not installed with its script")
    return [found]


@pytest.mark.parametrize("command", ["module", "script"])
def test_it_answers_with_its_own_codes_and_words(command, tmp_path):
    command = MODULE if command == "module" else script()
    run = lambda *words: subprocess.run([*command, *words], capture_output=True, text=True, cwd=tmp_path)
    version = run("--version")
    assert version.returncode == 0 and version.stdout.startswith(f"thalweg {tw.__version__}")
    assert run("nonsense").returncode == 2 and run("zoo", "info", "nowhere").returncode == 2
    usage = run("fit", "--help").stdout
    assert "Usage: thalweg fit" in usage


def test_same_bytes_as_the_binary(program, tmp_path):
    program(*TRAIN, "--out", tmp_path / "a")
    subprocess.run([*MODULE, *TRAIN, "--out", str(tmp_path / "b")], check=True)
    for name in ["zoo.toml", "shard-00000.safetensors"]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_it_as_they_stop_the_program(number, code, tmp_path):
    words = "zoo train --arch digits --data digits --train-rows 200 --runs 40 --steps 200000 --out".split()
    child = subprocess.Popen([*MODULE, *words, str(tmp_path / "zoo")], stderr=subprocess.PIPE, text=True)
    while "training runs" not in child.stderr.readline():
        pass
    time.sleep(0.2)
    child.send_signal(number)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == code and "interrupted" in said


import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import thalweg as tw

ROOT = Path(__file__).resolve().parents[3]

#: A small zoo of the embedded digits, as keywords of `Zoo.train` and as flags of the program.
ZOO = dict(kind="fork", runs=20, steps=120, checkpoints=4, seed=3)
FLAGS = "--arch digits --data digits --kind fork --runs 20 --steps 120 --checkpoints 4 --seed 3".split()


@pytest.fixture(scope="session")
def zoo():
    return tw.Zoo.train("digits", "digits", **ZOO)


@pytest.fixture(scope="session")
def model(zoo):
    return tw.fit(zoo, steps=150, seed=5)


@pytest.fixture(scope="session")
def digits():
    return tw.data.load("digits")


@pytest.fixture(scope="session")
def program():
    """Runs the program `thalweg` that is built beside the package."""
    named = os.environ.get("THALWEG_PROGRAM")
    found = named or next((str(p) for p in [ROOT / "target/debug/thalweg", ROOT / "target/release/thalweg"] if p.exists()), None)
    if found is None:
        pytest.skip("no program thalweg: cargo build -p thalweg-cli, or THALWEG_PROGRAM")

    def run(*arguments, codes=(0,)):
        done = subprocess.run([shutil.which(found) or found, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode in codes, done.stderr
        return done.stdout

    return run


@pytest.fixture
def rng():
    return np.random.default_rng(7)

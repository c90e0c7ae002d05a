"""Ctrl-C is heard within two seconds, and the interpreter lives on."""
import signal
import subprocess
import sys
import time

import pytest

PROLOGUE = """
import sys, threading, time
import numpy as np
import thalweg as tw

def begun(*stage):
    if not getattr(begun, "told", False):
        begun.told = True
        print("begun", flush=True)
"""

EPILOGUE = """
    sys.exit("was not interrupted")
except KeyboardInterrupt:
    print("heard", flush=True)
    assert tw.Zoo.train("digits", "digits", runs=1, steps=5, checkpoints=2).runs == 1
    print("lives", flush=True)
"""

WORK = {
    "training": """
try:
    tw.Zoo.train("digits", "digits", runs=100000, progress=begun)
""",
    "fit": """
zoo = tw.Zoo.train("digits", "digits", runs=10, steps=30)
try:
    tw.fit(zoo, steps=10**8, progress=begun)
""",
    "sampling": """
zoo = tw.Zoo.train("digits", "digits", runs=10, steps=30)
model = tw.fit(zoo, steps=5)
try:
    print("begun", flush=True)
    model.sample(200000, steps=1000)
""",
    "tuning by a callable": """
zoo = tw.Zoo.train("digits", "digits", runs=10, steps=30)
model = tw.fit(zoo, steps=5)
try:
    model.tune(lambda theta: (-(theta ** 2).sum(1), -2 * theta), 10**6, progress=begun)
""",
    "shift": """
rng = np.random.default_rng(0)
det = tw.shift.Detector.calibrate(lambda x: x, rng.normal(size=(4000, 10)), null=20000)
try:
    print("begun", flush=True)
    det.test(rng.normal(size=(2000, 10)))
""",
}


@pytest.mark.parametrize("work", WORK)
def test_ctrl_c(work):
    child = subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + WORK[work] + EPILOGUE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "begun\n", child.stderr.read()
        time.sleep(0.5)
        asked = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "heard\n", child.stderr.read()
        seconds = time.monotonic() - asked
        assert child.stdout.readline() == "lives\n", child.stderr.read()
        assert child.wait(60) == 0
    finally:
        child.kill()
    assert seconds < 2.0


def test_other_threads_run_meanwhile():
    """The interpreter's lock is released: a counting thread is not held up by a fit."""
    text = PROLOGUE + """
zoo = tw.Zoo.train("digits", "digits", runs=10, steps=30)
counted, over = 0, False
def count():
    global counted
    while not over:
        counted += 1
        time.sleep(0.001)
thread = threading.Thread(target=count)
thread.start()
start = time.monotonic()
tw.fit(zoo, steps=1500)
seconds = time.monotonic() - start
over = True
thread.join()
print(counted / seconds)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 50  # of at most a thousand a second, on a machine that the fit fills

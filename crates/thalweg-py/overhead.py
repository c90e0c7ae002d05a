"""What the binding costs: seconds of a call from Python beside those that the library says its work took, in the same call.

`python crates/thalweg-py/overhead.py`; a minute on two cores.
"""
import time

import thalweg as tw


def shown(what, wall, inner):
    print(f"{what:28} {wall:8.3f} s, within the library {inner:8.3f} s: {100 * (wall / inner - 1):5.2f} %")


def main():
    zoo = tw.Zoo.train("digits", "digits", kind="fork", runs=40, steps=200)
    for progress in (None, lambda *_: None):
        start = time.perf_counter()
        model = tw.fit(zoo, steps=1200, progress=progress)
        shown("fit, 1,200 steps" + (", watched" if progress else ""), time.perf_counter() - start, model.seconds)
    for _ in range(3):
        start = time.perf_counter()
        nets = model.sample(1000)
        shown("sampling 1,000 networks", time.perf_counter() - start, nets.seconds)


if __name__ == "__main__":
    main()

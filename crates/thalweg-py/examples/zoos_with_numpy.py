"""Zoos read and written with NumPy alone: weights as arrays in, a folder on disk, arrays out.

Needs nothing but the package. A few seconds.
"""
import tempfile
from pathlib import Path

import numpy as np

import thalweg as tw


def main():
    rng = np.random.default_rng(0)
    # Ridge regressions of one plane from bootstrapped rows, by gradient descent: 60 runs, 5 checkpoints, 3 weights each.
    x = rng.normal(size=(200, 2))
    y = x @ [1.0, -2.0] + 0.5 + 0.3 * rng.normal(size=200)
    theta = np.zeros((60, 5, 3), "f4")
    for run in range(60):
        rows = rng.integers(200, size=200)
        design = np.c_[x[rows], np.ones(200)]
        w = rng.normal(size=3)
        theta[run, 0] = w
        for k in range(1, 5):
            for _ in range(10):
                w = w - 0.05 * (design.T @ (design @ w - y[rows]) / 200 + 1e-3 * w)
            theta[run, k] = w

    with tempfile.TemporaryDirectory() as folder:
        layout = [("weight", (1, 2)), ("bias", (1,))]
        tw.Zoo.from_theta(theta, layout, out=Path(folder) / "zoo", name="planes")
        zoo = tw.Zoo.open(Path(folder) / "zoo")
        assert np.array_equal(zoo.theta(), theta)
        model = tw.fit(zoo, steps=400)
        planes = model.sample(500).theta
        print(zoo)
        print("trained:", zoo.theta(checkpoints=[-1])[:, 0].mean(0).round(2), "±", zoo.theta(checkpoints=[-1])[:, 0].std(0).round(3))
        print("sampled:", planes.mean(0).round(2), "±", planes.std(0).round(3))


if __name__ == "__main__":
    main()

"""The work of crates/thalweg/benches/metric.rs with NumPy and SciPy: one JSON line {"name", "per_second"} a case, best of five."""
import json
import time

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

N, P = 1_000, 2_464


def report(name, work, repeats=5):
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"name": name, "per_second": 1.0 / min(seconds)}), flush=True)


def gemm_distances(a, b):
    """The faster way with NumPy: one matrix product, in double precision."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * a @ b.T
    return np.sqrt(np.maximum(squares, 0.0))


def wasserstein(a, b, distances):
    cost = distances(a, b)
    rows, columns = linear_sum_assignment(cost)
    return cost[rows, columns].mean()


def energy(a, b, distances):
    n = len(a)
    return 2 * distances(a, b).mean() - (distances(a, a).sum() + distances(b, b).sum()) / (n * (n - 1))


def main():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(N, P)), rng.normal(size=(N, P))
    report("wasserstein_1000x2464", lambda: wasserstein(a, b, gemm_distances))
    report("wasserstein_1000x2464_cdist", lambda: wasserstein(a, b, cdist))
    report("distances_1000x1000x2464", lambda: gemm_distances(a, b))
    for p in (2, 512):
        cost = cdist(a[:, :p], b[:, :p])
        report(f"assignment_1000_from_{p}_dimensions", lambda: linear_sum_assignment(cost))
    report("nearest_of_1000_in_1000x2464", lambda: gemm_distances(b, a).min(1))
    report("energy_distance_1000x2464", lambda: energy(a, b, gemm_distances))


if __name__ == "__main__":
    main()

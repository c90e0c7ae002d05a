"""What a network that stands in for a classifier sees, beside the classifier's own: one classifier of the embedded digits, once with its network, once known by its
answers alone. Shares of queries (20 rows each, under Gaussian noise) in which the bank of disagreement classifiers finds shift, at level .05.

`python crates/thalweg-py/benches/stand_in.py [queries]`; a quarter of a minute on one core for 40.
"""
import sys
import time

import numpy as np
import thalweg as tw


def main(queries):
    digits = tw.data.load("digits")
    net = tw.Zoo.train("digits", "digits", runs=1, steps=400, checkpoints=1).networks()
    settings = dict(validation=digits.validation.x, held=digits.test.x[:250], size=20, null=100, methods=["bank"], settings={"bank": {"size": 100}})
    detectors = []
    for classifier in ((net.architecture, net.state_dicts()[0]), lambda x: net.logits(x)[0]):
        started = time.perf_counter()
        detectors.append(tw.shift.Detector.calibrate(classifier, digits.train.x, digits.train.y, **settings))
        print(f"calibrated in {time.perf_counter() - started:.1f} s")
    print(f"the stand-in names the classifier's class on {100 * detectors[1].record['stand_in']:.0f} % of other rows")
    fresh, rng = digits.test.x[250:], np.random.default_rng(0)
    for noise in (0.0, 0.5, 1.0, 1.5):
        found = np.zeros(2)
        for seed in range(queries):
            rows = fresh[rng.choice(len(fresh), 20, replace=False)]
            rows = (rows + noise * rng.normal(size=rows.shape)).astype("f4")
            found += [detector.test(rows, seed=seed).is_drift for detector in detectors]
        print(f"noise {noise}: own network {found[0] / queries:.2f}, stand-in {found[1] / queries:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)

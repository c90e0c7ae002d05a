"""A test of harmful shift for a classifier of PyTorch: does it still know what it does on these new, unlabelled rows?

Needs PyTorch. Some ten seconds on two cores.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import thalweg as tw


def main():
    digits = tw.data.load("digits")
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimiser = torch.optim.Adam(classifier.parameters(), 3e-3)
    x, y = torch.tensor(digits.train.x), torch.tensor(digits.train.y)
    for _ in range(20):
        for rows in torch.randperm(len(y)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(classifier(x[rows]), y[rows]).backward()
            optimiser.step()

    # `held` are rows that the classifier was not trained on: new rows are compared with them.
    held, fresh = digits.test.x[:250], digits.test.x[250:270]
    detector = tw.shift.Detector.calibrate(
        classifier, digits.train.x, digits.train.y, validation=digits.validation.x, held=held, size=20, input_shape=(1, 8, 8),
        settings={"bank": {"size": 60}},
    )
    noise = np.random.default_rng(0).normal(size=fresh.shape).astype("f4")
    for name, rows in [("fresh rows", fresh), ("upside down", fresh[:, :, ::-1]), ("under noise", fresh + 2 * noise)]:
        print(f"{name}: {detector.test(np.ascontiguousarray(rows))}")


if __name__ == "__main__":
    main()

"""A generator of networks steered to a loss of PyTorch: networks for digits that are upside down, none of which was ever trained.

Needs PyTorch. Half a minute on two cores.
"""
import torch
from torch.nn import functional as F

import thalweg as tw


def main():
    digits = tw.data.load("digits")
    zoo = tw.Zoo.train("digits", "digits", kind="fork", runs=60, steps=300, seed=0)
    # Tuning asks for a Gaussian source and a field that is wide enough to change its mind.
    model = tw.fit(
        zoo, method={"cfm": {"coupling": "independent", "source": "gaussian"}}, steps=500, field={"residual_mlp": {"width": 64}}
    )

    x, y = torch.tensor(digits.train.x).flip(2), torch.tensor(digits.train.y)

    def loss(net, seed):
        rows = torch.randint(len(y), (128,), generator=torch.Generator().manual_seed(seed))
        return F.cross_entropy(net(x[rows]), y[rows])

    module = model.sample(1).modules()[0]
    steered = model.tune(tw.rewards.torch(loss, module, layout=model.layout), iterations=120, strength=30000.0, optimiser={"learning_rate": 3e-3})

    test = digits.test.x[:, :, ::-1].copy()
    for name, made in [("before", model), ("after", steered)]:
        accuracies, losses = made.sample(50, seed=1).evaluate(test, digits.test.y)
        print(f"{name}: accuracy {accuracies.mean():.3f}, loss {losses.mean():.2f}")


if __name__ == "__main__":
    main()

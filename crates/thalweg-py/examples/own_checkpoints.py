"""An ensemble from one's own checkpoints: networks that PyTorch trained become a zoo, a flow learns from them, its samples vote and are judged.

Needs PyTorch. Some twenty seconds on two cores.
"""
import torch
from torch import nn
from torch.nn import functional as F

import thalweg as tw

RUNS, EPOCHS = 24, 6


class Net(nn.Module):
    """Any network would do; this one's gate is no layer that Thalweg knows."""

    def __init__(self):
        super().__init__()
        self.features, self.gate, self.head = nn.Linear(64, 12), nn.Linear(64, 12), nn.Linear(12, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.head(torch.relu(self.features(x)) * torch.sigmoid(self.gate(x)))


def main():
    digits = tw.data.load("digits")
    x, y = torch.tensor(digits.train.x), torch.tensor(digits.train.y)
    torch.manual_seed(0)
    start = Net().state_dict()
    runs = []
    for run in range(RUNS):
        # All runs start around one network: a flow over unrelated starts would have to learn all their symmetries.
        net = Net()
        net.load_state_dict({name: value + 0.02 * torch.randn_like(value) for name, value in start.items()})
        optimiser = torch.optim.Adam(net.parameters(), 5e-3)
        checkpoints = [{name: value.clone() for name, value in net.state_dict().items()}]
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(y)).split(64):
                optimiser.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                optimiser.step()
            checkpoints.append({name: value.clone() for name, value in net.state_dict().items()})
        runs.append(checkpoints)

    zoo = tw.Zoo.from_state_dicts(runs)
    model = tw.fit(zoo, steps=600, seed=0)
    nets = model.sample(32, seed=0)
    ensemble = nets.modules(Net)

    test, labels = torch.tensor(digits.test.x), torch.tensor(digits.test.y)
    with torch.no_grad():
        logits = torch.stack([net(test) for net in ensemble])
        own = [zoo.networks([run]).modules(Net)[0](test) for run in range(zoo.runs)]
    accuracy = lambda z: (z.argmax(-1) == labels).float().mean().item()
    print(f"trained networks, mean accuracy: {sum(map(accuracy, own)) / len(own):.3f}")
    print(f"sampled networks, mean accuracy: {sum(map(accuracy, logits)) / len(logits):.3f}")
    print(f"the samples' vote, accuracy: {accuracy(logits.softmax(-1).mean(0)):.3f}")

    # Beside the zoo, runs that the flow did not see, and trivial rivals: by one's own module, since the engine does not know it.
    print(tw.judge(nets.on(Net()), zoo, data=(test, labels)))


if __name__ == "__main__":
    main()

"""Makes the files of this folder: `python3 make.py` with PyTorch (1.13 was used) beside it.

`expected.json` holds, for every file, the names, shapes and numbers of the network in it.
"""
import collections
import json
import pickle
import pickletools

import torch

shared = {}
value = {"a": [1, -2, 3.5, None, True], "b": (b"xy", "ü", 70000, -(1 << 40)), "c": shared, "d": shared}
for protocol in (2, 4):
    with open(f"protocol-{protocol}.pkl", "wb") as file:
        file.write(pickletools.optimize(pickle.dumps(value, protocol)))

torch.manual_seed(0)
network = torch.nn.Sequential(
    collections.OrderedDict(first=torch.nn.Linear(3, 2), norm=torch.nn.BatchNorm1d(2), last=torch.nn.Linear(2, 2))
)
network(torch.randn(5, 3))
state = network.state_dict()
averaged = {name: 2 * tensor for name, tensor in state.items()}
optimiser = torch.optim.Adam(network.parameters())
sum(p.sum() for p in network.parameters()).backward()
optimiser.step()
state = network.state_dict()
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
views = {"transposed": base.t(), "part": base[1:3, 2:5], "column": base[:, 1], "scalar": base[3, 5], "base": base}
kinds = {
    "half": torch.tensor([1.5, -0.25]).half(),
    "brain": torch.tensor([[1.5], [-3.0]]).bfloat16(),
    "double": torch.tensor([1 / 3], dtype=torch.float64),
    "single": torch.tensor([1 / 3]),
    "steps": torch.tensor(7),
    "mask": torch.tensor([True, False]),
}
embedding, bias = torch.tensor([[1.0, 2], [3, 4], [5, 6]]).bfloat16(), torch.tensor([0.5, -0.5])
tied = {
    "embed.weight": embedding, "norm.weight": torch.tensor([1.0, 2.0]), "norm.bias": bias, "head.weight": embedding, "head.own": bias,
    "steps": torch.tensor(7),
}
files = {
    "state.pt": (state, state),
    "legacy.pt": (state, state),
    "training.ckpt": (
        {"epoch": 3, "ema": averaged, "optimizer": optimiser.state_dict(), "state_dict": state, "loss": torch.tensor(0.5)},
        state,
    ),
    "module.pth": (network, state),
    "parameters.pt": (dict(network.named_parameters()), dict(network.named_parameters())),
    "views.bin": (views, views),
    "kinds.pt": (kinds, {name: tensor for name, tensor in kinds.items() if tensor.is_floating_point()}),
    "legacy-views.pt": (views, views),
    "tied.pt": (tied, tied),
}
expected = {}
for name, (saved, tensors) in files.items():
    torch.save(saved, name, _use_new_zipfile_serialization=not name.startswith("legacy"))
    floats = {key: t.detach().float() for key, t in tensors.items() if t.is_floating_point()}
    expected[name] = {key: [list(t.shape), t.contiguous().flatten().tolist()] for key, t in floats.items()}
with open("expected.json", "w") as file:
    json.dump(expected, file, indent=0)

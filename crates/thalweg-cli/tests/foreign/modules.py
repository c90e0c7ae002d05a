"""Checkpoints of PyTorch's own modules, and what has to hold of the networks that were made of them. python modules.py make|check FOLDER"""
import json
import os
import struct
import sys

import torch
from torch import nn

KINDS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32,
    "U8": torch.uint8, "BOOL": torch.bool,
}


def load(path):
    """Tensors and words of a safetensors file, by its documented layout."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8:8 + length])
    words, tensors = head.pop("__metadata__", {}), {}
    for name, about in head.items():
        start, end = about["data_offsets"]
        raw = bytearray(data[8 + length + start:8 + length + end])
        kind = KINDS[about["dtype"]]
        flat = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
        tensors[name] = flat.reshape(about["shape"])
    return tensors, words


class Conv(nn.Module):
    """Convolution, batch normalisation, residual part, head; counters and masks of its own."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3)
        self.layer4 = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.fc = nn.Linear(3, 2)
        self.register_buffer("position_ids", torch.arange(5).reshape(1, 5))
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("nothing", torch.empty(0, 4))

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc((x + self.layer4(x)).mean((2, 3)))


class Tied(nn.Module):
    """An embedding whose matrix is that of the output too, as language models have it."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)
        self.norm = nn.LayerNorm(4)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.norm(self.embed(x)))


def moved(net, seed, only=lambda name: True):
    """`net` as if some steps of training had moved what is called so."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict(keep_vars=True).items():
            if value.is_floating_point() and value.numel() and only(name):
                value.add_((0.05 * torch.randn(value.shape)).to(value.dtype))
                if name.endswith("running_var"):
                    value.abs_().add_(0.1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and only("counter"):
            module.num_batches_tracked.fill_(100 + seed)
    return net


def fresh(kind, seed=0):
    torch.manual_seed(seed)
    return kind()


TYPES = {"single": torch.float32, "half": torch.float16, "brain": torch.bfloat16, "double": torch.float64}
CASES = {**{name: (Conv, dtype) for name, dtype in TYPES.items()}, "tied": (Tied, torch.float32), "tied-half": (Tied, torch.float16)}


def head_alone(name):
    return name.startswith(("layer4.", "fc."))


def save(state, *path):
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(state, path)


def make(root):
    for case, (kind, dtype) in CASES.items():
        for run in range(6):
            net = moved(fresh(kind), run).to(dtype)
            save({"state_dict": net.state_dict(), "epoch": 3}, root, case, f"net-{run}.pt")
    for run in range(6):
        # Wrappers' names: the same in all runs, and mixed.
        net = moved(fresh(Conv), run)
        save(nn.DataParallel(net).state_dict(), root, "wrapped", f"net-{run}.pt")
        state = net.state_dict()
        before = ["", "module.", "_orig_mod."][run % 3]
        save({before + name: value for name, value in state.items()}, root, "mixed", f"net-{run}.pt")
        # Only a part moves, counters among what does not.
        part = moved(fresh(Conv), run, head_alone)
        save(part.half().state_dict(), root, "part", f"net-{run}.pt")
        save({name: value for name, value in part.float().state_dict().items() if head_alone(name)}, root, "heads", f"net-{run}.pt")
    save(fresh(Conv).state_dict(), root, "whole.pt")


def networks(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".safetensors"))


def checked(root, case, module, original, strip=""):
    """Sampled networks load strictly, with the types, counters and masks of `original`, and are no two the same."""
    paths = networks(os.path.join(root, case + "-nets"))
    assert len(paths) == 2, case
    states = []
    for path in paths:
        state, words = load(path)
        assert words == {"format": "pt"}, (case, words)
        assert set(state) == set(original), (case, set(state) ^ set(original))
        for name, value in state.items():
            assert value.dtype == original[name].dtype and value.shape == original[name].shape, (case, name, value.dtype)
            if not value.is_floating_point() or value.numel() == 0:
                assert torch.equal(value, original[name]), (case, name)
            if name.endswith("running_var"):
                assert (value > 0).all(), (case, name)
        state = {name[len(strip):]: value for name, value in state.items()}
        missing, unexpected = module.load_state_dict(state, strict=True)
        assert not missing and not unexpected
        states.append(state)
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0]), case
    return states


def check(root):
    for case, (kind, dtype) in CASES.items():
        original = torch.load(os.path.join(root, case, "net-0.pt"))["state_dict"]
        module = fresh(kind).to(dtype)
        states = checked(root, case, module, original)
        if kind is Tied:
            for state in states:
                assert torch.equal(state["embed.weight"], state["head.weight"]), case
    # Counters are those of the last checkpoint of the first run, and the network computes.
    assert states is not None
    state = checked(root, "single", Conv(), torch.load(os.path.join(root, "single", "net-0.pt"))["state_dict"])[0]
    assert state["bn1.num_batches_tracked"].item() == 100
    net = Conv().eval()
    net.load_state_dict(state)
    assert torch.isfinite(net(torch.randn(2, 1, 8, 8))).all()
    for case, strip in [("wrapped", "module."), ("mixed", "")]:
        checked(root, case, Conv(), torch.load(os.path.join(root, case, "net-0.pt")), strip)
    # Frozen tensors are the base checkpoint's to the last bit.
    for case, base in [("part", torch.load(os.path.join(root, "part", "net-0.pt"))), ("heads", torch.load(os.path.join(root, "whole.pt")))]:
        module = Conv().half() if case == "part" else Conv()
        for state in checked(root, case, module, base):
            for name, value in state.items():
                if not head_alone(name):
                    assert torch.equal(value, base[name]), (case, name)
                elif value.is_floating_point():
                    assert not torch.equal(value, base[name]), (case, name)


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2])

"""The work of crates/thalweg-nets/benches/engine.rs in PyTorch, each by three means, of which the best counts:
a Python loop over models, torch.func.vmap over stacked weights, and grouped convolution.

Prints one JSON line a workload: {"name": …, "per_second": …, "by": …, "all": {…}}. THREADS sets the threads (2).
"""
import json
import os
import time

import torch
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap

torch.set_num_threads(int(os.environ.get("THREADS", "2")))
torch.manual_seed(0)

IMAGES, BATCH, MODELS, REWARD_IMAGES = 10_000, 64, 64, 512
X = torch.randn(IMAGES, 1, 28, 28)
Y = torch.randint(10, (IMAGES,))


def cnn_s():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5), torch.nn.MaxPool2d(2), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 6, 5), torch.nn.MaxPool2d(2), torch.nn.ReLU(),
        torch.nn.Conv2d(6, 4, 2), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(36, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10),
    )  # fmt: skip


NET = cnn_s()
NAMES = [name for name, _ in NET.named_parameters()]
assert sum(p.numel() for p in NET.parameters()) == 2464


def stacked(models):
    """One leaf tensor [M, …] a parameter."""
    return [torch.stack([m.get_parameter(n).detach() for m in models]).requires_grad_() for n in NAMES]


def functional_loss(parameters, x, y):
    return F.cross_entropy(functional_call(NET, dict(zip(NAMES, parameters)), (x,)), y)


def grouped(p, x, shared):
    """Logits [M, B, 10] of M stacked models: x is [B, 1, 28, 28] where all see the same images, else [M, B, 1, 28, 28]."""
    m = p[0].shape[0]
    if shared:
        z = F.conv2d(x, p[0].flatten(0, 1), p[1].flatten())
    else:
        z = F.conv2d(x.squeeze(2).transpose(0, 1), p[0].flatten(0, 1), p[1].flatten(), groups=m)
    z = F.relu(F.max_pool2d(z, 2))
    z = F.relu(F.max_pool2d(F.conv2d(z, p[2].flatten(0, 1), p[3].flatten(), groups=m), 2))
    z = F.relu(F.conv2d(z, p[4].flatten(0, 1), p[5].flatten(), groups=m))
    z = z.unflatten(1, (m, 4)).transpose(0, 1).flatten(2)
    z = F.relu(torch.baddbmm(p[7].unsqueeze(1), z, p[6].mT))
    return torch.baddbmm(p[9].unsqueeze(1), z, p[8].mT)


def grouped_loss(p, x, y, shared):
    """Sum over models of the mean loss; y is [B] or [M, B]."""
    z = grouped(p, x, shared)
    y = y.expand(z.shape[0], -1).reshape(-1)
    return F.cross_entropy(z.flatten(0, 1), y, reduction="sum") / z.shape[1]


def rate(work, units, budget=2.0):
    """Units a second: the best of as many repetitions as fit in the budget, at least three, after one to warm up."""
    work()
    best, spent, count = float("inf"), 0.0, 0
    while spent < budget or count < 3:
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        best, spent, count = min(best, seconds), spent + seconds, count + 1
    return units / best


def report(name, rates):
    by = max(rates, key=rates.get)
    print(json.dumps({"name": name, "per_second": rates[by], "by": by, "all": rates}), flush=True)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


def training():
    """Model-steps a second: a batch of 64 of each model's own, gradient, Adam."""

    def loop(count=16):
        models = [cnn_s() for _ in range(count)]
        optimisers = [adam(m.parameters()) for m in models]

        def work():
            for model, optimiser in zip(models, optimisers):
                rows = torch.randint(IMAGES, (BATCH,))
                optimiser.zero_grad()
                F.cross_entropy(model(X[rows]), Y[rows]).backward()
                optimiser.step()

        return rate(work, count)

    def together(gradients, count):
        p = stacked([cnn_s() for _ in range(count)])
        optimiser = adam(p)

        def work():
            rows = torch.randint(IMAGES, (count, BATCH))
            for parameter, gradient in zip(p, gradients(p, X[rows], Y[rows])):
                parameter.grad = gradient
            optimiser.step()

        return rate(work, count)

    by_vmap = vmap(grad(functional_loss))
    by_groups = lambda p, x, y: torch.autograd.grad(grouped_loss(p, x, y, False), p)
    report("engine/training", {
        "loop": loop(),
        "vmap": max(together(lambda p, x, y: by_vmap([q.detach() for q in p], x, y), n) for n in (8, MODELS)),
        "grouped": max(together(by_groups, n) for n in (8, MODELS)),
    })  # fmt: skip


def reward_gradients():
    """Networks a second: gradient of the mean loss on 512 images."""
    x, y = X[:REWARD_IMAGES], Y[:REWARD_IMAGES]

    def loop(count=8):
        models = [cnn_s() for _ in range(count)]

        def work():
            for model in models:
                torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))

        return rate(work, count)

    def by_vmap(count):
        p = [q.detach() for q in stacked([cnn_s() for _ in range(count)])]
        gradients = vmap(grad(functional_loss), in_dims=(0, None, None))
        return rate(lambda: gradients(p, x, y), count)

    def by_groups(count):
        p = stacked([cnn_s() for _ in range(count)])
        return rate(lambda: torch.autograd.grad(grouped_loss(p, x, y, True), p), count)

    report("engine/reward-gradients", {
        "loop": loop(),
        "vmap": max(by_vmap(n) for n in (8, MODELS)),
        "grouped": max(by_groups(n) for n in (8, MODELS)),
    })  # fmt: skip


@torch.inference_mode()
def evaluation():
    """Images times models a second: logits, loss and accuracy."""

    def score(z, y):
        return F.cross_entropy(z, y), (z.argmax(1) == y).float().mean()

    def batches(size):
        return list(zip(X.split(size), Y.split(size)))

    def loop(size, count=4):
        models, parts = [cnn_s() for _ in range(count)], batches(size)
        return rate(lambda: [score(model(x), y) for model in models for x, y in parts], count * IMAGES)

    def together(logits, size, count=20):
        p, parts = stacked([cnn_s() for _ in range(count)]), batches(size)[: max(1, 2_000 // size)]

        def work():
            for x, y in parts:
                z = logits(p, x)
                score(z.flatten(0, 1), y.expand(count, -1).reshape(-1))

        return rate(work, count * sum(len(y) for _, y in parts))

    forward = vmap(lambda p, x: functional_call(NET, dict(zip(NAMES, p)), (x,)), in_dims=(0, None))
    report("engine/evaluation", {
        "loop": max(loop(size) for size in (250, 1_000, 10_000)),
        "vmap": max(together(forward, size) for size in (64, 500)),
        "grouped": max(together(lambda p, x: grouped(p, x, True), size) for size in (64, 500)),
    })  # fmt: skip


def check():
    """The three means agree."""
    models = [cnn_s() for _ in range(3)]
    p, x, y = stacked(models), X[:20], Y[:20]
    one = [torch.autograd.grad(F.cross_entropy(m(x), y), list(m.parameters())) for m in models]
    one = [torch.stack(g) for g in zip(*one)]
    many = torch.autograd.grad(grouped_loss(p, x, y, True), p)
    own = torch.autograd.grad(grouped_loss(p, x.expand(3, *x.shape), y, False), p)
    mapped = vmap(grad(functional_loss), in_dims=(0, None, None))([q.detach() for q in p], x, y)
    for a, *others in zip(one, many, own, mapped):
        for b in others:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


check()
training()
reward_gradients()
evaluation()

"""Networks of PyTorch: recognised by the engine or computed by the module, by one law."""
import numpy as np
import pytest
import thalweg as tw

torch = pytest.importorskip("torch")
from torch import nn
from torch.nn import functional as F


class Named(nn.Module):
    """Layers in another order than they are used in, functions between."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 3 * 4, 5)
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.norm(self.first(x))), 2)
        return self.head(x.view(x.size(0), -1))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return F.relu(x + self.conv2(F.gelu(self.bn1(self.conv1(x)))))


def residual():
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.Tanh(), Block(), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


def mlp():
    return nn.Sequential(nn.Linear(7, 6), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(6, 6, bias=False), nn.SiLU(), nn.Softplus(), nn.Linear(6, 5))


class Strided(nn.Module):
    """A residual block with a projection, as torchvision writes it."""

    def __init__(self, before, after):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        identity = self.downsample(x) if self.downsample is not None else x
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + identity)


def resnet():
    stem = [nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, Block(), Strided(4, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


def separable():
    convolutions = [nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), nn.GroupNorm(2, 4), nn.Hardswish(), nn.Conv2d(4, 8, (1, 3), padding=(0, 1))]
    return nn.Sequential(*convolutions, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 5))


def sequence():
    convolutions = [nn.Conv1d(3, 4, 5, stride=2, padding=2), nn.ELU(), nn.MaxPool1d(2), nn.Conv1d(4, 4, 3, groups=2), nn.PReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 5))


class Attention(nn.Module):
    """No architecture of the engine."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(7, 8), nn.Linear(8, 5)
        self.register_buffer("count", torch.tensor(3))
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        h = self.inner(x)
        return self.outer(self.norm(h * torch.softmax(h, -1)))


MODULES = {"named": (Named, (1, 6, 6)), "residual": (residual, (1, 9, 9)), "mlp": (mlp, (7,)),
           "resnet": (resnet, (3, 8, 8)), "separable": (separable, (4, 7, 7)), "sequence": (sequence, (3, 20))}


def made(build, seed=0):
    torch.manual_seed(seed)
    module = build().eval()
    with torch.no_grad():  # running statistics as training leaves them
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5)
    return module


def rows(shape, n=40):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, *shape)).astype("f4"), rng.integers(0, 5, n)


@pytest.mark.parametrize("which", MODULES)
def test_engine_and_module_agree(which):
    build, shape = MODULES[which]
    states = [made(build, seed).state_dict() for seed in range(3)]
    module, (x, y) = made(build), rows(shape)
    theta = tw.Networks.from_state_dicts(states).theta
    engine = tw.Networks.torch(module, theta, engine=True, input_shape=shape)
    plain = tw.Networks.torch(module, theta, engine=False)
    assert engine.architecture is not None and plain.architecture is None
    assert tw.Networks.torch(module, input_shape=shape).architecture == engine.architecture
    logits = np.stack([loaded(module, state)(torch.tensor(x)).detach().numpy() for state in states])
    assert np.abs(plain.logits(x) - logits).max() < 1e-5
    assert np.abs(engine.logits(x) - logits).max() < 1e-4 * (1 + np.abs(logits).max())
    (losses, gradients), (values, slopes) = plain.gradients(x, y), engine.gradients(x, y)
    assert np.allclose(losses, values, rtol=1e-4)
    # The layouts order tensors each in its own way.
    for ours, theirs in zip(views(slopes, engine), views(gradients, plain)):
        for name, value in theirs.items():
            assert np.abs(ours[name] - value).max() < 1e-4 * max(1.0, np.abs(value).max()), name
            if "running" in name:
                assert not value.any()
    for a, b in zip(engine.evaluate(x, y), plain.evaluate(x, y)):
        assert np.allclose(a, b, atol=1e-4)


def loaded(module, state):
    module.load_state_dict(state)
    return module.eval()


def views(theta, nets):
    from thalweg._states import views as of

    return [of(point, nets.layout) for point in theta]


@pytest.mark.parametrize("loop", [False, True])
def test_modules_of_any_architecture(loop, monkeypatch):
    if loop:
        monkeypatch.setattr("thalweg._torch.vmap", None)
    module, (x, y) = made(Attention), rows((7,))
    nets = tw.Networks.torch(module)
    assert nets.architecture is None and len(nets) == 1
    theta = nets.theta + 0.1 * np.random.default_rng(0).normal(size=(5, nets.parameters)).astype("f4")
    nets = tw.Networks.torch(module, theta)
    with pytest.raises(ValueError, match="softmax|take what comes before"):
        tw.Networks.torch(module, engine=True)
    module.train()
    losses, gradients = nets.gradients(x, y, batch=2)
    assert module.training
    module.eval()
    logits, (accuracies, _) = nets.logits(x), nets.evaluate(x, y)
    for i, one in enumerate(nets.modules(Attention)):
        assert np.allclose(logits[i], one(torch.tensor(x)).detach(), atol=1e-5)
        assert accuracies[i] == (logits[i].argmax(-1) == y).mean()
        loss = F.cross_entropy(one(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        own = {name: p.grad.numpy() for name, p in one.named_parameters()}
        assert losses[i] == pytest.approx(loss.item(), rel=1e-5)
        found = views(gradients[i:i + 1], nets)[0]
        assert all(np.abs(found[name] - value).max() < 1e-5 for name, value in own.items())
        assert not found["norm.running_var"].any()


def test_zoos_of_modules_and_back(tmp_path):
    runs = [[made(Named, 10 * run + k).state_dict() for k in range(2)] for run in range(12)]
    zoo = tw.Zoo.from_state_dicts(runs)
    assert "norm.num_batches_tracked" in zoo.buffers
    nets = tw.fit(zoo, steps=20).sample(3)
    x, y = rows((1, 6, 6))
    modules = nets.modules(Named)
    bound = nets.on(Named())
    logits = bound.logits(x)
    for i, (module, state) in enumerate(zip(modules, nets.state_dicts("torch"))):
        assert not module.training and np.allclose(module(torch.tensor(x)).detach(), logits[i], atol=1e-4)
        Named().load_state_dict(state)  # strict
    with pytest.raises(ValueError, match="module: expected"):
        nets.on(mlp())
    half = [[{name: t.bfloat16() if t.is_floating_point() else t for name, t in state.items()} for state in run] for run in runs]
    assert np.allclose(tw.Zoo.from_state_dicts(half).theta(), zoo.theta(), rtol=1e-2)


def test_modules_of_known_architectures_need_no_class(model, digits):
    nets = model.sample(2)
    for i, module in enumerate(nets.modules()):
        assert np.abs(module(torch.tensor(digits.test.x[:20])).detach().numpy() - nets.logits(digits.test.x[:20])[i]).max() < 1e-3


@pytest.mark.parametrize("loop", [False, True])
def test_rewards_of_a_loss(zoo, digits, model, loop, monkeypatch):
    if loop:
        monkeypatch.setattr("thalweg._torch.vmap", None)
    x, y = torch.tensor(digits.validation.x), torch.tensor(digits.validation.y)
    module = model.sample(1).modules()[0]
    reward = tw.rewards.torch(lambda net: F.cross_entropy(net(x), y), module, layout=model.layout)
    theta = zoo.networks([0, 3]).theta
    values, gradients = reward(theta)
    losses, slopes = zoo.networks([0, 3]).gradients(digits.validation.x, digits.validation.y)
    assert np.allclose(values, -losses, rtol=1e-4) and np.abs(gradients + slopes).max() < 1e-4
    assert np.allclose(reward.values(theta), values, rtol=1e-5)
    assert "cross" in reward.description or "PyTorch" in reward.description
    with pytest.raises(ValueError, match="scalar"):
        tw.rewards.torch(lambda net: net(x), module, layout=model.layout)(theta)


def test_a_model_is_steered_to_a_loss(zoo, digits):
    flow = tw.fit(zoo, method={"cfm": {"coupling": "independent", "source": "gaussian"}}, steps=150, field={"residual-mlp": {"width": 32}})
    # Another task: the digits upside down.
    x, y = torch.tensor(digits.train.x[:400]).flip(2), torch.tensor(digits.train.y[:400])
    module = flow.sample(1).modules()[0]
    reward = tw.rewards.torch(lambda net: F.cross_entropy(net(x), y), module, layout=flow.layout)
    tuned = flow.tune(reward, 50, strength=3000.0, trajectories=8, optimiser={"learning_rate": 3e-3})
    test = digits.test.x[:, :, ::-1].copy()
    before, after = (m.sample(20).evaluate(test, digits.test.y)[1].mean() for m in (flow, tuned))
    assert after < before - 0.3


@pytest.mark.parametrize("compiled", [torch.jit.script, lambda module: torch.jit.trace(module, torch.zeros(2, 7))], ids=["script", "trace"])
def test_compiled_modules(compiled):
    """Scripted and traced modules take no weights but their own: they are filled with others, and differentiated there."""
    class Tied(Attention):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)
            self.b.weight = self.a.weight

        def forward(self, x):
            h = self.inner(x)
            h = self.outer(self.norm(h * torch.softmax(h, -1)))
            return self.b(torch.tanh(self.a(h)))

    module, (x, y) = made(Tied), rows((7,))
    nets = tw.Networks.torch(module, engine=False)
    nets = nets._copy(nets.theta + 0.1 * np.random.default_rng(0).normal(size=(3, nets.parameters)).astype("f4") ** 2)
    other = tw.Networks.torch(compiled(module), nets.theta, engine=False)
    assert other.layout == nets.layout and other.tied == nets.tied == {"b.weight": "a.weight"}
    assert np.abs(other.logits(x) - nets.logits(x)).max() < 1e-5
    for found, truth in zip(other.gradients(x, y), nets.gradients(x, y)):
        assert np.abs(found - truth).max() < 1e-5 * (1 + np.abs(truth).max())


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.LSTM(7, 4, batch_first=True), nn.Linear(4, 5)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.TransformerEncoderLayer(7, 1, 8, dropout=0.0, batch_first=True), nn.Linear(21, 5)

    def forward(self, x):
        return self.out(self.layer(x).flatten(1))


@pytest.mark.parametrize("build", [Recurrent, Encoder])
def test_layers_that_keep_weights_or_have_ways_of_their_own(build):
    module, (x, y) = made(build), rows((3, 7), 12)
    nets = tw.Networks.torch(module, engine=False)
    nets = nets._copy(nets.theta + 0.3 * np.random.default_rng(0).normal(size=(3, nets.parameters)).astype("f4"))
    logits, (losses, gradients) = nets.logits(x), nets.gradients(x, y)
    from thalweg._torch import Functional

    given, pull = Functional(module).differentiable(nets.theta, x[None])
    probabilities = np.exp(given) / np.exp(given).sum(-1, keepdims=True)
    pulled = pull(((probabilities - np.eye(5)[y]) / len(y)).astype("f4"))
    for i, one in enumerate(nets.modules(build)):
        assert np.abs(one(torch.tensor(x)).detach().numpy() - logits[i]).max() < 1e-5
        assert np.abs(given[i] - logits[i]).max() < 1e-5
        for value in one.parameters():
            value.requires_grad_()
        loss = F.cross_entropy(one(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        truth = np.concatenate([value.grad.numpy().ravel() for value in one.parameters()])
        assert losses[i] == pytest.approx(loss.item(), rel=1e-5)
        assert np.abs(gradients[i] - truth).max() < 1e-5 and np.abs(pulled[i] - truth).max() < 1e-5
    own = build()  # a module is as it was
    own.load_state_dict(module.state_dict())
    assert torch.allclose(own.eval()(torch.tensor(x)), module(torch.tensor(x)), atol=1e-6)

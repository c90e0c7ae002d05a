"""Judgement by the engine and by a module of PyTorch: one table."""
import numpy as np
import pytest
import thalweg as tw


def test_the_engine_judges_given_rows_as_those_that_the_zoo_knows(zoo, model, digits):
    nets = model.sample(8)
    named = tw.judge(nets, zoo)
    given = tw.judge(nets, zoo, data=(digits.test.x, digits.test.y), probe=digits.train.x[:4608])
    assert given.rows == named.rows and np.array_equal(given.d_f, named.d_f)
    without = tw.judge(nets.theta, zoo, data=(digits.test.x, digits.test.y.astype(float)))
    methods = lambda judged: [row["method"] for row in judged.rows]
    assert [m for m in methods(named) if "flat" not in m and "felt" not in m] == methods(without) != methods(named)
    for wrong, what in [((digits.test.x, digits.test.y[:-1]), "as many labels"), ((digits.test.x[:, :, :4], digits.test.y), r"\[N, 64\]"),
                        ((digits.test.x[:0], digits.test.y[:0]), "at least one row"), ((digits.test.x, digits.test.y + 0.5), "fractions"),
                        ((digits.test.x, digits.test.y * np.nan), "finite"), ((digits.test.x, digits.test.y + 9), "label")]:
        with pytest.raises(ValueError, match=what):
            tw.judge(nets, zoo, data=wrong)
    with pytest.raises(TypeError, match="inputs, labels"):
        tw.judge(nets, zoo, data=digits.test.x)
    with pytest.raises(TypeError, match="zoo"):
        tw.judge(nets, zoo.path)


def test_a_module_judges_as_the_engine_does(zoo, model):
    pytest.importorskip("torch")
    nets = model.sample(17)
    by_engine, by_module = tw.judge(nets, zoo), tw.judge(nets.on(nets.modules()[0]), zoo)
    for a, b in zip(by_engine.rows, by_module.rows):
        assert a["method"] == b["method"] and a["n"] == b["n"]
        for key, value in a.items():
            if isinstance(value, float):
                # An answer may tip over where two logits tie up to rounding, and with it a network of a share.
                share = key.startswith(("novel_", "new_in_", "performing"))
                assert b[key] == pytest.approx(value, rel=1e-3, abs=1.01 / a["n"] if share else 0.01), (a["method"], key)
    for what in ("accuracy", "d_w", "d_f", "overlap", "d"):
        assert np.allclose(getattr(by_engine, what), getattr(by_module, what), atol=0.02), what
    assert np.array_equal(by_engine.nearest_run, by_module.nearest_run)
    assert np.array_equal(by_engine.novel_and_performing, by_module.novel_and_performing)


@pytest.fixture(scope="module")
def odd(digits):
    """A class that the engine does not know, with tied and frozen tensors and a counter, and runs of it, every other one wrapped."""
    torch = pytest.importorskip("torch")
    from torch import nn

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm = nn.Linear(64, 8), nn.BatchNorm1d(8)
            self.b, self.c = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
            self.c.weight = self.b.weight
            self.gain, self.out = nn.Parameter(torch.tensor(1.0)), nn.Linear(8, 10)
            self.register_buffer("scale", torch.full((64,), 0.5))

        def forward(self, x):
            h = self.norm(self.a(x.flatten(1) * self.scale))
            return self.out(torch.relu(4 * h * torch.softmax(self.b(h), -1) + self.c(h)) * self.gain)

    x, y = torch.tensor(digits.train.x), torch.tensor(digits.train.y)

    def run(seed):
        torch.manual_seed(seed)
        net = Odd()
        kept = nn.DataParallel(net) if seed % 2 else net
        optimiser, states = torch.optim.Adam(net.parameters(), 1e-2), []
        for step in range(61):
            if step in (0, 60):
                states.append({name: value.clone() for name, value in kept.state_dict().items()})
            rows = torch.randint(0, len(x), (64,))
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimiser.step()
        return states

    return Odd, [run(seed) for seed in range(12)]


def test_networks_of_any_architecture_are_judged(odd, digits):
    torch = pytest.importorskip("torch")
    Odd, runs = odd
    zoo = tw.Zoo.from_state_dicts(runs, exclude="scale")
    assert zoo.tied == {"c.weight": "b.weight"} and zoo.architecture is None
    nets, data = tw.fit(zoo, steps=30).sample(17), (torch.tensor(digits.test.x), torch.tensor(digits.test.y))
    bound = nets.on(torch.nn.DataParallel(Odd()))
    accuracy = lambda module: float((module(data[0]).argmax(1) == data[1]).float().mean())
    judged = tw.judge(bound, zoo, data=data, probe=digits.train.x[:64])
    assert np.allclose(judged.accuracy, [accuracy(module) for module in nets.modules(Odd)])
    training = zoo.split()[0]
    own = [accuracy(module) for module in zoo.networks(training).modules(Odd)]
    assert judged["zoo"]["accuracy_mean"] == pytest.approx(np.mean(own))
    assert {"held-out", "noise-1.1", "flat-noise-1.02", "mean"} <= {row["method"] for row in judged.rows}
    # Noise of the same length that networks hardly feel does less.
    assert judged["flat-noise-1.02"]["accuracy_mean"] > judged["noise-1.1"]["accuracy_mean"]
    copies = tw.judge(zoo.networks(training[:3]).on(Odd()), zoo, data=torch.utils.data.TensorDataset(*data), baselines=False)
    assert not copies.d_f.any() and not copies.d.any() and list(copies.nearest_run) == list(training[:3])
    again = tw.judge(bound, zoo, data="digits", baselines=False)
    assert np.array_equal(again.d_f, judged.d_f)
    with pytest.raises(ValueError, match=r"nets\.on\(module\)"):
        tw.judge(nets, zoo, data=data)
    with pytest.raises(ValueError, match="inputs, labels"):
        tw.judge(bound, zoo)
    with pytest.raises(ValueError, match="classes below 10"):
        tw.judge(bound, zoo, data=(data[0], data[1] + 5))
    with pytest.raises(RuntimeError, match="size of tensor|shapes"):  # the module's own
        tw.judge(bound, zoo, data=(data[0][:, :, :3], data[1]))


def test_gradients_of_odd_modules(odd, digits):
    """Tied weights have the sum of both places' gradients; what is frozen has none."""
    torch = pytest.importorskip("torch")
    Odd, runs = odd
    zoo = tw.Zoo.from_state_dicts(runs, exclude="scale")
    x, y = torch.tensor(digits.test.x[:50]), torch.tensor(digits.test.y[:50])
    nets = zoo.networks([0, 3])
    losses, gradients = nets.on(Odd()).gradients(x, y)
    reward = tw.rewards.torch(lambda net: torch.nn.functional.cross_entropy(net(x), y), Odd())
    values, slopes = reward.of(zoo)(nets.theta)
    for i, module in enumerate(nets.modules(Odd)):
        loss = torch.nn.functional.cross_entropy(module(x), y)
        loss.backward()
        own = dict(module.named_parameters())
        truth = np.concatenate([
            own[name].grad.numpy().ravel() if name in own else np.zeros(int(np.prod(shape))) for name, shape in zoo.layout
        ])
        assert losses[i] == pytest.approx(loss.item(), rel=1e-5) and np.abs(gradients[i] - truth).max() < 1e-5
        assert -values[i] == pytest.approx(loss.item(), rel=1e-5) and np.abs(slopes[i] + truth).max() < 1e-5
    alone = tw.Networks.torch(Odd())
    assert alone.tied == {"c.weight": "b.weight"} and alone.parameters == zoo.parameters + 64
    flow = tw.fit(zoo, method={"cfm": {"coupling": "independent", "source": "gaussian"}}, steps=30)
    tuned = flow.tune(reward, 2, trajectories=2)  # in the order of the model's tensors
    assert tuned.layout == zoo.layout and "PyTorch" in str(tuned.record)

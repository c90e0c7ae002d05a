"""What the library trains on answers of networks, with the networks computed by a module of PyTorch: functional terms and disagreement classifiers."""
import numpy as np
import pytest
import thalweg as tw

torch = pytest.importorskip("torch")
from torch import nn


class Digits(nn.Module):
    """The architecture "digits" in a way that the engine does not recognise."""

    def __init__(self, inner, gain=1.0):
        super().__init__()
        self.inner, self.gain = inner, gain

    def forward(self, x):
        return self.gain * self.inner(x) + 0.0 * torch.sin(x.flatten(1)[:, :10])


class Unknown(nn.Module):
    """No layers of the engine's: a gate, a tied pair, running statistics, a counter."""

    def __init__(self, slope=4.0):
        super().__init__()
        self.a, self.norm, self.out = nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Linear(12, 10)
        self.b, self.c = nn.Linear(12, 12, bias=False), nn.Linear(12, 12, bias=False)
        self.c.weight = self.b.weight
        self.slope = slope

    def forward(self, x):
        h = self.norm(self.a(x.flatten(1)))
        return self.out(torch.relu(self.slope * h * torch.softmax(self.b(h), -1) + self.c(h)))


def trained(make, digits, seed, steps=150):
    torch.manual_seed(seed)
    net, states = make(), []
    x, y = torch.tensor(digits.train.x), torch.tensor(digits.train.y)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(steps + 1):
        if step in (0, steps):
            states.append({name: value.clone() for name, value in net.state_dict().items()})
        rows = torch.randint(0, len(x), (64,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimiser.step()
    return net.eval(), states


@pytest.fixture(scope="module")
def unknown(digits):
    """A trained network, and a zoo of its kind."""
    runs = [trained(Unknown, digits, seed, 60) for seed in range(10)]
    return runs[0][0], tw.Zoo.from_state_dicts([states for _, states in runs])


LATENT = tw.latent.VAE(8, beta=0.1, functional=dict(weight=0.5, rows=32), training={"steps": 60, "batch": 16, "validate-every": 20})


@pytest.mark.parametrize("loop", [False, True])
def test_answers_and_gradients_are_the_engines(zoo, digits, loop, monkeypatch):
    if loop:
        monkeypatch.setattr("thalweg._torch.vmap", None)
    from thalweg._torch import Functional
    from thalweg._trainable import Trainable

    nets = zoo.networks([0, 1, 2])
    module = Trainable(Functional(nets.modules()[0]).of(zoo), digits.test.x)
    x, y = digits.test.x[:30], digits.test.y[:30]
    own = np.stack([x, digits.test.x[30:60], digits.test.x[60:90]])
    labels = [y, digits.test.y[30:60], digits.test.y[60:90]]
    for inputs, expected in ((x[None], [nets.gradients(x, y)]), (own, [nets[i].gradients(own[i], labels[i]) for i in range(3)])):
        logits, pull = module.differentiable(nets.theta, inputs.reshape(len(inputs), 30, 64))
        probabilities = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities /= probabilities.sum(-1, keepdims=True)
        truth = np.stack(labels if len(inputs) > 1 else [y] * 3)
        losses = -np.log(np.take_along_axis(probabilities, truth[..., None], -1))[..., 0].mean(1)
        slopes = (probabilities - np.eye(10)[truth]).astype("f4") / 30
        values, gradients = (np.concatenate(part) for part in zip(*expected))
        assert np.abs(losses / values - 1).max() < 1e-5
        assert np.abs(pull(slopes) - gradients).max() < 1e-4 * np.abs(gradients).max()
    assert np.abs(module.logits(nets.theta, x.reshape(30, 64)) - nets.logits(x)).max() < 1e-4


def test_a_functional_term_by_a_module_is_the_engines(zoo, tmp_path):
    engine = tw.fit(zoo, latent=LATENT, steps=20)
    module = tw.fit(zoo, latent=LATENT, steps=20, module=zoo.networks([0]).modules()[0])
    ours, theirs = engine.record["latent"], module.record["latent"]
    assert "functional-by" not in ours and theirs["functional-by"].startswith("Network[1, 8, 8]-")
    assert theirs["best-step"] == ours["best-step"] == 60
    for key in ("best-loss", "error", "error-held-out"):
        assert theirs[key] == pytest.approx(ours[key], rel=1e-3), key
    theta = zoo.theta([0, 1], [-1])[:, 0]
    assert np.allclose(module.points(theta), engine.points(theta), atol=1e-2)
    # Without the term it is another.
    plain = tw.fit(zoo, latent=tw.latent.VAE(8, beta=0.1, training=LATENT.settings["training"] | {"functional": {"weight": 0.0}}), steps=20)
    assert abs(plain.record["latent"]["best-loss"] / ours["best-loss"] - 1) > 2e-2
    # The model needs no module.
    module.save(tmp_path / "model")
    assert np.array_equal(tw.Model.open(tmp_path / "model").sample(3).theta, module.sample(3).theta)


def test_a_functional_term_of_any_architecture(unknown, digits, tmp_path):
    net, zoo = unknown
    latent = tw.latent.VAE(4, beta=0.1, functional=0.05, training={"steps": 30, "batch": 8})
    with pytest.raises(ValueError, match="what evaluates its networks"):
        tw.fit(zoo, latent=latent, steps=5)
    with pytest.raises(ValueError, match="functional.weight"):
        tw.fit(zoo, steps=5, module=net, probe=digits.train.x)
    with pytest.raises(ValueError, match="probe: expected inputs"):
        tw.fit(zoo, latent=latent, steps=5, module=net)
    with pytest.raises(ValueError, match="module: expected what evaluates"):
        tw.fit(zoo, latent=latent, steps=5, probe=digits.train.x)
    with pytest.raises(ValueError, match="no such tensor"):
        tw.fit(zoo, latent=latent, steps=5, module=nn.Linear(64, 10), probe=digits.train.x)
    named = tw.fit(zoo, latent=latent, steps=5, module=net, probe="digits")
    assert named.record["latent"]["functional-by"].startswith("Unknown[1, 8, 8]-")

    def watch(what, done, total):
        if what == "fitting" and done > 20:
            raise InterruptedError

    state = tmp_path / "state"
    fitted = lambda module, **how: tw.fit(zoo, latent=latent, steps=100000, module=module, probe=torch.tensor(digits.train.x), state=state, **how)
    with pytest.raises(InterruptedError):
        fitted(net, progress=watch)
    with pytest.raises(ValueError, match=r"networks by Unknown\[1, 8, 8\]-\w+, found that with networks by Unknown\[1, 8, 8\]-"):
        fitted(Unknown(slope=3.0), resume=True)
    with pytest.raises(InterruptedError):
        fitted(Unknown(), progress=watch, resume=True)

    class Broken(Unknown):
        def forward(self, x):
            if len(x) > 4:
                raise LookupError("mine")
            return super().forward(x)

    with pytest.raises(LookupError, match="mine"):
        tw.fit(zoo, latent=latent, steps=5, module=Broken(), probe=digits.train.x)


def test_disagreement_classifiers_by_a_module_are_the_engines(zoo, digits, rng):
    inner = zoo.networks([0]).modules()[0]
    # A gain of one changes nothing; the layers are the engine's, and the module is not recognised.
    parts = dict(held=digits.test.x[:200], validation=digits.validation.x, size=15, null=99, methods=["bank"],
                 settings={"bank": {"size": 20}, "bank-cdc": {"steps": 30}})
    calibrated = lambda f: tw.shift.Detector.calibrate(f, digits.train.x[:400], digits.train.y[:400], input_shape=(1, 8, 8), **parts)
    engine, module = calibrated(inner), calibrated(Digits(inner))
    assert engine.record["architecture"] and "network" not in engine.record
    assert module.record["network"].startswith("Digits[1, 8, 8]-") and "stand_in" not in module.record
    for query in (digits.test.x[200:220], rng.normal(size=(20, 1, 8, 8)) * 2):
        ours, theirs = engine.test(query), module.test(query)
        assert ours.outcome == theirs.outcome
        assert np.abs(ours.row_scores - theirs.row_scores).max() < 1e-2
        for a, b in zip(ours.evidence[0]["statistics"], theirs.evidence[0]["statistics"]):
            assert a[0] == b[0] and b[2] == pytest.approx(a[2], abs=0.02 * (1 + abs(a[2]))), (a, b)


def test_disagreement_classifiers_of_any_architecture(unknown, digits, rng, tmp_path, caplog):
    net, _ = unknown
    settings = {"bank": {"size": 20}, "bank-cdc": {"steps": 30}, "cdc": {"steps": 20}, "detectron": {"rounds": 2}}
    parts = dict(held=digits.test.x[:200], size=10, null=24, settings=settings, choose=False)
    with caplog.at_level("INFO", logger="thalweg"):
        det = tw.shift.Detector.calibrate(net, torch.tensor(digits.train.x), digits.train.y, methods=["bank", "detectron"], **parts)
    assert any("trained by PyTorch" in message for message in caplog.messages)
    near, far = det.test(digits.test.x[200:210]), det.test((3 * rng.normal(size=(10, 1, 8, 8))).astype("f4"))
    assert not near.is_harmful and {e["method"] for e in far.evidence} == {"bank", "detectron"} and far.p_value < near.p_value
    det.save(tmp_path / "d.cal")
    again = tw.shift.Detector.open(tmp_path / "d.cal", Unknown())  # the weights are in the file
    bound = tw.Networks.torch(net)  # the same classifier
    parts["settings"]["bank"]["size"] = 8
    assert tw.shift.Detector.calibrate(bound, digits.train.x, methods="bank", **parts).record["network"] == det.record["network"]
    with pytest.raises(ValueError, match="expected one network"):
        tw.shift.Detector.calibrate(tw.Networks.torch(net, np.stack([bound.theta[0]] * 2)), digits.train.x, methods="bank", **parts)
    assert again.test(digits.test.x[200:210]).answer == near.answer
    for other, found in ((None, "nothing that evaluates it"), (Unknown(slope=2.0), "Unknown")):
        with pytest.raises(ValueError, match=found):
            tw.shift.Detector.open(tmp_path / "d.cal", other)


def test_classifiers_of_whole_numbers(rng):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.out = nn.Embedding(20, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.out(self.embedding(x).mean(1))

    torch.manual_seed(0)
    net = Tokens()
    x = rng.integers(0, 10, size=(400, 7))
    det = tw.shift.Detector.calibrate(net, x, size=10, null=24, methods=["bank"], settings={"bank": {"size": 12}, "bank-cdc": {"steps": 10}})
    assert det.record["network"].startswith("Tokens[7]i-")
    assert 0 < det.test(rng.integers(10, 20, size=(10, 7))).p_value <= 1

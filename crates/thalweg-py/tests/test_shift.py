import numpy as np
import pytest
import thalweg as tw

FAST = dict(size=15, null=99, settings={"bank": {"size": 30}})


def ones(digits):
    """Rows of one class alone."""
    return digits.validation.x[digits.validation.y == 1]


@pytest.fixture(scope="module")
def net(digits):
    return tw.Zoo.train("digits", "digits", runs=1, steps=400, checkpoints=1).networks()


@pytest.fixture(scope="module")
def detector(net, digits):
    return tw.shift.Detector.calibrate(
        (net.architecture, net.state_dicts()[0]), digits.train.x, digits.train.y, validation=digits.validation.x, held=digits.test.x[:250], **FAST
    )


def test_a_network_is_tested(detector, digits, rng, tmp_path):
    near = detector.test(digits.test.x[250:270])
    assert not near.is_drift and near.outcome == "no-evidence-of-harm" and near.threshold == near.level == 0.05
    far = detector.test(rng.normal(size=(20, 1, 8, 8)) * 2)
    assert far.is_harmful and far.p_value <= 0.05 and far.row_scores.shape == (20,)
    assert {e["method"] for e in far.evidence} == {"bank", "entropy", "bbsd", "mahalanobis", "relative-mahalanobis", "hotelling", "feature-mmd"}
    assert "harmful shift" in str(far) and detector.predict(digits.test.x[250:270]).p_value == near.p_value
    detector.save(tmp_path / "d.cal")
    with pytest.raises(FileExistsError):
        detector.save(tmp_path / "d.cal")
    again = tw.shift.Detector.open(tmp_path / "d.cal")
    assert again.test(digits.test.x[250:270]).answer == near.answer and again.get_params()["size"] == 15
    assert again.record["config"]["bank"]["size"] == 30
    with pytest.raises(ValueError, match="64"):
        detector.test(np.zeros((4, 3)))


def test_a_large_network_has_a_smaller_bank(rng):
    """As the program's: 2^24 numbers at most for all its members, unless the caller says how many they are."""
    parameters = 20 * 4000 + 4000 + 4000 * 2 + 2
    wide = tw.Architecture.preset("mlp", [1, 1, 20], 2, [4000])
    x, theta = rng.normal(size=(400, 20)), rng.normal(size=parameters) * 0.05

    def members(settings):
        det = tw.shift.Detector.calibrate((wide, theta), x, methods=["bbsd"], size=10, null=99, settings=settings)
        return det.record["config"]["bank"]["size"]

    assert members(None) == members({"bank": {"rows": 12}}) == 2**24 // parameters
    assert members({"bank": {"size": 70}}) == 70


def test_false_alarms_keep_their_level(net, digits):
    """Fresh rows of P: of 60 queries at level .2, alarms are no more than chance explains (mean 12, three deviations 21)."""
    logits = net.logits(np.concatenate([digits.validation.x, digits.test.x]))[0]
    alarms = 0
    order = np.random.default_rng(0).permutation(len(logits))
    for i in range(60):
        order = np.random.default_rng(i).permutation(len(logits))
        det = tw.shift.Detector.calibrate(lambda x: x, logits[order[:300]], null=39, level=0.2, methods=["bbsd", "energy"], seed=i)
        alarms += det.test(logits[order[300:320]]).is_drift
    assert alarms <= 21


def test_callables_and_their_logits(net, digits, tmp_path):
    calls = []

    def f(x):
        calls.append(len(x))
        return net.logits(x)[0]

    det = tw.shift.Detector.calibrate(f, digits.test.x[:300], null=99)
    assert calls == [300] and set(det.record["methods"]) == {n for n, (_, needs) in tw.shift.METHODS.items() if needs == "logits"}
    said = det.test(digits.test.x[300:320])
    det.save(tmp_path / "l.cal")
    alone = tw.shift.Detector.open(tmp_path / "l.cal")
    assert alone.test(net.logits(digits.test.x[300:320])[0]).answer == said.answer
    assert tw.shift.Detector.open(tmp_path / "l.cal", f).test(digits.test.x[300:320]).answer == said.answer
    with pytest.raises(ValueError, match=r"\[N, C\]"):
        tw.shift.Detector.calibrate(lambda x: x[0], digits.test.x[:300])
    with pytest.raises(TypeError, match="classifier"):
        tw.shift.Detector.calibrate(None, digits.test.x[:300])
    with pytest.raises(ValueError, match="null draws.*at least 19"):
        tw.shift.Detector.calibrate(f, digits.test.x[:300], null=5)


def test_a_network_stands_in_for_a_classifier_known_by_its_answers(net, digits, rng, tmp_path, caplog):
    f = lambda x: net.logits(x)[0]
    parts = dict(validation=digits.validation.x, held=digits.test.x[:250], held_y=digits.test.y[:250])
    with caplog.at_level("INFO", logger="thalweg"):
        det = tw.shift.Detector.calibrate(f, digits.train.x, digits.train.y, methods="bank", **parts, **FAST)
    agreement = det.record["stand_in"]
    assert agreement > 0.8 and any(f"{100 * agreement:.0f} %" in message for message in caplog.messages)
    assert not det.test(digits.test.x[250:270]).is_drift
    far = rng.normal(size=(20, 1, 8, 8)) * 2
    said = det.test(far)
    assert said.is_harmful and said.evidence[0]["method"] == "bank" and said.estimate is not None
    det.save(tmp_path / "d.cal")
    assert tw.shift.Detector.open(tmp_path / "d.cal", f).test(far).answer == said.answer
    with pytest.raises(ValueError, match="stands in"):
        tw.shift.Detector.open(tmp_path / "d.cal").test(far)
    with pytest.raises(ValueError, match="as many rows"):
        tw.shift.Detector.calibrate(lambda x: f(x)[1:], digits.train.x, methods="bank", **FAST)


def test_the_estimator_has_the_shape_of_scikit_learns(net):
    det = tw.shift.Detector(net, size=9)
    assert det.get_params() == {**tw.shift.Detector().get_params(), "classifier": net, "size": 9}
    assert det.set_params(level=0.1) is det and det.level == 0.1
    with pytest.raises(ValueError, match="expected one of"):
        det.set_params(lvl=0.1)
    with pytest.raises(ValueError, match="fitted"):
        det.test(np.zeros((3, 3)))


def test_modules_of_torch(net, digits, rng):
    torch = pytest.importorskip("torch")
    module = net.modules()[0]
    det = tw.shift.Detector.calibrate(module, digits.test.x[:300], digits.test.y[:300], input_shape=(1, 8, 8), **FAST)
    assert det.record["architecture"] is not None and "bank" in det.record["methods"]
    assert det.test(rng.normal(size=(20, 1, 8, 8)) * 2).is_harmful

    class Unknown(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            return self.inner(x) * 1.5 + torch.sin(x.flatten(1)[:, :10]) * 0

    det = tw.shift.Detector.calibrate(Unknown(), digits.test.x[:300], null=99)
    assert det.record.get("architecture") is None and det.test(ones(digits)).is_drift


def test_copies_count_once_and_are_told(rng):
    logits = rng.normal(size=(320, 4)).astype(np.float32)
    det = tw.shift.Detector.calibrate(lambda x: x, logits[:300], null=99)
    once, copied = det.test(logits[300:]), det.test(np.concatenate([logits[300:]] * 4))
    assert copied.p_value == once.p_value and len(copied.row_scores) in (0, 80)
    assert once.caveats == [] and "60 of 80 rows are copies" in str(copied)

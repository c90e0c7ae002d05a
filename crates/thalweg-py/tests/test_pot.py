"""POT beside Thalweg: the exact distances between two samples of weights."""
import numpy as np
import pytest
import thalweg as tw

ot = pytest.importorskip("ot", reason="POT is not installed: pip install thalweg[peers]")


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("n, p", [(1, 3), (17, 5), (90, 40)])
def test_exact_distances(order, n, p, rng):
    a, b = rng.normal(size=(n, p)).astype("f4"), (0.5 + rng.normal(size=(n, p))).astype("f4")
    costs = ot.dist(a.astype("f8"), b.astype("f8"), metric="euclidean") ** order
    theirs = ot.emd2([], [], costs) ** (1 / order)
    assert tw.metrics.wasserstein(a, b, order=order) == pytest.approx(theirs, rel=1e-5)


def test_samples_of_a_model_beside_its_zoo(zoo, model):
    ends, drawn = zoo.networks().theta, model.sample(len(zoo.finished_runs)).theta
    costs = ot.dist(drawn.astype("f8"), ends.astype("f8"))
    assert tw.metrics.wasserstein(drawn, ends, order=2) == pytest.approx(ot.emd2([], [], costs) ** 0.5, rel=1e-5)


def test_what_is_no_two_samples_is_refused(rng):
    a = rng.normal(size=(4, 3)).astype("f4")
    with pytest.raises(ValueError, match="second sample"):
        tw.metrics.wasserstein(a, a[:3])
    with pytest.raises(ValueError, match="order"):
        tw.metrics.wasserstein(a, a, order=3)

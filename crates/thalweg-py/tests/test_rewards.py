import numpy as np
import pytest
import thalweg as tw

SETTINGS = dict(trajectories=8, seed=1, strength=300.0)


@pytest.fixture(scope="module")
def flow(zoo):
    """A flow with a Gaussian source, which the memoryless process tunes."""
    return tw.fit(zoo, method={"cfm": {"coupling": "independent", "source": "gaussian"}}, steps=150, field={"residual-mlp": {"width": 32}})


def test_a_callable_steers(flow):
    first = flow.sample(64, seed=3).theta[:, 0]

    def reward(theta):
        """More of the first weight."""
        gradients = np.zeros_like(theta)
        gradients[:, 0] = 1.0
        return theta[:, 0].astype(float), gradients

    tuned = flow.tune(reward, 60, **{**SETTINGS, "strength": 1000.0}, optimiser={"learning_rate": 3e-3})
    moved = tuned.sample(64, seed=3).theta[:, 0]
    assert moved.mean() > first.mean() + first.std()
    assert tuned.record["tuned"]["reward"] == "reward" and flow.record.get("tuned") is None
    a, b = (flow.tune(reward, 3, **SETTINGS).sample(8).theta for _ in range(2))
    assert np.array_equal(a, b)


def test_rewards_that_are_not_finite_are_told(flow):
    with pytest.raises(ValueError, match="expected finite values, found nan for all of"):
        flow.tune(lambda theta: (theta[:, 0] * np.nan, theta), 2, **SETTINGS)


def test_held_out_rewards_choose(flow):
    centre = flow.sample(64).theta.mean(0)
    near = lambda theta: (-((theta - centre) ** 2).sum(1), -2 * (theta - centre))
    tuned = flow.tune(near, 10, held_out=near, validate_every=5, **SETTINGS)
    looks = tuned.record["tuned"]["validations"]
    assert [look["iteration"] for look in looks] == [0, 5, 10] and all(np.isfinite(look["held-out"]) for look in looks)


def test_a_seed_is_given_where_it_is_asked_for(flow):
    seeds = []

    def reward(theta, seed):
        seeds.append(seed)
        return np.zeros(len(theta)), np.zeros_like(theta)

    flow.tune(reward, 3, **SETTINGS)
    once = list(seeds)
    seeds.clear()
    flow.tune(reward, 3, **SETTINGS)
    assert seeds == once and len(set(once)) == len(once) >= 3


def test_what_a_reward_raises_is_raised(flow):
    class Mine(Exception):
        pass

    def reward(theta):
        raise Mine("no")

    with pytest.raises(Mine, match="no"):
        flow.tune(reward, 2, **SETTINGS)
    with pytest.raises(ValueError, match="values"):
        flow.tune(lambda theta: (np.zeros(1), np.zeros_like(theta)), 2, **SETTINGS)
    with pytest.raises(ValueError, match="gradients"):
        flow.tune(lambda theta: (np.zeros(len(theta)), np.zeros((len(theta), 3))), 2, **SETTINGS)
    with pytest.raises(ValueError, match="values.*gradients"):
        flow.tune(lambda theta: np.zeros(len(theta)), 2, **SETTINGS)
    with pytest.raises(ValueError):
        flow.tune(lambda theta: (np.full(len(theta), np.nan), np.full_like(theta, np.nan)), 2, **SETTINGS)
    with pytest.raises(TypeError, match="callable"):
        flow.tune(3, 2)
    with pytest.raises(ValueError, match="stregth"):
        flow.tune("loss:digits", 2, stregth=3)
    with pytest.raises(ValueError, match="loss:DATA"):
        flow.tune("gain:digits", 2)


def test_the_cross_entropy_on_own_rows_is_the_engines(zoo, digits):
    nets = zoo.networks([0, 1, 2])
    x, y = digits.validation.x, digits.validation.y
    reward = tw.rewards.CrossEntropy(zoo.architecture, x, y)
    values, gradients = reward(nets.theta)
    assert np.allclose(values, -nets.evaluate(x, y)[1], rtol=1e-5) and np.allclose(reward.values(nets.theta), values, rtol=1e-5)
    step = 1e-2 * gradients[0] / np.linalg.norm(gradients[0])
    up, down = (reward.values((nets.theta[0] + sign * step)[None])[0] for sign in (1, -1))
    assert (up - down) / 2e-2 == pytest.approx(np.linalg.norm(gradients[0]), rel=0.02)
    some = tw.rewards.CrossEntropy(zoo.architecture, x, y, batch=16)
    assert some(nets.theta, seed=1)[0][0] == some(nets.theta, seed=1)[0][0] != some(nets.theta, seed=2)[0][0]

import json

import numpy as np
import pytest
import thalweg as tw


def test_arguments_of_other_kinds_are_named(zoo, model):
    for wrong, match in [
        (lambda: tw.fit([]), "zoo: expected at least one"), (lambda: tw.fit(zoo, steps=-1), "steps: expected a whole number"),
        (lambda: tw.fit(zoo, steps="many"), "steps: expected a whole number"), (lambda: tw.fit(zoo, optimiser={"learning_rate": "x"}), "learning-rate"),
        (lambda: model.sample(-1), "n: expected a whole number"), (lambda: model.sample(2, seed=-1), "seed: expected"),
    ]:
        with pytest.raises(ValueError, match=match):
            wrong()
    for wrong, match in [(lambda: tw.fit("zoo"), "expected a Zoo"), (lambda: tw.fit(zoo, latent=8), r"tw\.latent\.VAE"),
                         (lambda: model.sample(3.0), "n: expected a whole number")]:
        with pytest.raises(TypeError, match=match):
            wrong()
    assert tw.fit(zoo, steps=10.0).record["history"] and len(model.sample(np.int64(2), seed=np.int32(3))) == 2
    nets = model.sample(3)
    assert np.array_equal(nets[-1].theta, nets.theta[2:]) and len(nets[[]]) == 0
    with pytest.raises(IndexError, match="expected one of 3"):
        nets[3]


def test_samples_are_a_function_of_the_seed_and_good_networks(model, digits):
    nets = model.sample(30, seed=1)
    assert nets.theta.dtype == np.float32 and nets.theta.shape == (30, 1110) and nets.evaluations == 100
    assert np.array_equal(model.sample(10, seed=1).theta, nets.theta[:10])
    assert not np.array_equal(model.sample(10, seed=2).theta, nets.theta[:10])
    accuracies, losses = nets.evaluate(digits.test.x, digits.test.y)
    assert accuracies.shape == (30,) and accuracies.mean() > 0.6 and np.isfinite(losses).all()
    with_states = model.sample(3, seed=1, at=[0, 1], solver="heun", steps=10)
    assert with_states.states.shape == (2, 3, 1110) and np.allclose(with_states.states[1], with_states.theta)
    assert with_states[1].states.shape == (2, 1, 1110) and len(with_states[[True, False, True]]) == 2


def test_models_and_networks_are_saved_and_read(model, tmp_path):
    model.save(tmp_path / "m")
    assert np.array_equal(tw.Model.open(tmp_path / "m").sample(4).theta, model.sample(4).theta)
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", force=True)
    with pytest.raises(FileNotFoundError):
        tw.Model.open(tmp_path / "none")
    nets = model.sample(5)
    nets.save(tmp_path / "n.safetensors")
    with pytest.raises(FileExistsError):
        nets.save(tmp_path / "n.safetensors")
    back = tw.Networks.open(tmp_path / "n.safetensors")
    assert np.array_equal(back.theta, nets.theta) and back.split == nets.split and back.data == nets.data
    model.save_pretrained(tmp_path / "hub")
    config = json.loads((tmp_path / "hub/config.json").read_text())
    assert config["model_type"] == "thalweg-cfm" and config["architecture"]["layers"][0]["kind"] == "conv"
    assert np.array_equal(tw.Model.from_pretrained(tmp_path / "hub").sample(4).theta, model.sample(4).theta)
    nets.save_pretrained(tmp_path / "nets")
    assert {p.name for p in (tmp_path / "nets").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert np.array_equal(tw.Networks.from_pretrained(tmp_path / "nets").theta, nets.theta)


def test_a_zoo_without_architecture_is_fitted_and_sampled(rng, tmp_path):
    centre = rng.normal(size=12)
    runs = [[{"w": (centre + (1 - k / 2) * rng.normal(size=12)).reshape(3, 4).astype("f4"), "n": np.array(3)} for k in range(3)] for _ in range(40)]
    zoo = tw.Zoo.from_state_dicts(runs)
    model = tw.fit(zoo, steps=200, seed=0)
    nets = model.sample(50)
    assert nets.architecture is None and nets.state_dicts()[0]["w"].shape == (3, 4) and nets.state_dicts()[0]["n"] == 3
    assert np.abs(nets.theta.mean(0) - centre).max() < 0.5
    model.save(tmp_path / "model")
    zoo.save(tmp_path / "zoo")
    again, zoo_again = tw.Model.open(tmp_path / "model"), tw.Zoo.open(tmp_path / "zoo")
    assert again.sample(1).state_dicts()[0]["n"] == zoo_again.state_dict(0)["n"] == 3
    nets.save_pretrained(tmp_path / "nets")
    back = tw.Networks.from_pretrained(tmp_path / "nets")
    assert np.array_equal(back.theta, nets.theta) and back.layout == nets.layout
    for call in [lambda: nets.logits(np.zeros((2, 4))), lambda: nets.modules()]:
        with pytest.raises(ValueError, match="architecture"):
            call()
    with pytest.raises(ValueError, match="architecture"):
        tw.judge(nets, zoo)


def test_settings_are_checked_by_name(zoo):
    with pytest.raises(ValueError, match="stepz"):
        tw.fit(zoo, stepz=3)
    with pytest.raises(ValueError, match="steps: expected from 1|steps.*expected"):
        tw.fit(zoo, steps=0)
    with pytest.raises(ValueError, match="cfm, mmfm, jko"):
        tw.fit(zoo, method="magic")
    with pytest.raises(ValueError, match="9|marginals|checkpoints"):
        tw.fit(zoo, method={"mmfm": {"marginals": 9}})
    config = tw.fit(zoo, steps=2, validate_every=1, field={"residual_mlp": {"width": 8}}, time_grid="uniform").config
    assert config["field"]["residual-mlp"]["width"] == 8 and config["validate-every"] == 1


def test_fits_are_resumed_to_the_same_weights(zoo, tmp_path):
    whole = tw.fit(zoo, steps=400, seed=2)
    state = tmp_path / "state.safetensors"

    class Enough(Exception):
        pass

    def watch(what, done, total):
        if what == "fitting" and done > 50:
            raise Enough

    with pytest.raises(Enough):
        tw.fit(zoo, steps=400, seed=2, state=state, progress=watch)
    assert state.exists()
    resumed = tw.fit(zoo, steps=400, seed=2, state=state, resume=True)
    assert not state.exists() and np.array_equal(resumed.sample(4).theta, whole.sample(4).theta)


def test_the_judgement_is_a_table(model, zoo):
    table = tw.judge(model.sample(20), zoo)
    assert table["samples"]["accuracy_mean"] == pytest.approx(table.accuracy.mean())
    assert table.d.shape == (20,) and set(table.nearest_run) <= set(zoo.split()[0])
    assert "held-out" in repr(table) and ">pca-gaussian</td>" in table._repr_html_()
    with pytest.raises(KeyError, match="held-out"):
        table["nothing"]
    few = tw.judge(model.sample(3).theta, zoo, baselines=False)
    assert [row["method"] for row in few.rows] == ["samples", "zoo", "held-out"]
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame.loc["zoo", "accuracy_mean"] == table["zoo"]["accuracy_mean"]


def test_the_judgement_is_plotted(model, zoo):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    table = tw.judge(model.sample(20), zoo)
    axes = table.plot()
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [f"{row['method']} ({row['n']})" for row in table.rows]
    drawn = [line.get_xdata()[0] for line in axes[0].lines if line.get_marker() in "oD"]
    assert drawn == [row["accuracy_mean"] for row in table.rows]
    alone = table.plot("networks", axes=pyplot.subplots()[1])
    points = alone.collections[0].get_offsets()
    assert np.array_equal(np.sort(points[:, 1]), np.sort(table.accuracy)) and alone.get_legend() is not None
    with pytest.raises(ValueError, match="table or networks"):
        table.plot("pie")
    pyplot.close("all")

import pickle

import numpy as np
import pytest
import thalweg as tw


def runs_of(rng, runs=6, checkpoints=3, prefix=""):
    """Checkpoints of a network that nobody knows, with a counter and a mask."""
    def state():
        return {
            f"{prefix}conv.weight": rng.normal(size=(2, 1, 3)).astype("f4"),
            f"{prefix}alpha": rng.normal(size=()).astype("f8"),
            f"{prefix}half": rng.normal(size=4).astype("f2"),
            f"{prefix}norm.num_batches_tracked": np.array(17),
            f"{prefix}mask": np.array([True, False]),
        }

    return [[state() for _ in range(checkpoints)] for _ in range(runs)]


def test_state_dicts_of_any_architecture_come_back_as_they_were(rng, tmp_path):
    runs = runs_of(rng)
    zoo = tw.Zoo.from_state_dicts(runs, out=tmp_path / "zoo", name="mine")
    assert (zoo.runs, zoo.checkpoints, zoo.parameters, zoo.name, zoo.architecture) == (6, 3, 11, "mine", None)
    assert np.array_equal(zoo.times, [0, 0.5, 1])
    for r, k in [(0, 0), (5, 2), (3, 1)]:
        back = zoo.state_dict(r, k)
        assert set(back) == set(runs[r][k])
        for name, value in runs[r][k].items():
            assert np.array_equal(back[name], np.asarray(value, "f4") if value.dtype.kind == "f" else value), name
            assert back[name].shape == value.shape
    assert zoo.layout == [("conv.weight", [2, 1, 3]), ("alpha", []), ("half", [4])]  # the order of the state dicts
    theta = zoo.theta()
    assert theta.shape == (6, 3, 11) and np.array_equal(zoo.theta([2], [-1])[0, 0], theta[2, 2])
    again = tw.Zoo.open(tmp_path / "zoo")
    assert np.array_equal(again.theta(), theta) and again.layout == zoo.layout
    with pytest.raises(FileExistsError, match="exists already"):
        tw.Zoo.from_state_dicts(runs, out=tmp_path / "zoo")
    changed = tw.Zoo.from_state_dicts(runs[:2], out=tmp_path / "zoo", force=True)
    assert changed.runs == 2


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(prefix):
    plain = tw.Zoo.from_state_dicts(runs_of(np.random.default_rng(1)))
    wrapped = tw.Zoo.from_state_dicts(runs_of(np.random.default_rng(1), prefix=prefix))
    assert wrapped.layout == plain.layout and np.array_equal(wrapped.theta(), plain.theta())
    assert set(wrapped.buffers) == {"norm.num_batches_tracked", "mask"}


def test_state_dicts_of_single_networks_are_runs(rng):
    zoo = tw.Zoo.from_state_dicts([run[0] for run in runs_of(rng)])
    assert (zoo.runs, zoo.checkpoints) == (6, 1) and np.array_equal(zoo.times, [1.0])


def test_folders_are_imported(rng, tmp_path):
    zoo = tw.Zoo.from_state_dicts(runs_of(rng))
    for run in range(zoo.runs):
        zoo.networks([run], 0)[0].save_each(tmp_path / f"src/run-{run}/a")
    assert tw.Zoo.from_state_dicts(tmp_path / "src/run-0/a").runs == 1


def test_flat_weights_make_a_zoo_of_a_known_architecture(zoo):
    made = tw.Zoo.from_theta(zoo.theta(), zoo.architecture, data=zoo.data, times=list(zoo.times), initialisation="kaiming-uniform")
    assert np.array_equal(made.theta(), zoo.theta()) and made.architecture == zoo.architecture
    assert np.allclose(made.accuracies, zoo.accuracies, atol=1e-6)
    assert made.losses.shape == (20, 4) and made.accuracies[:, -1].mean() > 0.5
    with pytest.raises(ValueError, match=r"\[runs, checkpoints, 1110\]"):
        tw.Zoo.from_theta(np.zeros((2, 3, 7)), zoo.architecture)


def test_what_is_wrong_is_named_with_the_right_type(rng, tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        tw.Zoo.open(tmp_path / "none")
    with pytest.raises(ValueError, match="zoo.toml"):
        tw.Zoo.open(tmp_path)
    with pytest.raises(ValueError, match="independent, shared, fork, tail"):
        tw.Zoo.train("digits", "digits", kind="forked")
    with pytest.raises(ValueError, match="cnn-s, cnn-m"):
        tw.Zoo.train("resnet", "digits")
    with pytest.raises(ValueError, match="bacth"):
        tw.Zoo.train("digits", "digits", bacth=3)
    with pytest.raises(ValueError, match="at least one run"):
        tw.Zoo.from_state_dicts([])
    with pytest.raises(TypeError, match="state dict"):
        tw.Zoo.from_state_dicts([[np.zeros(3)]])
    uneven = runs_of(rng)
    uneven[2] = uneven[2][:2]
    with pytest.raises(ValueError, match="3 checkpoints"):
        tw.Zoo.from_state_dicts(uneven)
    other = runs_of(rng)
    other[1][1]["alpha"] = np.zeros(3, "f4")
    with pytest.raises(ValueError, match="alpha"):
        tw.Zoo.from_state_dicts(other)
    nan = runs_of(rng)
    nan[0][2]["half"][1] = np.nan
    with pytest.raises(ValueError, match="half.*finite"):
        tw.Zoo.from_state_dicts(nan)
    assert not (tmp_path / "x").exists()


def test_errors_and_notes_name_what_was_given_and_no_temporary_file(rng, caplog):
    def wrong(runs, match, kind=ValueError, **options):
        with pytest.raises(kind, match=match) as said:
            tw.Zoo.from_state_dicts(runs, **options)
        assert "/tmp" not in str(said.value) and "step-" not in str(said.value)

    nan, other = runs_of(rng), runs_of(rng)
    nan[4][2]["half"][1] = np.nan
    wrong(nan, r"runs\[4\]\[2\].*half.*finite")
    other[1][1]["alpha"] = np.zeros(3, "f4")
    wrong(other, r"runs\[1\]\[1\].*alpha")
    wrong([runs_of(rng)[0], []], r"runs\[1\]: expected at least one checkpoint")
    wrong(runs_of(rng)[0][0], "list of runs", TypeError)
    wrong([3], r"runs\[0\]: expected a state dict", TypeError)
    wrong([{"state_dict": runs_of(rng)[0][0], "epoch": 3}], "under 'state_dict'")
    wrong([{}], "tensor of floats")
    with caplog.at_level("INFO", logger="thalweg"):
        generated = tw.Zoo.from_state_dicts((state for state in run) for run in runs_of(rng))
    assert generated.runs == 6 and any("runs[0][2]" in message for message in caplog.messages)
    assert not any("/tmp" in message for message in caplog.messages)


def test_objects_say_how_they_are_kept(zoo, model):
    det = tw.shift.Detector(lambda x: x)
    for one, way in [(zoo, "Zoo.open"), (model, "Model.open"), (model.sample(2), "Networks.open"), (det, "Detector.open")]:
        with pytest.raises(TypeError, match=way):
            pickle.dumps(one)
        assert repr(one).startswith("<")


def test_temporary_zoos_go_with_their_object():
    zoo = tw.Zoo.from_state_dicts(runs_of(np.random.default_rng(2)))
    path = zoo.path
    assert path.exists()
    del zoo
    assert not path.exists()


def test_progress_and_notes(caplog):
    seen = []
    with caplog.at_level("INFO", logger="thalweg"):
        tw.Zoo.train("digits", "digits", runs=4, steps=60, progress=lambda *stage: seen.append(stage))
    assert ("training runs", 4, 4) in seen
    runs = runs_of(np.random.default_rng(1))
    runs[3] = [{f"net.{name}": value for name, value in state.items()} for state in runs[3]]
    with caplog.at_level("INFO", logger="thalweg"):
        tw.Zoo.from_state_dicts([run[:1] for run in runs])
    assert any("names without" in message for message in caplog.messages)

    def stop(*_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tw.Zoo.train("digits", "digits", runs=400, progress=stop)
    assert tw.Zoo.train("digits", "digits", runs=2, steps=20).runs == 2  # and work goes on afterwards

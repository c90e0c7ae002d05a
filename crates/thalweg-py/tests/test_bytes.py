"""The same bytes as the program, for the same seed and settings."""
import filecmp
import json

import numpy as np
import pytest
import thalweg as tw
from conftest import FLAGS, ZOO
from thalweg import _core
from thalweg._states import packed, unpacked


@pytest.fixture(scope="module")
def made(program, tmp_path_factory):
    """A zoo, a model, samples and a tuned model by the program."""
    dir = tmp_path_factory.mktemp("program")
    program("zoo", "train", *FLAGS, "--out", dir / "zoo", "-q")
    program("fit", dir / "zoo", "--steps", "150", "--seed", "5", "--out", dir / "model", "-q")
    program("sample", dir / "model", "-n", "40", "--seed", "9", "--at", "0,0.5", "--out", dir / "s.safetensors", "-q")
    program("sample", dir / "model", "-n", "3", "--seed", "9", "--format", "per-network", "--out", dir / "each", "-q")
    return dir


def same(a, b, names):
    assert names
    different = [name for name in names if not filecmp.cmp(a / name, b / name, shallow=False)]
    assert not different


def test_zoo_and_what_follows_from_it(made, tmp_path):
    zoo = tw.Zoo.train("digits", "digits", out=tmp_path / "zoo", **ZOO)
    shards = [path.name for path in zoo.path.glob("*.safetensors")]
    assert len(shards) == 2  # a shard and the centre
    same(made / "zoo", zoo.path, ["zoo.toml", *shards])
    model = tw.fit(zoo, steps=150, seed=5)
    model.save(tmp_path / "model")
    same(made / "model", tmp_path / "model", ["model.toml", "model.safetensors", "README.md"])
    nets = model.sample(40, seed=9, at=[0, 0.5])
    nets.save(tmp_path / "s.safetensors")
    same(made, tmp_path, ["s.safetensors"])
    model.sample(3, seed=9).save_each(tmp_path / "each")
    same(made / "each", tmp_path / "each", [f"network-{i:05}.safetensors" for i in range(3)])


def test_lengths_that_are_not_said(program, tmp_path):
    program("zoo", "train", "--arch", "mlp", "--widths", "4", "--data", "digits", "--train-rows", "40", "--runs", "2", "--kind", "tail",
            "--optimiser", "sgd", "--learning-rate", "0.05", "--out", tmp_path / "a", "-q")
    tw.Zoo.train("mlp", "digits", widths=[4], train_rows=40, runs=2, kind="tail", optimiser="sgd", learning_rate=0.05, out=tmp_path / "b")
    same(tmp_path / "a", tmp_path / "b", ["zoo.toml", "shard-00000.safetensors"])


def test_latent_spaces_and_other_methods(made, program, tmp_path):
    program("fit", made / "zoo", "--method", "mmfm", "--steps", "60", "--set", "method.mmfm.marginals=2", "--set", "latent.vae.dimension=6",
            "--set", "latent.vae.training.steps=80", "--set", "optimiser.learning-rate=0.003", "--out", tmp_path / "a", "-q")
    model = tw.fit(tw.Zoo.open(made / "zoo"), method={"mmfm": {"marginals": 2}}, latent=tw.latent.VAE(6, training={"steps": 80}), steps=60,
                   optimiser={"learning_rate": 0.003})
    model.save(tmp_path / "b")
    same(tmp_path / "a", tmp_path / "b", ["model.toml", "model.safetensors"])


def test_tunings_towards_data(made, program, tmp_path):
    program("tune", made / "model", "--reward", "loss:digits", "--iterations", "4", "--strength", "100", "--samples", "2", "--rows", "64",
            "--set", "trajectories=4", "--seed", "2", "--out", tmp_path / "a", "-q")
    tuned = tw.Model.open(made / "model").tune("loss:digits", 4, strength=100, rows=64, trajectories=4, seed=2)
    tuned.save(tmp_path / "b")
    same(tmp_path / "a", tmp_path / "b", ["model.toml", "model.safetensors"])


def test_files_of_the_program_are_read_and_the_judgement_is_its_own(made, program):
    zoo, nets = tw.Zoo.open(made / "zoo"), tw.Networks.open(made / "s.safetensors")
    assert len(nets) == 40 and nets.architecture == zoo.architecture
    each = tw.Networks.open(made / "each", zoo.architecture)
    assert np.array_equal(each.theta, nets.theta[:3])
    told = json.loads(program("eval", made / "s.safetensors", "--zoo", made / "zoo", "--json", "--seed", "4"))["rows"]
    rows = {row["method"]: row for row in told}
    table = tw.judge(nets, zoo, seed=4)
    assert {row["method"] for row in table.rows} == set(rows) and len(rows) > 9
    for row in table.rows:
        for key in ["accuracy_mean", "accuracy_sem", "loss_mean", "novelty_l2", "novelty_iou", "novel_and_performing", "diversity_l2"]:
            assert row[key] == rows[row["method"]][key] or row[key] == pytest.approx(rows[row["method"]][key], rel=1e-12), (row["method"], key)


def test_shift(program, tmp_path, digits):
    program("zoo", "train", *FLAGS, "--set", "kind.fork.steps=20", "--out", tmp_path / "zoo", "-q")
    net = tw.Zoo.open(tmp_path / "zoo").networks([0])
    net.save_each(tmp_path / "net")
    (tmp_path / "arch.toml").write_text('name = "digits"\n' + _toml(net.architecture.to_dict()))
    program("shift", "calibrate", "--classifier", tmp_path / "net/network-00000.safetensors", "--arch", tmp_path / "arch.toml", "--reference", "digits",
            "--size", "12", "--null", "99", "--set", "bank.size=20", "--out", tmp_path / "a.cal", "-q")
    det = tw.shift.Detector.calibrate((net.architecture, net.theta[0]), "digits", size=12, null=99, settings={"bank": {"size": 20}})
    det.save(tmp_path / "b.cal")
    assert (tmp_path / "a.cal").read_bytes() == (tmp_path / "b.cal").read_bytes()
    logits = net.logits(digits.test.x)[0]
    for name, rows in [("held.csv", logits[:300]), ("q.csv", logits[300:315])]:
        np.savetxt(tmp_path / name, rows, delimiter=",", fmt="%.9g")
    program("shift", "calibrate", "--logits", tmp_path / "held.csv", "--null", "99", "--out", tmp_path / "l.cal", "-q")
    said = json.loads(program("shift", "test", tmp_path / "l.cal", "--query-logits", tmp_path / "q.csv", "--json", codes=(0, 1, 3)))
    by_hand = tw.shift.Detector.calibrate(lambda x: x, logits[:300], null=99).test(logits[300:315])
    evidence = {row["method"]: row["combined_p_value"] for row in said["rows"]}
    assert evidence and evidence == {e["method"]: e["p_value"] for e in by_hand.evidence}


def _toml(architecture):
    lines = [f"input = {architecture['input']}"]
    for layer in architecture["layers"]:
        lines.append("[[layers]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in layer.items() if value is not None]
    return "\n".join(lines) + "\n"


def test_files_of_an_imported_zoo(program, tmp_path):
    """Types and counters of a user's files come back through both doors alike; counters that the user replaces are the user's."""
    rng = np.random.default_rng(3)
    for i in range(4):
        (tmp_path / "runs" / f"run-{i}").mkdir(parents=True)
        tensors = {"fc.weight": rng.normal(size=(3, 4)).astype(np.float16), "fc.seen": np.array(7, np.int64)}
        _core.write_tensors(str(tmp_path / "runs" / f"run-{i}" / "model.safetensors"), packed(tensors))
    program("zoo", "import", tmp_path / "runs", "--out", tmp_path / "zoo", "-q")
    program("fit", tmp_path / "zoo", "--steps", "20", "--seed", "5", "--out", tmp_path / "model", "-q")
    program("sample", tmp_path / "model", "-n", "2", "--seed", "9", "--format", "per-network", "--out", tmp_path / "each", "-q")
    nets = tw.Model.open(tmp_path / "model").sample(2, seed=9)
    nets.save_each(tmp_path / "mine")
    names = [f"network-{i:05}.safetensors" for i in range(2)]
    same(tmp_path / "each", tmp_path / "mine", names)
    written = unpacked(_core.read_tensors(str(tmp_path / "mine" / names[0])))
    assert written["fc.weight"].dtype == np.float16 and written["fc.seen"] == 7
    nets.buffers["fc.seen"] = np.array(100, np.int64)
    nets.save_each(tmp_path / "own")
    assert unpacked(_core.read_tensors(str(tmp_path / "own" / names[1])))["fc.seen"] == 100

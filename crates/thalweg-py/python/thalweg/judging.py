"""Judgement of networks beside their zoo and the trivial baselines."""
from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arrays import as_rows, floats, labels
from ._progress import Progress, observer
from ._settings import plain
from ._states import flat, size
from .data import of_zoo, rows_of
from .networks import Networks

if TYPE_CHECKING:
    from .zoo import Zoo

#: Columns of the table as it is shown: key, heading, digits.
COLUMNS = [
    ("method", "method", None),
    ("accuracy_mean", "accuracy", 4),
    ("accuracy_sem", "±", 4),
    ("accuracy_best", "best", 4),
    ("novelty_weights", "d_w", 2),
    ("novelty_behaviour", "d_f", 2),
    ("novel_and_performing", "N&P", 2),
    ("copying_weights", "copying w", 1),
    ("copying_behaviour", "copying f", 1),
    ("spread_weights", "spread w", 2),
    ("spread_behaviour", "spread f", 2),
    ("novelty_iou", "overlap", 2),
    ("ensemble_gain", "gain of 16", 4),
    ("n", "n", 0),
]


def judge(
    nets: Networks | Any,
    zoo: Zoo,
    *,
    data: str | Mapping[str, Any] | tuple[Any, Any] | None = None,
    probe: Any = None,
    baselines: bool = True,
    split: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = None,
) -> Judgement:
    """Judges networks: accuracy, novelty and diversity, beside the zoo, held-out runs and the trivial baselines, as ``thalweg eval --zoo``.

    Networks that are bound to a module of PyTorch (``nets.on(module)``) are evaluated by it, with the zoo's own and the baselines' the same; others by
    Thalweg's engine, where the zoo knows its architecture. Distances in weights are taken after alignment of hidden units where the architecture is
    known, as they are otherwise.

    Parameters
    ----------
    nets : Networks or array_like
        The networks, or their weights ``[n, P]``.
    zoo : Zoo
        The zoo that they come from.
    data : str, dict, or (inputs, labels), optional
        Test rows that nothing was trained or chosen on: arrays, tensors, a ``TensorDataset``, or data by name, seen as the zoo's networks expect. Those
        that the zoo knows if not given.
    probe : array_like, optional
        Unlabelled inputs, training rows best, for the baselines of noise that networks hardly feel; beside `data` by arrays these are left out without
        it.
    baselines : bool
        Whether the trivial baselines are judged as well.
    split : dict, optional
        How the generator split the zoo's runs (`validation`, `test`, `seed`); what the networks say of it if not given.
    seed : int
        Of the baselines.
    progress : bool or callable, optional
        True for a bar, or a function ``(what, done, total)``.

    Returns
    -------
    Judgement

    Raises
    ------
    ValueError
        Networks of another shape than the zoo's, or an architecture or data that nobody knows.

    Examples
    --------
    >>> tw.judge(nets.on(MyNet()), zoo, data=(x_test, y_test), probe=x_train[:4608])   # doctest: +SKIP
    """
    if not hasattr(zoo, "_core") or not hasattr(zoo, "finished_runs"):
        raise TypeError(f"zoo: expected a Zoo, found {type(zoo).__name__}")
    module = None
    if isinstance(nets, Networks):
        theta, split = _theta(nets, zoo), nets.split if split is None else split
        module = nets._module if nets.architecture is None else None
    else:
        theta = floats("nets", nets, zoo.parameters)
    split = plain(split or {})
    if zoo.architecture is None and module is None:
        raise ValueError("nets: expected networks bound to what evaluates them, nets.on(module), as the zoo does not know its architecture")
    if data is None and zoo.data is None:
        raise ValueError("data: expected data to judge on, a name or (inputs, labels), as the zoo does not know its own; found none")
    named = data is None or isinstance(data, (str, Mapping))
    if named and probe is not None:
        raise ValueError("probe: expected none beside data by name, whose training rows serve")
    with observer(progress) as watching:
        if module is None:
            given = None if named else _flat(rows_of("data", data), probe, size(zoo.architecture.input))
            data = plain(data) if named else None
            rows, each = _core.judge(zoo._core, theta, split, data, given, baselines, seed, watching)
        else:
            evaluation, y = _evaluation(module, zoo, data if named else rows_of("data", data), probe, watching)
            rows, each = _core.judge_by(zoo._core, theta, split, evaluation, y, baselines, seed, watching)
    each["nearest_run"] = zoo._core.split(split)[0][each["nearest_run"]]
    return Judgement(rows, each)


def _theta(nets, zoo):
    """Weights in the order of the zoo's layout."""
    own = [(name, list(shape)) for name, shape in zoo.layout]
    if nets.layout == own:
        return nets.theta
    return np.stack([flat(state, own, {*zoo.tied, *zoo.buffers, *nets.tied}) for state in nets])


def _flat(rows, probe, wide):
    """Test inputs, labels and probe inputs as the engine takes them."""
    x, y = rows
    probe = np.zeros((0, wide), np.float32) if probe is None else floats("probe", probe, wide)
    return floats("data", x, wide), labels(y), probe


#: Probe inputs of data by name, as for the engine.
PROBE = 512


def _evaluation(module, zoo, data, probe, watching):
    """What evaluates networks by a module, and the labels of its test inputs."""
    from ._torch import Evaluation

    if isinstance(data, tuple):
        x, y = data
    else:
        named = of_zoo(zoo, data, watching)
        (x, y), probe = (named.test.x, named.test.y), named.train.x[:PROBE]
    module = module.of(zoo)
    x, y, probe = as_rows(x), labels(y), None if probe is None else as_rows(probe)
    classes = module.logits(zoo.theta([zoo.finished_runs[0]], [-1])[0], x[:1], 1).shape[-1]
    if y.max() >= classes:
        raise ValueError(f"labels: expected classes below {classes}, as the module has logits, found {y.max()}")
    return Evaluation(module, x, probe, classes, BATCH), y


#: Networks that go through a module at a time.
BATCH = 16


class Judgement:
    """A table: a row for the networks, the zoo, held-out runs and each baseline.

    Shown as text, as HTML in notebooks, as a data frame by :meth:`to_pandas`, as a figure by :meth:`plot`.

    Attributes
    ----------
    rows : list of dict
        All numbers, as the program's ``results.json`` has them; None where a sample cannot give one.
    accuracy, loss, d_w, d_f, novel_and_performing, overlap, d, nearest_run : numpy.ndarray
        Those of each network, ``[n]``: test accuracy and cross-entropy; distance in weights to the nearest training run after alignment to it, and
        share of test rows answered differently from the most similar run, both over the zoo's own (1: as far as a new run); whether it reaches the
        zoo's 5 % quantile in accuracy, d_w and d_f; overlap of errors with the most similar training run; distance in weights as they are, and
        which run is nearest by it.
    """

    def __init__(self, rows, each):
        self.rows = rows
        self.accuracy, self.loss, self.d = each["accuracy"], each["loss"], each["d"]
        self.d_w, self.d_f, self.novel_and_performing = each["d_w"], each["d_f"], each["novel_and_performing"]
        self.overlap, self.nearest_run = each["overlap"], each["nearest_run"]

    def __getitem__(self, method: str) -> dict[str, Any]:
        """The row of ``"samples"``, ``"zoo"``, ``"held-out"``, ``"mean"``, ..."""
        for row in self.rows:
            if row["method"] == method:
                return row
        raise KeyError(f"{method}: expected one of {', '.join(row['method'] for row in self.rows)}")

    def _cells(self):
        def cell(value, digits):
            if value is None:
                return "–"
            return str(value) if digits is None else f"{value:.{digits}f}"

        return [[cell(row[key], digits) for key, _, digits in COLUMNS] for row in self.rows]

    def __repr__(self):
        table = [[heading for _, heading, _ in COLUMNS], *self._cells()]
        wide = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
        lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, wide))) for line in table]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(heading)}</th>" for _, heading, _ in COLUMNS)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in line) + "</tr>" for line in self._cells())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_pandas(self) -> Any:
        """The table as a data frame of pandas, the method its index."""
        import pandas

        return pandas.DataFrame(self.rows).set_index("method").astype(float, errors="ignore")

    def plot(self, axes: Any = None) -> Any:
        """Accuracy against distance in behaviour of each network, with the zoo's mean accuracy, as a figure of matplotlib. Returns its axes."""
        from matplotlib import pyplot

        axes = pyplot.subplots()[1] if axes is None else axes
        axes.scatter(self.d_f, self.accuracy, s=12, label="samples")
        axes.axhline(self["zoo"]["accuracy_mean"], color="grey", lw=1, label="zoo")
        axes.axvline(1.0, color="grey", lw=1, ls=":")
        axes.set_xlabel("answers unlike those of the most similar training run (1: as a new run)")
        axes.set_ylabel("test accuracy")
        axes.legend()
        return axes

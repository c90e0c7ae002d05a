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

#: Columns of the table as it is shown: key, heading, digits, meaning.
COLUMNS = [
    ("method", "method", None, "what made the networks"),
    ("accuracy_mean", "accuracy", 4, "mean test accuracy"),
    ("accuracy_sem", "±", 4, "standard error of the mean accuracy"),
    ("accuracy_best", "best", 4, "highest test accuracy"),
    ("novelty_weights", "d_w", 2, "distance in weights to the nearest training run after alignment; 1: as far as a new run"),
    ("novelty_behaviour", "d_f", 2, "test rows answered unlike the most similar training run; 1: as many as a new run"),
    ("novel_and_performing", "N&P", 2, "share that reaches the zoo's 5 % quantile in accuracy, d_w and d_f"),
    ("copying_weights", "copying w", 1, "below about -3: nearer to training runs in weights than held-out runs are"),
    ("copying_behaviour", "copying f", 1, "the same by answers"),
    ("spread_weights", "spread w", 2, "distance in weights from one another, over the zoo's own"),
    ("spread_behaviour", "spread f", 2, "the same by answers"),
    ("novelty_iou", "overlap", 2, "overlap of errors with the most similar training run"),
    ("ensemble_gain", "gain of 16", 4, "accuracy of sixteen together over their mean"),
    ("n", "n", 0, "networks"),
]

#: What the others are held against: no baseline is among these rows.
OWN = ("samples", "zoo", "held-out")


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


def _evaluation(module, zoo, data, probe, watching):
    """What evaluates networks by a module, and the labels of its test inputs."""
    from ._torch import Evaluation

    if isinstance(data, tuple):
        x, y = data
    else:
        named = of_zoo(zoo, data, watching)
        (x, y), probe = (named.test.x, named.test.y), named.train.x[:_core.PROBES]
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

        return [[cell(row[key], digits) for key, _, digits, _ in COLUMNS] for row in self.rows]

    def __repr__(self):
        table = [[heading for _, heading, _, _ in COLUMNS], *self._cells()]
        wide = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
        lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, wide))) for line in table]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cell = "padding: 2px 8px; border: 0; white-space: nowrap; font-variant-numeric: tabular-nums; text-align: "
        aligned = ["left", *["right"] * (len(COLUMNS) - 1)]
        head = "".join(
            f'<th style="{cell}{align}; border-bottom: 1px solid currentColor" title="{html.escape(meaning)}">{html.escape(heading)}</th>'
            for (_, heading, _, meaning), align in zip(COLUMNS, aligned)
        )
        body, last = [], max((i for i, row in enumerate(self.rows) if row["method"] in OWN), default=-1)
        for i, (row, line) in enumerate(zip(self.rows, self._cells())):
            style = "background: transparent" + ("; font-weight: 600" if row["method"] == "samples" else "")
            below = "; border-bottom: 1px solid currentColor" if i == last and i + 1 < len(self.rows) else ""
            cells = "".join(f'<td style="{cell}{align}{below}">{html.escape(c)}</td>' for c, align in zip(line, aligned))
            body.append(f'<tr style="{style}">{cells}</tr>')
        return (
            '<div style="overflow-x: auto"><table style="border-collapse: collapse; font-size: 90%; color: inherit">'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        )

    def to_pandas(self) -> Any:
        """The table as a data frame of pandas, the method its index."""
        import pandas

        return pandas.DataFrame(self.rows).set_index("method").astype(float, errors="ignore")

    def plot(self, kind: str = "table", axes: Any = None) -> Any:
        """A figure of matplotlib.

        Parameters
        ----------
        kind : {"table", "networks"}
            ``"table"``: every row of the table beside the others, in accuracy (± one standard error, and the best network as a tick), in distance in
            weights and in behaviour (1: as far as a new run), and in the share that is novel and performs (± one standard error); the zoo's own mean
            is the line. ``"networks"``: accuracy against distance in behaviour of every network, beside the zoo and the baselines.
        axes : optional
            One of matplotlib's axes for ``"networks"``, four for ``"table"``; new ones if not given.

        Returns
        -------
        The axes.
        """
        if kind == "table":
            return self._plot_table(axes)
        if kind == "networks":
            return self._plot_networks(axes)
        raise ValueError(f"kind: expected table or networks, found {kind!r}")

    def _plot_table(self, axes):
        from matplotlib import pyplot

        rows = self.rows
        if axes is None:
            size = (10.5, 0.9 + 0.27 * len(rows))
            axes = pyplot.subplots(1, 4, sharey=True, figsize=size, layout="constrained", width_ratios=[1.5, 1, 1, 1])[1]
        ink, places = pyplot.rcParams["text.color"], range(len(rows))
        colours = ["C0" if row["method"] == "samples" else ink for row in rows]

        def share_error(row):
            share, n = row["novel_and_performing"], row["n"]
            return None if share is None else (share * (1 - share) / n) ** 0.5

        columns = [
            ("test accuracy", "accuracy_mean", lambda row: row["accuracy_sem"]),
            ("weights, $d_w$", "novelty_weights", None),
            ("behaviour, $d_f$", "novelty_behaviour", None),
            ("novel and performing", "novel_and_performing", share_error),
        ]
        for ax, (label, key, error) in zip(axes, columns):
            usual = 1.0 if key.startswith("novelty") else next((row[key] for row in rows if row["method"] == "zoo"), None)
            if usual is not None:
                ax.axvline(usual, color=ink, alpha=0.4, lw=1, zorder=1)
            for place, row, colour in zip(places, rows, colours):
                if row[key] is None:
                    continue
                own = row["method"] in OWN
                spread = error(row) if error else None
                ax.errorbar(row[key], place, xerr=spread, fmt="o" if own else "D", ms=6 if own else 4, color=colour, mfc=colour if own else "none", lw=1.2)
                if key == "accuracy_mean" and row["accuracy_best"] is not None and row["n"] > 1:
                    ax.plot(row["accuracy_best"], place, "|", color=colour, ms=8)
            ax.set_xlabel(label)
            ax.grid(axis="y", alpha=0.15)
            ax.spines[["top", "right", "left"]].set_visible(False)
            ax.tick_params(left=False)
        axes[3].set_xlim(-0.04, 1.04)
        axes[0].set_yticks(places, [f"{row['method']} ({row['n']})" for row in rows])
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        return axes

    def _plot_networks(self, axes):
        from matplotlib import pyplot

        axes = pyplot.subplots(figsize=(7, 5), layout="constrained")[1] if axes is None else axes
        ink = pyplot.rcParams["text.color"]
        axes.scatter(self.d_f, self.accuracy, s=14, alpha=0.45, color="C0", lw=0, label=f"samples, each of {len(self.d_f)}", zorder=3)
        known = [row for row in self.rows if row["novelty_behaviour"] is not None and row["accuracy_mean"] is not None]
        means = dict(samples=("o", "C0", "samples, mean ± standard error"), zoo=("s", ink, "zoo"))
        means["held-out"] = ("^", ink, "held-out runs")
        for row in known:
            shape, colour, label = means.get(row["method"], ("x", "C1", None))
            label = label or ("baselines" if row is next(r for r in known if r["method"] not in means) else None)
            axes.errorbar(row["novelty_behaviour"], row["accuracy_mean"], row["accuracy_sem"], fmt=shape, color=colour, ms=6, lw=1.2, label=label, zorder=4)
        floor = next((row.get("accuracy_floor") for row in self.rows if row["method"] == "zoo"), None)
        if floor is not None:
            axes.axhline(floor, color=ink, alpha=0.4, lw=1, ls=":", label="zoo's 5 % quantile")
        axes.axvline(1.0, color=ink, alpha=0.4, lw=1, ls="--", label="as a new run")
        axes.set_xlabel("answers unlike those of the most similar training run, $d_f$ (1: as of a new run)")
        axes.set_ylabel("test accuracy")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
        return axes

"""Zoos: many training runs of one network, in a folder."""
from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from ._progress import Progress, observer
from ._settings import plain, renamed
from ._states import arrays, is_bytes, is_state, layout_of, packed, read_buffers, size, unpacked, views, whole
from .networks import Networks


class Zoo:
    """Training runs of one network, each with its checkpoints: θ ``[runs, checkpoints, P]`` in a folder.

    Made by :meth:`train`, :meth:`from_state_dicts`, :meth:`from_theta` or :meth:`open`. The folder is the same as the program `thalweg zoo` makes.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    runs, checkpoints, parameters : int
        R, K and P.
    times : numpy.ndarray
        When checkpoints were taken, ``[K]``, as shares of a run.
    finished_runs : numpy.ndarray
        The runs that have not failed.
    losses, accuracies : numpy.ndarray or None
        On validation rows, ``[R, K]``, where they are known.
    architecture : Architecture or None
        What the networks are, where it is known.
    layout : list of (str, list of int)
        Names and shapes of the tensors in the order in which they lie in θ.
    data : dict or None
        What the networks were trained on, where it is known.
    buffers : dict
        Tensors of the state dicts that θ does not hold: counters, masks and frozen tensors, of the base or of the last checkpoint of the first run.
    tied : dict
        Other names of tensors of θ, with those that they have there: tied weights are one parameter.
    """

    def __init__(self, core, temporary=None, buffers=None):
        self._core = core
        # Removes the folder with the last reference to the zoo.
        self._temporary = temporary
        self._template = core.template
        self.buffers = {**unpacked(self._template.kept), **(buffers or {})}
        self.tied = dict(self._template.tied)

    path = property(lambda self: Path(self._core.path))
    name = property(lambda self: self._core.name)
    kind = property(lambda self: self._core.kind)
    runs = property(lambda self: self._core.runs)
    checkpoints = property(lambda self: self._core.checkpoints)
    parameters = property(lambda self: self._core.parameters)
    times = property(lambda self: self._core.times)
    finished_runs = property(lambda self: self._core.finished_runs)
    losses = property(lambda self: self._core.losses)
    accuracies = property(lambda self: self._core.accuracies)
    architecture = property(lambda self: self._core.architecture)
    layout = property(lambda self: self._core.layout)
    data = property(lambda self: self._core.data)

    @classmethod
    def open(cls, path: str | os.PathLike[str], progress: Progress = None) -> Zoo:
        """Opens the folder of a zoo and checks every file in it.

        Parameters
        ----------
        path : path-like
            The folder.
        progress : bool or callable, optional
            True for a bar, or a function ``(what, done, total)``.

        Raises
        ------
        FileNotFoundError
            No such folder.
        ValueError
            A file that is not as it should be, named with what was expected and what was found.
        """
        with observer(progress) as watching:
            return cls(_core.Zoo.open(os.fspath(path), watching), buffers=read_buffers(path))

    @classmethod
    def train(
        cls,
        architecture: str | os.PathLike[str] | Mapping[str, Any] | _core.Architecture,
        data: str | Mapping[str, Any],
        *,
        kind: str | Mapping[str, Any] = "independent",
        runs: int = 100,
        out: str | os.PathLike[str] | None = None,
        seed: int = 0,
        widths: Sequence[int] = (),
        train_rows: int | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        optimiser: str | Mapping[str, Any] | None = None,
        checkpoints: int | Sequence[float] | None = None,
        resume: bool = False,
        force: bool = False,
        progress: Progress = None,
        **settings: Any,
    ) -> Zoo:
        """Trains many networks and records their checkpoints: the same bytes as ``thalweg zoo train`` makes of the same settings.

        Parameters
        ----------
        architecture : str, path-like, dict or Architecture
            A preset (``"cnn-s"``, ``"cnn-m"``, ``"mlp"`` with `widths`, ``"digits"``), a TOML file, or a whole architecture.
        data : str or dict
            ``"digits"``, ``"mnist"``, ``"npz:/my.npz"``, ... as the program takes it, or all fields of a data specification.
        kind : str or dict
            How runs are related: ``"independent"``, ``"shared"``, ``"fork"``, ``"tail"``; ``{"fork": {"noise": 0.1, "steps": 200}}``.
        runs : int
            Number of runs.
        out : path-like, optional
            The folder; a temporary one, removed with the object, if not given.
        seed : int
            Of all randomness.
        train_rows : int, optional
            Use only so many training rows.
        epochs, steps, batch, learning_rate, optimiser, checkpoints : optional
            The recipe. Without a length a run has four epochs and at least 1,000 steps.
        resume, force : bool
            Go on with an interrupted zoo in `out`, or replace one.
        progress : bool or callable, optional
            True for a bar, or a function ``(what, done, total)``.
        **settings
            Other fields: `name`, `recipe` (a dict with all fields of the recipe), `initialisation`, `centre`, `shard`.

        Returns
        -------
        Zoo

        Raises
        ------
        ValueError
            Settings out of range or that do not fit the data.
        FileExistsError
            A zoo in `out` without `resume` or `force`.
        KeyboardInterrupt
            Ctrl-C; what is finished in `out` is kept for `resume`.
        """
        arguments = dict(settings)
        arguments.update(dict(
            kind=kind, runs=runs, seed=seed, train_rows=train_rows, epochs=epochs, steps=steps, batch=batch,
            learning_rate=learning_rate, optimiser=optimiser, checkpoints=checkpoints,
        ))
        arguments = {name: renamed(plain(value), "_", "-") for name, value in arguments.items() if value is not None}
        folder, temporary = _folder(out)
        given = architecture if isinstance(architecture, (_core.Architecture, str)) else _architecture(architecture)
        with observer(progress) as watching:
            core = _core.Zoo.train(given, list(widths), plain(data), arguments, folder, resume, force, watching)
        return cls(core, temporary)

    @classmethod
    def from_state_dicts(
        cls,
        runs: str | os.PathLike[str] | Sequence[Sequence[Mapping[str, Any]]] | Sequence[Mapping[str, Any]],
        *,
        architecture: _core.Architecture | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        data: str | Mapping[str, Any] | None = None,
        times: Sequence[float] | None = None,
        name: str = "",
        initialisation: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        base: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        out: str | os.PathLike[str] | None = None,
        force: bool = False,
        progress: Progress = None,
    ) -> Zoo:
        """Makes a zoo of one's own checkpoints, of any architecture.

        Parameters
        ----------
        runs : iterable of iterables of dicts, iterable of dicts, or path-like
            For every run its checkpoints in order of time, each a state dict of NumPy arrays or torch tensors, or a module; a list of state dicts is a list of
            runs of one checkpoint each. Or a folder of safetensors files (see ``thalweg zoo import --help`` for what it may hold). Prefixes of
            DataParallel and ``torch.compile`` are taken off. Running statistics are part of θ; counters and masks are carried along in `buffers`.
        architecture : Architecture, dict or path-like, optional
            What the networks are: samples can then be evaluated by the engine. Without one the zoo has a layout only.
        data : str or dict, optional
            What the networks are for; with the architecture every checkpoint is scored.
        times : list of float, optional
            When checkpoints were taken, from 0 to 1 (``[1.0]`` for finals only); equally spaced if not given.
        initialisation : str, optional
            The law that the runs started from (``"kaiming-uniform"``), where it is known.
        include, exclude : list of str, optional
            Patterns over the names of tensors (``"layer4.*"``, ``"*.bn*"``): only those of `include` and none of `exclude` are modelled, the others are
            frozen, and in every state dict that is made of the zoo as they are in `base`.
        base : dict or path-like, optional
            A whole state dict, or a file of one: state dicts of `runs` need not hold what is frozen. Without it that is the last checkpoint of the
            first run, and what is frozen has to be the same in all state dicts.
        out : path-like, optional
            The folder; a temporary one, removed with the object, if not given.

        Returns
        -------
        Zoo

        Examples
        --------
        >>> import numpy as np, thalweg as tw
        >>> rng = np.random.default_rng(0)
        >>> runs = [[{"w": rng.normal(size=(2, 3)).astype("f4")} for _ in range(4)] for _ in range(5)]
        >>> zoo = tw.Zoo.from_state_dicts(runs)
        >>> zoo.runs, zoo.checkpoints, zoo.parameters
        (5, 4, 6)
        """
        options = dict(architecture=architecture, data=data, times=times, name=name, initialisation=initialisation,
                       include=_patterns(include), exclude=_patterns(exclude), out=out, force=force, progress=progress)
        if isinstance(base, Mapping):
            with tempfile.TemporaryDirectory(prefix="thalweg-") as folder:
                file = os.path.join(folder, "base.safetensors")
                _core.write_tensors(file, packed(base))
                return cls.from_state_dicts(runs, base=file, **options)
        options["base"] = None if base is None else os.fspath(base)
        if isinstance(runs, (str, os.PathLike)):
            return cls._imported(os.fspath(runs), **options)
        runs = _listed(runs)
        with tempfile.TemporaryDirectory(prefix="thalweg-") as source:
            for i, run in enumerate(runs):
                folder = Path(source) / f"run-{i:06}"
                folder.mkdir()
                for k, state in enumerate(run):
                    with _called(f"runs[{i}][{k}]: "):
                        _core.write_tensors(os.fspath(folder / f"step-{k:06}.safetensors"), packed(state))
            # Bytes are no weights that could be modelled: they are kept.
            options["exclude"] += [glob.escape(name) for name, value in arrays(runs[0][-1]).items() if is_bytes(value)]
            layout = layout_of(runs[0][0])
            if not layout:
                raise ValueError("runs[0][0]: expected at least one tensor of floats, found none")
            return cls._imported(source, layout=layout, **options)

    @classmethod
    def from_theta(cls, theta: Any, layout: Sequence[tuple[str, Sequence[int]]] | _core.Architecture, **options: Any) -> Zoo:
        """Makes a zoo of flat weights.

        Parameters
        ----------
        theta : array_like
            ``[runs, checkpoints, P]``.
        layout : list of (str, shape), or Architecture
            Names and shapes of the tensors in the order in which they lie in θ.
        **options
            As for :meth:`from_state_dicts`.
        """
        if isinstance(layout, _core.Architecture):
            options.setdefault("architecture", layout)
            layout = layout.layout
        theta = np.asarray(theta, dtype=np.float32)
        wide = sum(size(shape) for _, shape in layout)
        if theta.ndim != 3 or theta.shape[2] != wide:
            raise ValueError(f"theta: expected shape [runs, checkpoints, {wide}], found {list(theta.shape)}")
        return cls.from_state_dicts([[views(point, layout) for point in run] for run in theta], **options)

    @classmethod
    def _imported(
        cls, source, *, architecture, data, times, name, initialisation, include, exclude, base, out, force, progress, layout=None
    ):
        folder, temporary = _folder(out)
        times = None if times is None else [float(t) for t in times]
        # Files of a temporary folder are the state dicts that were given.
        given = (lambda text: _RUN.sub(_place, text.replace(source + os.sep, ""))) if layout is not None else str
        with observer(progress, given) as watching, _called("", given):
            core = _core.Zoo.import_(
                source, folder, _architecture(architecture), layout, plain(data), times, name, initialisation, include, exclude, base,
                force, watching,
            )
        return cls(core, temporary)

    def __len__(self) -> int:
        return self.runs

    def __repr__(self):
        what = self.architecture.name if self.architecture else "networks of an unknown architecture"
        return f"<Zoo {self.path}: {self.runs} runs of {self.checkpoints} checkpoints, {self.parameters} weights, {what}>"

    def __reduce__(self):
        return self._core.__reduce__()

    def theta(self, runs: Sequence[int] | None = None, checkpoints: Sequence[int] | None = None) -> np.ndarray:
        """Weights ``[runs, checkpoints, P]``.

        Parameters
        ----------
        runs : sequence of int, optional
            All if not given.
        checkpoints : sequence of int, optional
            All if not given; counted from the end where below 0.
        """
        runs = range(self.runs) if runs is None else [int(run) for run in np.atleast_1d(runs)]
        every = range(self.checkpoints)
        checkpoints = every if checkpoints is None else [every[int(k)] for k in np.atleast_1d(checkpoints)]
        items = [(run, k) for run in runs for k in checkpoints]
        return self._core.gather(items).reshape(len(runs), len(checkpoints), self.parameters)

    def networks(self, runs: Sequence[int] | None = None, checkpoint: int = -1) -> Networks:
        """The networks of one checkpoint of these runs (of all that have not failed, if not given)."""
        runs = self.finished_runs if runs is None else runs
        return Networks(
            self.theta(runs, [checkpoint])[:, 0], self.layout, architecture=self.architecture, data=self.data,
            buffers=self.buffers, tied=self.tied, template=self._template,
        )

    def state_dict(self, run: int, checkpoint: int = -1) -> dict[str, np.ndarray]:
        """The tensors of one network by name, as arrays; counters and masks among them where they are known."""
        return whole(views(self.theta([run], [checkpoint])[0, 0], self.layout), self.tied, self.buffers)

    def split(self, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The runs that a fit with this split trains on, chooses by, and never sees."""
        return tuple(self._core.split(dict(validation=validation, test=test, seed=seed)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Copies the folder to `path`.

        Raises
        ------
        FileExistsError
            `path` exists.
        """
        shutil.copytree(self.path, os.fspath(path))


#: The file of a checkpoint in the temporary folder of an import.
_RUN = re.compile(r"\brun-(\d{6,})(?:/step-(\d{6,})\.safetensors)?")


def _place(found):
    run, checkpoint = found.groups()
    return f"runs[{int(run)}]" + ("" if checkpoint is None else f"[{int(checkpoint)}]")


@contextlib.contextmanager
def _called(before, given=str):
    """Errors with `before` in front, in the words of what was `given`."""
    try:
        yield
    except (TypeError, ValueError) as e:
        text = before + given(str(e))
        if text == str(e) or type(e) not in (TypeError, ValueError):
            raise
        raise type(e)(text) from None


def _listed(runs):
    """Lists of checkpoints."""
    if is_state(runs):
        raise TypeError(f"runs: expected a list of runs, found one {type(runs).__name__}")
    out = []
    for i, run in enumerate(runs):
        try:
            out.append([run] if is_state(run) else list(run))
        except TypeError as e:
            raise TypeError(f"runs[{i}]: expected a state dict, or a list of them, found {type(run).__name__}") from e
        if not out[i]:
            raise ValueError(f"runs[{i}]: expected at least one checkpoint, found none")
    if not out:
        raise ValueError("runs: expected at least one run of at least one checkpoint, found none")
    return out


def _patterns(given):
    """One pattern, or several."""
    return [given] if isinstance(given, str) else list(given)


def _folder(out):
    """The folder of a zoo, and what removes it."""
    if out is not None:
        return os.fspath(out), None
    temporary = tempfile.TemporaryDirectory(prefix="thalweg-")
    return os.path.join(temporary.name, "zoo"), temporary


def _architecture(value):
    """An Architecture of a dict or TOML file; None stays."""
    if value is None or isinstance(value, _core.Architecture):
        return value
    if isinstance(value, Mapping):
        return _core.Architecture.from_dict(plain(value))
    return _core.Architecture.read(os.fspath(value))

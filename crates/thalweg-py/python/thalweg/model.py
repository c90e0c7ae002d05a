"""Fitted laws over the weights of networks."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, rewards
from ._arrays import as_rows, count, floats, to_numpy
from ._progress import LOG, Progress, observer
from ._settings import laid_over, plain, renamed
from ._states import read_buffers, unpacked
from .data import of_zoo
from .networks import Networks

if TYPE_CHECKING:
    from .zoo import Zoo


def fit(
    zoo: Zoo | Sequence[Zoo],
    method: str | Mapping[str, Any] | None = None,
    latent: Any = None,
    *,
    module: Any = None,
    probe: Any = None,
    state: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress = None,
    **settings: Any,
) -> Model:
    """Fits a meta-model to a zoo: learns the flow from initialisations to trained weights.

    The same bytes as ``thalweg fit`` makes of the same zoo, settings and seed.

    Parameters
    ----------
    zoo : Zoo or list of Zoo
        The runs; several zoos, one a task, for a model that is conditioned on data (with ``context={}`` or ``context=True``).
    method : str or dict, optional
        ``"cfm"``, ``"mmfm"``, ``"jko"``, ``"action"``, ``"ddpm"``, ``"kde"``, ``"swag"``; by default ``"cfm"``, and ``"swag"`` for iterates of one run. What
        a flow starts from follows from the zoo where neither source nor coupling is given (told to the logger ``thalweg``); with its parameters ``{"mmfm": {"marginals": 3}}``.
    latent : latent.PCA, latent.VAE, latent.Denoising, dict or str, optional
        The autoencoder in whose latent space the method runs; none if not given.
    module : torch.nn.Module or Networks, optional
        What evaluates networks, of any architecture, for the autoencoder's functional term (``latent=tw.latent.VAE(32, functional=0.02)``); Thalweg's engine
        does, where it knows their architecture, if not given. The record says which module that was; the model needs none.
    probe : array_like, str or dict, optional
        Inputs ``[N, ...]`` for that module, of which probes are drawn; the last fifth (at most 256) is only looked at for validation. Or data by
        name. Those that the zoo knows if not given.
    state : path-like, optional
        A file for the state between steps: an interrupted fit goes on from it with `resume`, to the same bytes. The state of a fit with a `module` is
        gone on with only by a module of the same class, settings and answers.
    progress : bool or callable, optional
        True for a bar, or a function ``(what, done, total)``.
    **settings
        All other settings of a fit by their names in its TOML form, with underscores for hyphens: `seed`, `steps`, `batch`, `validate_every`,
        `standardiser`, `time_grid`, `split`, `field`, `optimiser`, `context`.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        An unknown setting, a value out of range, or one that does not fit the zoo.
    KeyboardInterrupt
        Ctrl-C; the state is saved first.

    Examples
    --------
    >>> zoo = tw.Zoo.train("digits", "digits", kind="fork", runs=20)          # doctest: +SKIP
    >>> model = tw.fit(zoo, method="mmfm", latent=tw.latent.VAE(32), seed=1)  # doctest: +SKIP
    """
    zoos = list(zoo) if isinstance(zoo, (list, tuple)) else [zoo]
    if not zoos:
        raise ValueError("zoo: expected at least one, found none")
    for one in zoos:
        if not hasattr(one, "finished_runs"):
            raise TypeError(f"zoo: expected a Zoo, or a list of them, found {type(one).__name__}")
    given = renamed(plain(settings), "_", "-")
    if given.get("context") is True:
        given["context"] = {}
    name = method
    if isinstance(method, dict):
        (name, _), = method.items()
        given["method"] = renamed(plain(method), "_", "-")
    if latent is not None:
        if not isinstance(latent, (str, Mapping)) and not hasattr(latent, "to_dict"):
            raise TypeError(f"latent: expected one of tw.latent (tw.latent.VAE(32)), found {latent!r}")
        given["latent"] = {latent: {}} if isinstance(latent, str) else renamed(plain(latent), "_", "-")
    defaults, because = _core.fit_defaults(None if given.get("context") is not None else zoos[0]._core, name)
    for reason in because:
        LOG.info("%s", reason)
    merged = laid_over(defaults, given)
    merged = {key: value for key, value in merged.items() if value is not None}
    with observer(progress) as watching:
        probed = None if module is None and probe is None else _probed(zoos[0], module, probe, watching)
        core = _core.fit([zoo._core for zoo in zoos], merged, probed, _path(state), resume, watching)
    return Model(core)


#: Inputs that probes are drawn from, and inputs of validations, at most: as the engine takes them of the zoo's own data.
POOL, LOOKED_AT = 8192, 256


def _probed(zoo, module, probe, watching):
    """What evaluates the networks of a zoo by a module, and the inputs for it."""
    from ._torch import Functional
    from ._trainable import Trainable

    if module is None:
        raise ValueError("module: expected what evaluates networks on the probe, a torch.nn.Module, found none")
    if probe is None or isinstance(probe, (str, Mapping)):
        if probe is None and zoo.data is None:
            raise ValueError("probe: expected inputs for the module, as the zoo does not know its data; found none")
        data = of_zoo(zoo, probe, watching)
        pool, looked_at = data.train.x[:POOL], data.validation.x[:LOOKED_AT]
        looked_at = looked_at if len(looked_at) else pool
    else:
        rows = as_rows(probe)
        if getattr(rows, "ndim", 0) < 2 or not len(rows):
            raise ValueError(f"probe: expected inputs of shape [N, ...], found {list(getattr(rows, 'shape', ()))}")
        cut = len(rows) - min(len(rows) // 5, LOOKED_AT)
        pool, looked_at = rows[:cut], rows[cut:] if cut < len(rows) else rows
    trainable = Trainable(Functional(module).of(zoo), pool)
    return trainable, floats("probe", pool), floats("probe", looked_at)


@dataclass(frozen=True)
class Batch:
    """What one step of training sees.

    Attributes
    ----------
    x, t, u : numpy.ndarray
        Points ``[B, D]`` at times ``[B]``, and the velocities ``[B, D]`` that are learned there.
    loss : float
        The model's loss: for flows the mean of (v − u)² over B and D.
    """

    x: np.ndarray = field(repr=False)
    t: np.ndarray = field(repr=False)
    u: np.ndarray = field(repr=False)
    loss: float


class Model:
    """A fitted law over the weights of networks. Made by :func:`fit`, :meth:`open` or :meth:`tune`.

    Attributes
    ----------
    method : str
        Its method.
    config : dict
        All that decided the fit.
    record : dict
        How it came to be: runs, losses on the way, what it was tuned for.
    architecture : Architecture or None
        The networks, where they are known.
    layout : list of (str, list of int)
        Names and shapes of their tensors.
    parameters : int
        P.
    seconds : float
        What the fit took.
    """

    def __init__(self, core, buffers=None):
        self._core = core
        self._template = core.template
        self.buffers = {**unpacked(self._template.kept), **(buffers or {})}
        self.tied = dict(self._template.tied)

    method = property(lambda self: self._core.method)
    config = property(lambda self: self._core.config)
    record = property(lambda self: self._core.record)
    architecture = property(lambda self: self._core.architecture)
    layout = property(lambda self: self._core.layout)
    data = property(lambda self: self._core.data)
    parameters = property(lambda self: self._core.parameters)
    seconds = property(lambda self: self._core.seconds[0])

    def __repr__(self):
        return f"<Model {self.method}: {self.parameters} weights, {self.record['training-runs']} training runs>"

    def __reduce__(self):
        return self._core.__reduce__()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Model:
        """Reads the folder of a model, of :meth:`save` or of the program.

        Raises
        ------
        FileNotFoundError
            No such folder.
        ValueError
            A file that is not as it should be.
        """
        return cls(_core.Model.open(os.fspath(path)), read_buffers(path))

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Writes the folder of the model, as ``thalweg fit`` does.

        Raises
        ------
        FileExistsError
            A model that stands there, without `force`.
        """
        self._core.save(os.fspath(path), force)

    def save_pretrained(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """As :meth:`save`, with the ``config.json`` that the Hugging Face Hub looks for beside ``model.safetensors`` and ``README.md``."""
        self.save(path, force)
        config = dict(library_name="thalweg", model_type=f"thalweg-{self.method}", parameters=self.parameters, fit=self.config)
        if self.architecture is not None:
            config["architecture"] = self.architecture.to_dict()
        text = json.dumps(_finite(config), indent=2)
        (Path(path) / "config.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str]) -> Model:
        """Reads a local folder that :meth:`save_pretrained` wrote."""
        return cls.open(path)

    def sample(
        self,
        n: int = 100,
        seed: int = 0,
        *,
        solver: str = "euler",
        steps: int = 100,
        at: Sequence[float] = (),
        context: str | Mapping[str, Any] | None = None,
        each: int = 20,
        guidance: float = 1.0,
        progress: Progress = None,
    ) -> Networks:
        """Draws networks: the same as ``thalweg sample`` draws with the same seed and settings.

        Parameters
        ----------
        n : int
            Number of networks. Ten are the first ten of a hundred.
        seed : int
            Of all randomness.
        solver : {"euler", "heun", "midpoint", "rk4", "dormand-prince", "euler-maruyama"}
            The solver.
        steps : int
            Its steps.
        at : sequence of float
            Times in [0, 1] at which states are kept, in the result's `states`.
        context : str or dict, optional
            Data of the task to sample for, by `each` random training rows a class, with `guidance` (models of tasks only).
        progress : bool or callable, optional
            True for a bar, or a function ``(what, done, total)``.

        Returns
        -------
        Networks
        """
        task = None if context is None else (plain(context), each, guidance)
        with observer(progress) as watching:
            theta, times, states, evaluations, seconds = self._core.sample(
                count("n", n), count("seed", seed), solver, count("steps", steps), [float(t) for t in at], task, watching
            )
        return Networks(
            theta, self.layout, architecture=self.architecture, data=self.data, split=self.config["split"],
            buffers=self.buffers, tied=self.tied, at=np.array(times) if times else None, states=states if times else None,
            evaluations=evaluations, seconds=seconds, template=self._template,
        )

    def points(self, theta: Any) -> np.ndarray:
        """Where networks ``[n, P]`` lie for the model, ``[n, D]``: standardised and, with a latent space, encoded."""
        return self._core.points(floats("theta", theta, self.parameters))

    def batch(self, curves: Any, seed: int = 0) -> Batch:
        """What a step of training sees of curves, and the loss of the model there.

        Parameters
        ----------
        curves : array_like
            Points ``[A, B, D]``, as :meth:`points` gives them: B curves through the A marginals that the model was trained on (two, a start and an end,
            for ``"cfm"``).
        seed : int
            Of the times and the noise.

        Returns
        -------
        Batch
        """
        return Batch(*self._core.batch(np.ascontiguousarray(to_numpy(curves), dtype=np.float32), seed))

    def velocity(self, x: Any, t: Any) -> np.ndarray:
        """The drift ``[B, D]`` at points ``[B, D]`` and times ``[B]`` in [0, 1], which samples follow."""
        t = np.ascontiguousarray(np.atleast_1d(to_numpy(t)), dtype=np.float32)
        return self._core.velocity(np.ascontiguousarray(to_numpy(x), dtype=np.float32), t)

    def tune(
        self,
        reward: Callable[..., tuple[Any, Any]] | str,
        iterations: int | None = None,
        *,
        held_out: Callable[..., tuple[Any, Any]] | None = None,
        rows: int = 256,
        margin: float = 3.0,
        state: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: Progress = None,
        **settings: Any,
    ) -> Model:
        """Steers the generator towards a reward by adjoint matching; the model itself is left as it is.

        Parameters
        ----------
        reward : callable or str
            Any function θ ``[n, P]`` → (values ``[n]``, gradients ``[n, P]``) of arrays, larger is better; with a second parameter `seed` it is given
            one, from which whatever is random in it should be drawn. :func:`rewards.torch` makes one from a loss of PyTorch. Or ``"loss:DATA"``,
            ``"margin:DATA"`` as ``thalweg tune --reward`` takes it.
        iterations : int, optional
            Iterations (200).
        held_out : callable, optional
            A reward that chooses the iteration that is kept; without one the last is. Rewards on data by name take validation rows.
        rows, margin
            Rows of a batch, and the margin, of rewards on data by name.
        state : path-like, optional
            A file for the state between iterations: an interrupted tuning goes on from it with `resume`.
        **settings
            All other settings of a tuning by their names in its TOML form: `seed`, `strength`, `trajectories`, `control`, `optimiser`, ...

        Returns
        -------
        Model

        Raises
        ------
        ValueError
            A model that cannot be tuned, a reward of another shape. What the reward raises is raised as it is.
        """
        given = renamed(plain(settings), "_", "-")
        if iterations is not None:
            given["iterations"] = int(iterations)
        merged = laid_over(_core.tune_defaults(), given)
        if isinstance(reward, str):
            if held_out is not None:
                raise ValueError("held_out: expected none beside a reward on data by name, whose validation rows choose")
        else:
            reward = rewards._adapted(reward, self)
            held_out = None if held_out is None else rewards._adapted(held_out, self)
        with observer(progress) as watching:
            core = self._core.tune(reward, held_out, rows, margin, merged, _path(state), resume, watching)
        return Model(core)


def _path(value):
    return None if value is None else os.fspath(value)


def _finite(value):
    """JSON has no infinities: they become words."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value

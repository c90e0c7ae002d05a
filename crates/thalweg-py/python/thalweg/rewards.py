"""Rewards for :meth:`thalweg.Model.tune`: what a generator of networks is steered towards."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _core
from ._arrays import floats, labels, to_numpy
from ._progress import observer
from ._states import size


def _adapted(reward, model=None):
    """(function, description) as the compiled half calls it: ``(theta, seed, gradients)`` → values, with gradients where they are asked for."""
    if isinstance(reward, OfModule) and model is not None:
        reward = reward.of(model)
    if not callable(reward):
        raise TypeError(f"reward: expected a callable or a text such as loss:mnist, found {type(reward).__name__}")
    description = getattr(reward, "description", None) or getattr(reward, "__name__", None) or repr(reward)
    takes_seed = _takes_seed(reward)
    alone = getattr(reward, "values", None)

    def grade(theta, seed, gradients):
        keywords = {"seed": seed} if takes_seed else {}
        if not gradients and callable(alone):
            return _values(alone(theta, **keywords))
        try:
            values, slopes = reward(theta, **keywords)
        except (TypeError, ValueError) as e:
            if "unpack" in str(e):
                raise ValueError(f"reward {description}: expected (values [n], gradients [n, P]), found {e}") from e
            raise
        values = _values(values)
        if values.size and not np.isfinite(values).any():
            raise ValueError(f"reward {description}: expected finite values, found {values[0]} for all of {len(values)} networks")
        return (values, _slopes(slopes)) if gradients else values

    return grade, str(description)


def _values(values):
    return np.ascontiguousarray(to_numpy(values), dtype=np.float64).reshape(-1)


def _slopes(slopes):
    slopes = to_numpy(slopes)
    return np.ascontiguousarray(slopes, dtype=np.float32) if slopes.ndim == 2 else slopes.reshape(len(slopes), -1)


class CrossEntropy:
    """Minus the mean cross-entropy on one's own rows, by Thalweg's engine.

    Parameters
    ----------
    architecture : Architecture
        The networks.
    x : array_like
        Inputs ``[N, ...]``.
    y : array_like
        Labels ``[N]``.
    batch : int, optional
        Rows of a call, drawn anew for every call; all if not given.
    """

    def __init__(self, architecture: _core.Architecture, x: Any, y: Any, batch: int | None = None):
        self.architecture = architecture
        self.x, self.y = floats("x", x, size(architecture.input)), labels(y)
        if len(self.x) != len(self.y):
            raise ValueError(f"y: expected [{len(self.x)}], as x has rows, found [{len(self.y)}]")
        self.batch = batch
        self.description = f"minus the cross-entropy on {len(self.y)} rows" + (f", {batch} at a time" if batch else "")

    def _rows(self, seed):
        if self.batch is None or self.batch >= len(self.y):
            return self.x, self.y
        rows = np.random.default_rng(seed).choice(len(self.y), self.batch, replace=False)
        return self.x[rows], self.y[rows]

    def __call__(self, theta: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._rows(seed)
        with observer(None) as watching:
            losses, gradients = _core.gradients(self.architecture, floats("theta", theta), x, y, watching)
        return -losses, -gradients

    def values(self, theta: Any, seed: int = 0) -> np.ndarray:
        """Values alone."""
        x, y = self._rows(seed)
        with observer(None) as watching:
            _, losses = _core.evaluate(self.architecture, floats("theta", theta), x, y, watching)
        return -losses


class OfModule:
    """Minus a loss of PyTorch, for networks of any architecture. Made by :func:`torch`.

    Attributes
    ----------
    description : str
        What it is called in records.
    """

    def __init__(self, loss_fn: Callable[..., Any], functional: Any, given: bool, batch: int, description: str):
        self._loss_fn, self._functional, self._given, self._batch = loss_fn, functional, given, batch
        self._takes_seed = _takes_seed(loss_fn)
        self.description = description

    def _loss(self, seed):
        return (lambda net: self._loss_fn(net, seed=seed)) if self._takes_seed else self._loss_fn

    def _theta(self, theta):
        return floats("theta", theta, sum(size(shape) for _, shape in self._functional.layout))

    def __call__(self, theta: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        values, gradients = self._functional.graded(self._theta(theta), self._loss(seed), self._batch)
        return -values, -gradients

    def values(self, theta: Any, seed: int = 0) -> np.ndarray:
        """Values alone."""
        return -self._functional.values(self._theta(theta), self._loss(seed), self._batch)

    def of(self, nets: Any) -> OfModule:
        """The same reward for the networks of a model, a zoo or :class:`Networks`: tensors in their order, frozen ones as they are there. What
        :meth:`Model.tune` asks for where no `layout` was given."""
        if self._given:
            return self
        return OfModule(self._loss_fn, self._functional.of(nets), True, self._batch, self.description)


def torch(
    loss_fn: Callable[..., Any],
    module: Any,
    *,
    layout: Any = None,
    batch: int = 16,
    description: str | None = None,
) -> OfModule:
    """A reward of a loss of PyTorch, for networks of any architecture: minus the loss, differentiated on the module's device.

    Networks go through ``vmap`` and ``grad`` (``torch.func``, or functorch in PyTorch 1.13), `batch` at a time, or one by one where neither is there or
    the loss has operations that ``vmap`` does not know.

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(net)`` → a scalar tensor, where ``net(*inputs)`` calls the module with the weights of one network: e.g.
        ``lambda net: F.cross_entropy(net(x), y)``. With a second parameter `seed` it is given one.
    module : torch.nn.Module
        The network.
    layout : Model, Zoo, Networks or list of (str, shape), optional
        Whose θ it is, or the order of tensors in it. :meth:`Model.tune` says it if it is not given; called by itself, the reward then takes θ in the
        order of the module's state dict.
    batch : int
        Networks at a time.
    description : str, optional
        What it is called in records.

    Returns
    -------
    OfModule
        A callable θ ``[n, P]`` → (values ``[n]``, gradients ``[n, P]``).
    """
    from ._torch import Functional

    if not callable(loss_fn):
        raise TypeError(f"loss_fn: expected a function of a network, found {type(loss_fn).__name__}")
    if layout is None or hasattr(layout, "layout"):
        functional = Functional(module)
        functional = functional if layout is None else functional.of(layout)
    else:
        functional = Functional(module, layout)
    description = description or f"minus {getattr(loss_fn, '__name__', 'a loss')} of {type(module).__name__} in PyTorch"
    return OfModule(loss_fn, functional, layout is not None, batch, description)


def _takes_seed(function):
    try:
        return "seed" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False

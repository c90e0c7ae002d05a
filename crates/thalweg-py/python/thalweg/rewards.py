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


def _adapted(reward):
    """(function, description) as the compiled half calls it: ``(theta, seed, gradients)`` → values, with gradients where they are asked for."""
    if not callable(reward):
        raise TypeError(f"reward: expected a callable or a text such as loss:mnist, found {type(reward).__name__}")
    description = getattr(reward, "description", None) or getattr(reward, "__name__", None) or repr(reward)
    try:
        takes_seed = "seed" in inspect.signature(reward).parameters
    except (TypeError, ValueError):
        takes_seed = False
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


def torch(
    loss_fn: Callable[..., Any],
    module: Any,
    *,
    layout: Sequence[tuple[str, Sequence[int]]] | None = None,
    batch: int = 16,
    description: str | None = None,
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
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
    layout : list of (str, shape), optional
        The order of tensors in θ: ``model.layout``. That of the module's state dict if not given.
    batch : int
        Networks at a time.

    Returns
    -------
    callable
        θ ``[n, P]`` → (values ``[n]``, gradients ``[n, P]``).
    """
    from ._torch import Functional

    functional = Functional(module)
    layout = functional.layout if layout is None else functional.check(layout)
    takes_seed = "seed" in inspect.signature(loss_fn).parameters

    def reward(theta, seed=0):
        loss = (lambda net: loss_fn(net, seed=seed)) if takes_seed else loss_fn
        values, gradients = functional.graded(theta, layout, loss, batch)
        return -values, -gradients

    def values(theta, seed=0):
        loss = (lambda net: loss_fn(net, seed=seed)) if takes_seed else loss_fn
        return -functional.values(theta, layout, loss, batch)

    reward.values = values
    reward.description = description or f"minus {getattr(loss_fn, '__name__', 'a loss')} of {type(module).__name__} in PyTorch"
    return reward

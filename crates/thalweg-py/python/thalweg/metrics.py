"""Distances between samples of weights."""
from __future__ import annotations

from typing import Any

from . import _core
from ._arrays import floats


def wasserstein(a: Any, b: Any, *, order: int = 1) -> float:
    """The exact Wasserstein distance between two samples of one size, by the best pairing of their points.

    Parameters
    ----------
    a, b : array_like
        Points ``[n, P]``, for example `theta` of two :class:`Networks`.
    order : {1, 2}
        W₁, the least mean distance, or W₂, the root of the least mean squared distance.

    Returns
    -------
    float

    Examples
    --------
    >>> tw.metrics.wasserstein([[0.0], [1.0]], [[1.0], [2.0]])
    1.0
    """
    a = floats("a", a)
    return _core.wasserstein(a, floats("b", b, a.shape[1]), order)

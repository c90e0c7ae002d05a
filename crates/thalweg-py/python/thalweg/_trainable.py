"""Modules of PyTorch as what the library trains on answers of networks: functional terms of autoencoders, disagreement classifiers.

Imported only where it is needed: the package works without PyTorch.
"""
import hashlib
import inspect

import numpy as np

from ._states import size


class Trainable:
    """A module for what the library trains on answers of networks: functional terms, disagreement classifiers.

    Parameters
    ----------
    functional : Functional
        The module.
    x : array_like
        Inputs ``[N, ...]``, of the shape and kind that the module takes; rows come as float32 ``[N, D]``.
    batch : int
        Networks at a time.
    """

    def __init__(self, functional, x, batch=16):
        self.functional, self.batch = functional, batch
        self.shape = tuple(int(side) for side in x.shape[1:])
        self.whole = not str(x.dtype).split(".")[-1].startswith(("float", "bfloat", "double", "half"))
        self.input_len, self.layout = size(self.shape), functional.layout
        theta, rows = self._fixed()
        answers = self.logits(theta, rows)
        self.classes = answers.shape[-1]
        self.identity = f"{type(functional.module).__name__}{list(self.shape)}{'i' if self.whole else ''}-{_digest(functional, answers)}"

    def _fixed(self):
        """Weights ``[1, P]`` and inputs ``[4, D]`` that are the same for all modules of one shape."""
        draws = np.random.default_rng(0)
        theta = []
        for name, shape in self.layout:
            values = draws.normal(size=size(shape)) / np.sqrt(max(size(shape[1:]), 1))
            # Variances are among what is not trained.
            theta.append(values if name in self.functional.trained else np.abs(values) + 0.1)
        rows = np.zeros((4, self.input_len)) if self.whole else draws.normal(size=(4, self.input_len))
        return np.concatenate(theta).astype(np.float32)[None], rows.astype(np.float32)

    def _shaped(self, x):
        x = x.reshape(*x.shape[:-1], *self.shape)
        return x.astype(np.int64) if self.whole else x

    def logits(self, theta, x):
        """Logits ``[n, N, C]`` of networks ``[n, P]`` on inputs ``[N, D]``."""
        return self.functional.logits(theta, self._shaped(x), self.batch)

    def differentiable(self, theta, x):
        """See :meth:`Functional.differentiable`; inputs are ``[m, N, D]``."""
        return self.functional.differentiable(theta, self._shaped(x))


def _digest(functional, answers):
    """A hash of what makes a module what it is but for its weights: its parts, their settings and code, and its answers with fixed weights, roughly."""
    told = [str([(name, shape, str(functional.types[name])) for name, shape in functional.layout])]
    for name, part in functional.module.named_modules():
        kind = type(part)
        settings = {key: value for key, value in vars(part).items() if key != "training" and isinstance(value, (bool, int, float, str, tuple))}
        code = ""
        if not kind.__module__.startswith("torch."):
            try:
                code = f"({part.extra_repr()}) {inspect.getsource(kind)}"
            except (OSError, TypeError):
                pass  # of a console: its answers tell
        told.append(f"{name}: {kind.__qualname__} {sorted(settings.items(), key=str)} {code}")
    most = np.abs(answers[np.isfinite(answers)]).max(initial=0.0) or 1.0
    told.append(str((np.round(answers / most, 2) + 0.0).tolist()))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

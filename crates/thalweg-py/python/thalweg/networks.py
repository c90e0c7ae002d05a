"""Networks: points of weight space, and what can be done with them."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from ._arrays import floats, labels
from ._progress import Progress, observer
from ._settings import plain
from ._states import flat, is_state, layout_of, packed, same_arrays, size, unpacked, views, whole


class Networks:
    """Networks of one shape: θ ``[n, P]`` with the names and shapes of their tensors.

    What :meth:`Model.sample` gives, and :meth:`open`, :meth:`from_state_dicts` and :meth:`torch`. Logits, gradients and scores come from the engine
    where the architecture is known, else from the module of PyTorch that the networks are bound to (:meth:`on`).

    Attributes
    ----------
    theta : numpy.ndarray
        The weights, float32 ``[n, P]``.
    layout : list of (str, list of int)
        Names and shapes of the tensors in the order in which they lie in θ.
    architecture : Architecture or None
        What the networks are, where it is known.
    data : dict or None
        What they are for, where it is known.
    at, states : numpy.ndarray or None
        Times and states ``[T, n, P]`` on the way, where they were asked for.
    evaluations : int or None
        Evaluations of the generator's net for one network.
    seconds : float or None
        What sampling took.
    """

    def __init__(
        self,
        theta: Any,
        layout: Sequence[tuple[str, Sequence[int]]],
        *,
        architecture: _core.Architecture | None = None,
        data: dict[str, Any] | None = None,
        split: dict[str, Any] | None = None,
        buffers: Mapping[str, np.ndarray] | None = None,
        tied: Mapping[str, str] | None = None,
        at: np.ndarray | None = None,
        states: np.ndarray | None = None,
        evaluations: int | None = None,
        seconds: float | None = None,
        module: Any = None,
        template: _core.Template | None = None,
    ):
        self.layout = [(name, list(shape)) for name, shape in layout]
        self.theta = floats("theta", theta, sum(size(shape) for _, shape in self.layout))
        self.architecture, self.data, self.split = architecture, data, split
        self.buffers, self.tied = dict(buffers or {}), dict(tied or {})
        self.at, self.states = at, states
        self.evaluations, self.seconds = evaluations, seconds
        self._module, self._template = module, template

    @classmethod
    def from_state_dicts(cls, states: Iterable[Mapping[str, Any]], **known: Any) -> Networks:
        """Networks of state dicts (arrays or tensors) with the same names and shapes."""
        states = [states] if is_state(states) else list(states)
        if not states:
            raise ValueError("states: expected at least one state dict, found none")
        architecture = known.get("architecture")
        layout = architecture.layout if architecture is not None else layout_of(states[0])
        return cls(np.stack([flat(state, layout) for state in states]), layout, **known)

    @classmethod
    def torch(
        cls, module: Any, theta: Any = None, *, engine: str | bool = "auto", input_shape: Sequence[int] | None = None
    ) -> Networks:
        """Networks evaluated by a module of PyTorch, of any architecture, on the module's own device.

        Parameters
        ----------
        module : torch.nn.Module
            The network. It is used in evaluation mode, its mode is put back afterwards.
        theta : array_like, optional
            Weights ``[n, P]`` in the order of the module's state dict; the module's own if not given.
        engine : {"auto", True, False}
            Whether Thalweg's engine computes in the module's place: where it recognises the module ("auto"), always (an error where it does not),
            or never.
        input_shape : tuple of int, optional
            The shape of one input; needed to recognise modules whose first layer does not tell it (convolutions).

        Examples
        --------
        >>> nets = tw.Networks.torch(my_module)            # doctest: +SKIP
        >>> nets.logits(x).shape                           # doctest: +SKIP
        (1, 128, 10)
        """
        from ._recognise import architecture as recognise
        from ._torch import Functional

        functional = Functional(module)
        layout = functional.layout
        tied = dict(functional.tied)
        theta = functional.own()[None] if theta is None else theta
        architecture = None
        if engine is True or engine == "auto":
            architecture, why = recognise(functional.module, input_shape)
            if architecture is None and engine is True:
                raise ValueError(f"module: expected layers that the engine knows, found {why}")
        nets = cls(theta, layout, module=functional, tied=tied)
        return nets if architecture is None else nets._in_order(architecture)

    def on(self, module: Any) -> Networks:
        """The same networks, evaluated by this module of PyTorch.

        Parameters
        ----------
        module : torch.nn.Module
            The network, of any architecture, with tensors of the same names and shapes. Tied weights are one; frozen tensors, which θ does not hold,
            are those of `buffers`; counters and masks stay the module's.

        Returns
        -------
        Networks
        """
        from ._torch import Functional

        return self._copy(self.theta, module=Functional(module, self.layout, self.tied, self.buffers), architecture=None)

    @classmethod
    def open(cls, path: str | os.PathLike[str], architecture: _core.Architecture | None = None) -> Networks:
        """Reads networks: a stack that :meth:`save` or ``thalweg sample`` wrote, a safetensors file of one network, or a folder of such files.

        Raises
        ------
        FileNotFoundError, ValueError
        """
        theta, known, data, split, layout = _core.read_networks(os.fspath(path), architecture)
        if not layout:
            raise ValueError(f"{os.fspath(path)}: architecture: expected one that is known, found none in the file: give it")
        return cls(theta, layout, architecture=known, data=data, split=split)

    def _copy(self, theta, **changes):
        known = dict(
            architecture=self.architecture, data=self.data, split=self.split, buffers=self.buffers, tied=self.tied, at=self.at,
            evaluations=self.evaluations, seconds=self.seconds, module=self._module, template=self._template,
        )
        return Networks(theta, self.layout, **{**known, **changes})

    def _in_order(self, architecture):
        """The same networks with their weights in the order of an architecture, evaluated by the engine."""
        theta = np.stack([flat(state, architecture.layout) for state in self])
        return Networks(theta, architecture.layout, architecture=architecture, buffers=self.buffers, tied=self.tied, module=self._module)

    parameters = property(lambda self: self.theta.shape[1])

    def __len__(self) -> int:
        return self.theta.shape[0]

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return (self._state(i) for i in range(len(self)))

    def __getitem__(self, which: Any) -> Networks:
        """Some of the networks, by number, slice, list or mask."""
        if isinstance(which, (int, np.integer)):
            if not -len(self) <= which < len(self):
                raise IndexError(f"network {which}: expected one of {len(self)}")
            which = slice(which, which + 1 or None)
        states = None if self.states is None else self.states[:, which]
        return self._copy(self.theta[which], states=states)

    def __repr__(self):
        what = self.architecture.name if self.architecture else "an architecture that is not known"
        return f"<Networks: {len(self)} of {self.parameters} weights, {what}>"

    def __reduce__(self):
        raise TypeError("Networks are not pickled: save(file) writes them and Networks.open(file) reads them; theta is an array")

    def _state(self, i):
        return whole(views(self.theta[i], self.layout), self.tied, self.buffers)

    def state_dicts(self, framework: str = "numpy") -> list[dict[str, Any]]:
        """State dicts, one a network, counters and masks of the zoo's own among them where they are known.

        Parameters
        ----------
        framework : {"numpy", "torch"}
            Arrays that are views of `theta`, or tensors that ``load_state_dict`` takes.
        """
        states = list(self)
        if framework == "numpy":
            return states
        if framework != "torch":
            raise ValueError(f"framework: expected numpy or torch, found {framework}")
        from ._torch import tensors

        return [tensors(state) for state in states]

    def modules(self, factory: Callable[[], Any] | None = None) -> list[Any]:
        """Modules of PyTorch with these weights, in evaluation mode.

        Parameters
        ----------
        factory : callable, optional
            Makes a module with the same names of tensors: a class such as ``MyNet``, any function without arguments, or a module, which is copied.
            Where the architecture is known, it can be left out.

        Returns
        -------
        list of torch.nn.Module
        """
        from ._torch import loaded, maker

        factory = maker(self.architecture if factory is None else factory)
        return [loaded(factory(), state) for state in self]

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Writes all networks into one file, ``theta [n, P]`` with what is known of them, as ``thalweg sample`` does.

        Raises
        ------
        FileExistsError
            The file exists, without `force`.
        """
        path = os.fspath(path)
        if os.path.exists(path) and not force:
            raise FileExistsError(f"{path} exists already")
        states = None
        if self.states is not None:
            flat_states = np.ascontiguousarray(self.states.reshape(-1, self.parameters), dtype=np.float32)
            states = ([float(t) for t in self.at], flat_states)
        _core.write_stack(path, self.theta, self.architecture, self.data, self.split, states)

    def save_each(self, folder: str | os.PathLike[str], force: bool = False) -> None:
        """Writes one plain safetensors file a network, ``network-00000.safetensors`` and on, as ``thalweg sample --format per-network`` does.

        Networks of a zoo or a model get the names, types, counters and masks of the files that they came from; where other files stood beside those
        (a Hugging Face folder's ``config.json``), each network gets a folder with them.

        Raises
        ------
        FileExistsError
            One of the files or folders exists, without `force`.
        """
        folder = Path(folder)
        names = [f"network-{i:05}" for i in range(len(self))]
        taken = [path for name in names for path in (folder / f"{name}.safetensors", folder / name) if path.exists()]
        if taken and not force:
            raise FileExistsError(f"{taken[0]} exists already")
        if self._template is not None and same_arrays(self.buffers, unpacked(self._template.kept)):
            self._template.write(os.fspath(folder), np.ascontiguousarray(self.theta))
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, state in zip(names, self):
            _core.write_tensors(os.fspath(folder / f"{name}.safetensors"), packed(state))

    def save_pretrained(self, folder: str | os.PathLike[str], force: bool = False) -> None:
        """Writes the folder of a model as the Hugging Face Hub has it: ``config.json``, ``model.safetensors``, ``README.md``."""
        from ._cards import networks_card

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder / "model.safetensors", force)
        config = dict(
            library_name="thalweg", model_type="thalweg-networks", networks=len(self),
            architecture=self.architecture.to_dict() if self.architecture else None, layout=self.layout, data=plain(self.data),
        )
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(networks_card(self), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Networks:
        """Reads a local folder that :meth:`save_pretrained` wrote."""
        folder = Path(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture = config.get("architecture")
        if architecture is not None:
            return cls.open(folder / "model.safetensors", _core.Architecture.from_dict(architecture))
        theta, _, data, split, _ = _core.read_networks(os.fspath(folder / "model.safetensors"), None)
        return cls(theta, config["layout"], data=data, split=split)

    def logits(self, x: Any, *, batch: int = 64, progress: Progress = None) -> np.ndarray:
        """Logits ``[n, N, C]`` on inputs ``[N, ...]``, in evaluation mode."""
        if self.architecture is not None:
            inputs = floats("inputs", x, size(self.architecture.input))
            with observer(progress) as watching:
                return _core.logits(self.architecture, self.theta, inputs, watching)
        return self._functional().logits(self.theta, x, batch)

    def gradients(self, x: Any, y: Any, *, batch: int = 16, progress: Progress = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean cross-entropies ``[n]`` to labels ``[N]``, and their gradients ``[n, P]``, in evaluation mode.

        Slots of running statistics have the gradient 0.
        """
        if self.architecture is not None:
            inputs = floats("inputs", x, size(self.architecture.input))
            with observer(progress) as watching:
                return _core.gradients(self.architecture, self.theta, inputs, labels(y), watching)
        return self._functional().cross_entropy(self.theta, x, labels(y), batch)

    def evaluate(self, x: Any, y: Any, *, batch: int = 64, progress: Progress = None) -> tuple[np.ndarray, np.ndarray]:
        """Accuracies ``[n]`` and mean cross-entropies ``[n]`` on inputs with labels."""
        if self.architecture is not None:
            inputs = floats("inputs", x, size(self.architecture.input))
            with observer(progress) as watching:
                return tuple(_core.evaluate(self.architecture, self.theta, inputs, labels(y), watching))
        from ._torch import scores

        return scores(self.logits(x, batch=batch), labels(y))

    def _functional(self):
        if self._module is None:
            raise ValueError("networks: expected a known architecture, or a module of PyTorch: nets.on(module) binds them to one")
        return self._module

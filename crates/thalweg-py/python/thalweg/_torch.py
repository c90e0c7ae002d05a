"""PyTorch: networks of any architecture evaluated by the user's module, and modules that the engine knows recognised.

Imported only where it is needed: the package works without PyTorch.
"""
import types

import numpy as np
import torch
from torch import nn

from ._states import size

try:
    from torch.func import functional_call, grad_and_value, vmap
except ImportError:
    from torch.nn.utils.stateless import functional_call

    try:
        from functorch import grad_and_value, vmap
    except ImportError:
        grad_and_value = vmap = None


def tensors(state):
    """Tensors of the arrays of a state dict, sharing their memory where they can be written to."""
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def loaded(module, state):
    """The module with the weights of a state dict, in evaluation mode. Tensors that are no weights may be missing: the module keeps its own."""
    own = {name: value for name, value in module.state_dict().items() if not _is_weights(value)}
    module.load_state_dict({**own, **tensors(state)})
    return module.eval()


def module_of(architecture):
    """The class of a module with the layers of an architecture, its tensors named as the layout's."""
    if architecture is None:
        raise ValueError("factory: expected what makes a module (MyNet), for networks of an unknown architecture")
    written = types.ModuleType("thalweg_network")
    exec(compile(architecture.torch_source(), "thalweg_network.py", "exec"), written.__dict__)  # our own text
    return written.Network


def scores(logits, labels):
    """Accuracies and mean cross-entropies ``[n]`` of logits ``[n, N, C]``."""
    logits = logits.astype(np.float64)
    most = logits.max(-1, keepdims=True)
    log_sum = np.log(np.exp(logits - most).sum(-1)) + most[..., 0]
    taken = np.take_along_axis(logits, labels.astype(np.int64)[None, :, None], -1)[..., 0]
    return (logits.argmax(-1) == labels).mean(1), (log_sum - taken).mean(1)


def _is_weights(value):
    return value.is_floating_point() and value.numel() > 0


class Functional:
    """A module as a function of θ, many θ at a time."""

    def __init__(self, module):
        if not isinstance(module, nn.Module):
            raise TypeError(f"module: expected a torch.nn.Module, found {type(module).__name__}")
        self.module = module
        state = module.state_dict(keep_vars=True)
        self.layout = [(name, list(value.shape)) for name, value in state.items() if _is_weights(value)]
        self.trained = {name for name, value in state.items() if isinstance(value, nn.Parameter)}
        first = next(iter(state.values()), torch.zeros(0))
        self.device, self.types = first.device, {name: state[name].dtype for name, _ in self.layout}

    def own(self):
        """The module's own weights ``[P]``."""
        state = self.module.state_dict()
        return np.concatenate([state[name].detach().float().cpu().numpy().ravel() for name, _ in self.layout])

    def check(self, layout):
        """The layout, after its tensors were found to be the module's."""
        layout = [(name, list(shape)) for name, shape in layout]
        known = dict(self.layout)
        for name, shape in layout:
            if known.get(name) != shape:
                raise ValueError(f"module: expected the tensor {name} of shape {shape}, found {known.get(name, 'no such tensor')}")
        missing = sorted(set(known) - {name for name, _ in layout})
        if missing:
            raise ValueError(f"module: expected no tensor {missing[0]}, which the networks do not have")
        return layout

    def _split(self, theta, layout):
        """Tensors ``[n, *shape]`` by name."""
        theta = torch.as_tensor(np.ascontiguousarray(theta, dtype=np.float32)).to(self.device)
        out, offset = {}, 0
        for name, shape in layout:
            count = size(shape)
            out[name] = theta[:, offset:offset + count].reshape(-1, *shape).to(self.types[name])
            offset += count
        return out

    def _net(self, weights):
        return lambda *inputs: functional_call(self.module, weights, inputs)

    def _chunks(self, theta, layout, batch, of_many, of_one):
        """Applies one of the functions to chunks of networks: `of_many` under vmap, `of_one` network by network where that is not possible."""
        training = self.module.training
        self.module.eval()
        try:
            parts = []
            for first in range(0, len(theta), max(batch, 1)):
                weights = self._split(theta[first:first + batch], layout)
                parts.append(self._chunk(weights, of_many, of_one))
            return [np.concatenate([part[i] for part in parts]) for i in range(len(parts[0]))]
        finally:
            self.module.train(training)

    def _chunk(self, weights, of_many, of_one):
        if vmap is not None and of_many is not None:
            try:
                return of_many(weights)
            except RuntimeError:
                # What vmap cannot batch (PyTorch 1.13 says of some layers no more than that shapes differ) goes one by one. An error of the module's
                # own is raised there again.
                pass
        n = len(next(iter(weights.values())))
        each = [of_one({name: value[i] for name, value in weights.items()}) for i in range(n)]
        return [np.stack([one[i] for one in each]) for i in range(len(each[0]))]

    def logits(self, theta, layout, x, batch):
        """Logits ``[n, N, C]``."""
        layout = self.check(layout)
        x = self._inputs(x)
        with torch.no_grad():
            many = None if vmap is None else lambda weights: [_array(vmap(lambda w: self._net(w)(x))(weights))]
            return self._chunks(theta, layout, batch, many, lambda w: [_array(self._net(w)(x))])[0]

    def cross_entropy(self, theta, layout, x, labels, batch):
        """Mean cross-entropies ``[n]`` and gradients ``[n, P]``."""
        x = self._inputs(x)
        y = torch.as_tensor(labels.astype(np.int64)).to(self.device)
        return self.graded(theta, self.check(layout), lambda net: nn.functional.cross_entropy(net(x), y), batch)

    def graded(self, theta, layout, loss, batch):
        """Losses ``[n]`` and gradients ``[n, P]``; buffers have the gradient 0."""

        def scalar(trained, fixed):
            value = loss(self._net({**trained, **fixed}))
            if value.dim() != 0:
                raise ValueError(f"loss: expected a scalar tensor, found shape {list(value.shape)}")
            return value

        def parts(weights):
            trained = {name: value for name, value in weights.items() if name in self.trained}
            return trained, {name: value for name, value in weights.items() if name not in self.trained}

        def joined(gradients, weights, n):
            rows = [
                gradients[name].reshape(n, -1) if name in gradients else torch.zeros_like(weights[name]).reshape(n, -1)
                for name, _ in layout
            ]
            return _array(torch.cat([row.float() for row in rows], 1))

        def many(weights):
            gradients, values = vmap(grad_and_value(scalar))(*parts(weights))
            return [_array(values).astype(np.float64), joined(gradients, weights, len(values))]

        def one(weights):
            trained, fixed = parts(weights)
            trained = {name: value.detach().clone().requires_grad_() for name, value in trained.items()}
            with torch.enable_grad():
                value = scalar(trained, fixed)
                given = torch.autograd.grad(value, list(trained.values()), allow_unused=True)
            gradients = {name: torch.zeros_like(t) if g is None else g for (name, t), g in zip(trained.items(), given)}
            return [np.float64(value.item()), joined(gradients, weights, 1)[0]]

        return self._chunks(theta, layout, batch, None if vmap is None else many, one)

    def values(self, theta, layout, loss, batch):
        """Losses ``[n]`` alone."""
        with torch.no_grad():
            many = None if vmap is None else lambda weights: [_array(vmap(lambda w: loss(self._net(w)))(weights))]
            values = self._chunks(theta, layout, batch, many, lambda w: [np.float64(loss(self._net(w)).item())])[0]
        return values.astype(np.float64)

    def _inputs(self, x):
        x = x if torch.is_tensor(x) else torch.as_tensor(np.asarray(x))
        return x.to(self.device, torch.float32) if x.is_floating_point() else x.to(self.device)


def _array(tensor):
    return tensor.detach().cpu().numpy()


def classifier(module):
    """A module as a function from inputs to logits, on the module's device, in evaluation mode."""

    def logits(x):
        training = module.training
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        module.eval()
        try:
            with torch.no_grad():
                rows = torch.as_tensor(np.asarray(x, dtype=np.float32)).split(1024)
                return np.concatenate([_array(module(part.to(device)).float()) for part in rows])
        finally:
            module.train(training)

    return logits


def recognise(module, input_shape=None):
    """The architecture of a module that the engine knows, its layers named so that the tensors' names are the module's.

    Returns
    -------
    (Architecture or None, str)
        None with the reason where the engine does not know the module.
    """
    from ._recognise import architecture

    return architecture(module, input_shape)

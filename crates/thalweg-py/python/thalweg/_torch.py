"""PyTorch: networks of any architecture evaluated by the user's module, and modules that the engine knows recognised.

Imported only where it is needed: the package works without PyTorch.
"""
import contextlib
import copy
import functools
import threading
import types
import warnings

import numpy as np
import torch
from torch import nn

from ._calls import Compiled, once, recurrent
from ._states import size

try:
    from torch.func import functional_call, grad_and_value, vmap

    # Tensors are given under all of their names.
    functional_call = functools.partial(functional_call, tie_weights=False)
except ImportError:
    from torch.nn.utils.stateless import functional_call

    warnings.filterwarnings("ignore", message="functional_call was passed multiple values for tied weights")

    try:
        from functorch import grad_and_value, vmap
    except ImportError:
        grad_and_value = vmap = None

#: Rows that go through a module at a time.
AT_ONCE = 512

#: A module that is called with other weights is changed meanwhile, and the library calls from several threads.
LOCK = threading.RLock()


def alone(method):
    """The method, by one thread at a time."""

    @functools.wraps(method)
    def locked(*args, **kwargs):
        with LOCK:
            return method(*args, **kwargs)

    return locked


def tensors(state):
    """Tensors of the arrays of a state dict, sharing their memory where they can be written to."""
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def loaded(module, state):
    """The module with the weights of a state dict, in evaluation mode. Tensors that are no weights may be missing: the module keeps its own."""
    own = {name: value for name, value in module.state_dict().items() if not _is_weights(value)}
    module.load_state_dict({**own, **tensors(state)})
    return module.eval()


def maker(of):
    """A function that makes modules: of an architecture (its tensors named as the layout's), of a module (copies), or the function that `of` is."""
    if of is None:
        raise ValueError("factory: expected what makes a module (MyNet), for networks of an unknown architecture")
    if isinstance(of, nn.Module):
        return lambda: copy.deepcopy(unwrapped(of))
    if not hasattr(of, "torch_source"):
        return of
    architecture = of
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
    """A module as a function of θ, many θ at a time.

    Parameters
    ----------
    module : torch.nn.Module, or Networks that are bound to one
        The module; what DataParallel or ``torch.compile`` put around it is taken off.
    layout : list of (str, shape), optional
        Names and shapes of the tensors of θ in order; those of the module's state dict, tied ones once, if not given.
    tied : dict, optional
        Other names of tensors of θ, with those that they have there.
    kept : dict, optional
        Tensors that θ does not hold, by name: frozen ones.
    """

    def __init__(self, module, layout=None, tied=None, kept=None):
        bound = getattr(module, "_module", None)
        module = bound.module if isinstance(bound, Functional) else module
        if not isinstance(module, nn.Module):
            found = f"the class {module.__name__}: give a module, {module.__name__}()" if isinstance(module, type) else type(module).__name__
            raise TypeError(f"module: expected a torch.nn.Module, found {found}")
        self.module = module = unwrapped(module)
        state = module.state_dict(keep_vars=True)
        compiled = isinstance(module, torch.jit.ScriptModule)
        # A compiled module gives its tensors anew whenever they are asked for.
        one = {name: value.data_ptr() if compiled else id(value) for name, value in state.items()}
        own = {name: list(value.shape) for name, value in state.items() if _is_weights(value)}
        first = next(iter(own), None)
        self.device = state[first].device if first else torch.device("cpu")
        self.types = {name: state[name].dtype for name in own}
        self.layout = [(name, own[name]) for name in once(one, own)] if layout is None else [(name, list(shape)) for name, shape in layout]
        for name, shape in self.layout:
            if own.get(name) != shape:
                raise ValueError(f"module: expected the tensor {name} of shape {shape}, found {own.get(name, 'no such tensor')}")
        known = {name for name, _ in self.layout}
        self.tied = {name: of for name, of in (tied or {}).items() if name in own and of in known}
        # Tensors that are one in the module follow the one that θ holds.
        by_tensor = {one[name]: name for name in known}
        self.tied.update({name: by_tensor[one[name]] for name in own if name not in known and one[name] in by_tensor})
        self.kept = {}
        for name, shape in own.items():
            if name in known or name in self.tied:
                continue
            value = (kept or {}).get(name)
            if value is None or list(np.shape(value)) != shape:
                raise ValueError(f"module: expected no tensor {name} of shape {shape}, which the networks do not have")
            self.kept[name] = torch.as_tensor(np.array(value)).to(self.device, self.types[name])
        buffers = {name for name, _ in module.named_buffers()}
        self.trained = {name for name, _ in self.layout if isinstance(state[name], nn.Parameter) or compiled and name not in buffers}

    def of(self, nets):
        """The same module for networks as a zoo, a model or networks have them."""
        return Functional(self.module, nets.layout, nets.tied, nets.buffers)

    def own(self):
        """The module's own weights ``[P]``."""
        state = self.module.state_dict()
        return np.concatenate([state[name].detach().float().cpu().numpy().ravel() for name, _ in self.layout])

    def _split(self, theta):
        """Tensors ``[n, *shape]`` by name."""
        theta = torch.as_tensor(np.ascontiguousarray(theta, dtype=np.float32)).to(self.device)
        out, offset = {}, 0
        for name, shape in self.layout:
            count = size(shape)
            out[name] = theta[:, offset:offset + count].reshape(-1, *shape).to(self.types[name])
            offset += count
        return out

    def _net(self, weights):
        weights = {**self.kept, **weights, **{name: weights[of] for name, of in self.tied.items()}}
        if isinstance(self.module, torch.jit.ScriptModule):
            return lambda *inputs: Compiled.apply(self.module, list(weights), inputs, *weights.values())
        return lambda *inputs: self._called(weights, inputs)

    def _called(self, weights, inputs):
        with recurrent(self.module):
            return functional_call(self.module, weights, inputs)

    def _parts(self, weights):
        """Weights that are trained, and those that are not."""
        trained = {name: value for name, value in weights.items() if name in self.trained}
        return trained, {name: value for name, value in weights.items() if name not in self.trained}

    def _joined(self, gradients, weights, n):
        """Gradients ``[n, P]`` in the order of θ, 0 for what is not trained."""
        rows = [
            gradients[name].reshape(n, -1) if name in gradients else torch.zeros(n, size(shape), device=self.device)
            for name, shape in self.layout
        ]
        return _array(torch.cat([row.float() for row in rows], 1))

    def _chunks(self, theta, batch, of_many, of_one):
        """Applies one of the functions to chunks of networks: `of_many` under vmap, `of_one` network by network where that is not possible."""
        with evaluating(self.module):
            parts = []
            for first in range(0, len(theta), max(batch, 1)):
                parts.append(self._chunk(self._split(theta[first:first + batch]), of_many, of_one))
            return [np.concatenate([part[i] for part in parts]) for i in range(len(parts[0]))]

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

    @alone
    def logits(self, theta, x, batch):
        """Logits ``[n, N, C]``, `AT_ONCE` rows and `batch` networks at a time."""
        parts = self._inputs(x).split(AT_ONCE)
        with torch.no_grad():
            many = None if vmap is None else lambda x: lambda weights: [_logits(vmap(lambda w: self._net(w)(x))(weights), 3, x)]
            one = lambda x: lambda w: [_logits(self._net(w)(x), 2, x)]
            each = [self._chunks(theta, batch, many and many(x), one(x))[0] for x in parts]
        return each[0] if len(each) == 1 else np.concatenate(each, 1)

    def cross_entropy(self, theta, x, labels, batch):
        """Mean cross-entropies ``[n]`` and gradients ``[n, P]``."""
        x = self._inputs(x)
        y = torch.as_tensor(labels.astype(np.int64)).to(self.device)
        if len(x) != len(y):
            raise ValueError(f"labels: expected [{len(x)}], as there are inputs, found [{len(y)}]")
        return self.graded(theta, lambda net: nn.functional.cross_entropy(net(x), y), batch)

    @alone
    def graded(self, theta, loss, batch):
        """Losses ``[n]`` and gradients ``[n, P]``; buffers have the gradient 0."""

        def scalar(trained, fixed):
            value = loss(self._net({**trained, **fixed}))
            if value.dim() != 0:
                raise ValueError(f"loss: expected a scalar tensor, found shape {list(value.shape)}")
            return value

        def many(weights):
            gradients, values = vmap(grad_and_value(scalar))(*self._parts(weights))
            return [_array(values).astype(np.float64), self._joined(gradients, weights, len(values))]

        def one(weights):
            trained, fixed = self._parts(weights)
            value, gradients = _differentiated(lambda trained: scalar(trained, fixed), trained)
            return [np.float64(value.item()), self._joined(gradients, weights, 1)[0]]

        return self._chunks(theta, batch, None if vmap is None else many, one)

    @alone
    def pulled_back(self, theta, x, slopes, batch):
        """For one network ``theta [1, P]``, Jᵀ slope ``[K, P]`` at each of the inputs ``[K, ...]`` by itself, with slopes ``[K, C]`` by the logits."""
        (trained, fixed), x = self._parts({name: value[0] for name, value in self._split(theta).items()}), self._inputs(x)
        slopes = torch.as_tensor(slopes).to(self.device)

        def along(trained, x, slope):
            return (self._net({**trained, **fixed})(x[None])[0] * slope).sum()

        def many(x, slopes):
            gradients, values = vmap(grad_and_value(along), (None, 0, 0))(trained, x, slopes)
            return self._joined(gradients, trained, len(values))

        def one(x, slope):
            return self._joined(_differentiated(lambda trained: along(trained, x, slope), trained)[1], trained, 1)

        with evaluating(self.module):
            pairs = zip(x.split(max(batch, 1)), slopes.split(max(batch, 1)))
            if vmap is not None:
                try:
                    return np.concatenate([many(x, slope) for x, slope in pairs])
                except RuntimeError:  # as in `_chunk`
                    pass
            return np.concatenate([one(*pair) for pair in zip(x, slopes)])

    @alone
    def differentiable(self, theta, x):
        """Logits ``[n, N, C]`` on inputs ``[m, N, ...]``, the same for all networks (m = 1) or their own (m = n), and a function from slopes
        ``[n, N, C]`` by them to gradients ``[n, P]``."""
        x, weights = self._inputs(x), self._split(theta)
        trained, fixed = self._parts({name: value.detach() for name, value in weights.items()})
        trained = {name: value.requires_grad_() for name, value in trained.items()}
        weights_of = lambda i: {name: value[i] for part in (trained, fixed) for name, value in part.items()}

        def each():
            return torch.stack([self._net(weights_of(i))(x[0 if len(x) == 1 else i]) for i in range(len(theta))])

        def together():
            net = lambda trained, fixed, x: self._net({**trained, **fixed})(x)
            return vmap(net, (0, 0, None if len(x) == 1 else 0))(trained, fixed, x[0] if len(x) == 1 else x)

        with evaluating(self.module), torch.enable_grad():
            try:
                logits = each() if vmap is None else together()
            except RuntimeError:  # as in `_chunk`
                logits = each()

        @alone
        def pull(slopes):
            slopes = torch.as_tensor(slopes).to(logits.device, logits.dtype)
            along = lambda logits: torch.autograd.grad(logits, list(trained.values()), slopes, allow_unused=True)
            try:
                given = along(logits)
            except RuntimeError:
                # Under vmap PyTorch takes ways through some layers (attention) that have no derivative.
                with evaluating(self.module), torch.enable_grad():
                    given = along(each())
            known = {name: g for name, g in zip(trained, given) if g is not None}
            return self._joined(known, weights, len(theta))

        return _logits(logits, 3, x[0]), pull

    @alone
    def values(self, theta, loss, batch):
        """Losses ``[n]`` alone."""
        with torch.no_grad():
            many = None if vmap is None else lambda weights: [_array(vmap(lambda w: loss(self._net(w)))(weights))]
            values = self._chunks(theta, batch, many, lambda w: [np.float64(loss(self._net(w)).item())])[0]
        return values.astype(np.float64)

    def _inputs(self, x):
        x = x if torch.is_tensor(x) else torch.as_tensor(np.asarray(x))
        own = next((kind for kind in self.types.values()), torch.float32)
        return x.to(self.device, own) if x.is_floating_point() else x.to(self.device)


class Evaluation:
    """Networks of a module on test inputs with probe inputs, for the library's judgement."""

    def __init__(self, functional, x, probe, classes, batch):
        self.functional, self.x, self.probe = functional, x, probe
        self.rows, self.classes, self.probes, self.batch = len(x), classes, 0 if probe is None else len(probe), batch

    def logits(self, theta):
        """Logits ``[n, N, C]`` on test inputs."""
        return self.functional.logits(theta, self.x, self.batch)

    def probe_logits(self, theta, rows):
        """Logits ``[K, C]`` of one network on probe inputs."""
        return self.functional.logits(theta, self.probe[rows.astype(np.int64)], self.batch)[0]

    def pull_back(self, theta, rows, slopes):
        """Jᵀ slopes ``[K, P]`` of one network on probe inputs."""
        return self.functional.pulled_back(theta, self.probe[rows.astype(np.int64)], slopes, AT_ONCE)


@contextlib.contextmanager
def evaluating(module):
    """The module in evaluation mode; the mode of each part is put back afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def unwrapped(module):
    """The module that DataParallel or ``torch.compile`` was put around."""
    while True:
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        elif type(module).__name__ == "OptimizedModule":
            module = module._orig_mod
        else:
            return module


def _differentiated(function, weights):
    """The value of a function of tensors by name, and its gradients; 0 for what it does not depend on."""
    weights = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
    with torch.enable_grad():
        value = function(weights)
        given = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
    return value, {name: torch.zeros_like(t) if g is None else g for (name, t), g in zip(weights.items(), given)}


def _logits(given, dimensions, x):
    """Logits as float32, after it was found that they are some."""
    shape = list(given.shape) if torch.is_tensor(given) else type(given).__name__
    if not torch.is_tensor(given) or given.dim() != dimensions or given.shape[-2] != len(x):
        raise ValueError(f"module: expected logits of shape [{len(x)}, C] for {len(x)} inputs, found {shape[dimensions - 2:] if isinstance(shape, list) else shape}")
    return _array(given.float())


def _array(tensor):
    return tensor.detach().cpu().numpy()


def classifier(module):
    """A module as a function from inputs to logits, on the module's device, in evaluation mode."""

    def logits(x):
        first = next((p for p in module.parameters()), torch.zeros(0))
        x = x.detach() if torch.is_tensor(x) else torch.as_tensor(np.asarray(x))
        x = x.to(first.dtype) if x.is_floating_point() else x
        with evaluating(module), torch.no_grad():
            return np.concatenate([_logits(module(part.to(first.device)), 2, part) for part in x.split(AT_ONCE)])

    return logits

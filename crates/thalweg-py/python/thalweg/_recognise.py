"""Modules of PyTorch as architectures of the engine, where their layers form a chain (with residual additions) of the usual ones."""
import operator

import numpy as np
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F

from . import _core
from ._states import size
from ._torch import evaluating


class _Unknown(Exception):
    """Why a module is not the engine's."""


def architecture(module, input_shape):
    """(Architecture, "") of a module, or (None, reason)."""
    try:
        with evaluating(module):
            chain = _Chain(module, _input_shape(module, input_shape))
            found = _core.Architecture.from_dict(chain.to_dict(type(module).__name__))
            _check_names(found, module)
            _check_probe(found, module, chain.input)
        return found, ""
    except (_Unknown, ValueError) as e:
        return None, str(e)
    except (TypeError, KeyError) as e:  # arguments of a function that have no place in the engine's
        return None, f"an operation with other arguments ({e})"


def _input_shape(module, given):
    if given is not None:
        return tuple(given)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            return (layer.in_features,)
        if isinstance(layer, (nn.Conv2d, nn.Conv1d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d)):
            raise _Unknown("inputs of an unknown shape (give input_shape=(channels, height, width), or (channels, length))")
    raise _Unknown("no layer that tells the shape of its inputs")


def _sides(what, value):
    """One number for all sides, or a list of them."""
    sides = [value] if isinstance(value, int) else list(value) if isinstance(value, (tuple, list)) else []
    if not sides or not all(isinstance(side, int) for side in sides):
        raise _Unknown(f"{what} {value}")
    return sides[0] if len(set(sides)) == 1 else sides


def _conv(layer):
    if layer.padding_mode != "zeros":
        raise _Unknown(f"{layer}")
    sides = {
        name: _sides(name, getattr(layer, attribute))
        for name, attribute in [("kernel", "kernel_size"), ("stride", "stride"), ("padding", "padding"), ("dilation", "dilation")]
    }
    kind = "conv1d" if isinstance(layer, nn.Conv1d) else "conv"
    return dict(kind=kind, out=layer.out_channels, groups=layer.groups, bias=layer.bias is not None, **sides)


def _linear(layer):
    return dict(kind="dense", out=layer.out_features, bias=layer.bias is not None)


def _group_norm(layer):
    if not layer.affine:
        raise _Unknown(f"{layer}")
    return dict(kind="group-norm", groups=layer.num_groups, eps=layer.eps)


def _layer_norm(layer):
    if not layer.elementwise_affine or getattr(layer, "bias", True) is None:
        raise _Unknown(f"{layer}")
    return dict(kind="layer-norm", over="features" if len(layer.normalized_shape) == 1 else "all", eps=layer.eps)


def _norm(layer):
    if not layer.affine or not layer.track_running_stats or layer.momentum is None:
        raise _Unknown(f"{layer}")
    return dict(kind="batch-norm", eps=layer.eps, momentum=layer.momentum)


def _pool(kind, size, stride=None, padding=0, dilation=1, ceil_mode=False, **other):
    plain = _sides("dilation", dilation) == 1 and not ceil_mode
    if not plain or other.get("divisor_override") or other.get("return_indices"):
        raise _Unknown(f"{kind} with dilation, ceil_mode or other options")
    size = _sides("window", size)
    counted = {} if other.get("count_include_pad", True) else dict(count_padding=False)
    stride = size if stride in (None, []) else _sides("stride", stride)
    return dict(kind=kind, size=size, stride=stride, padding=_sides("padding", padding), **counted)


def _one(value):
    return value if isinstance(value, int) else value[0]


def _pool1d(kind, layer):
    """A pool along a sequence, which is an image of height 1."""
    across = [[rest, _one(getattr(layer, name))] for rest, name in [(1, "kernel_size"), (1, "stride"), (0, "padding")]]
    options = {name: getattr(layer, name) for name in ("dilation", "ceil_mode", "return_indices", "count_include_pad") if hasattr(layer, name)}
    return _pool(kind, *across, **options)


def _gelu(approximate="none"):
    if approximate != "none":
        raise _Unknown(f"gelu with approximate={approximate}")
    return dict(kind="gelu")


def _softplus(beta=1, threshold=20):
    if beta != 1 or threshold < 20:
        raise _Unknown(f"softplus with beta={beta}, threshold={threshold}")
    return dict(kind="softplus")


MODULES = {
    nn.Conv2d: _conv,
    nn.Conv1d: _conv,
    nn.Linear: _linear,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.MaxPool2d: lambda m: _pool("max-pool", m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, return_indices=m.return_indices),
    nn.AvgPool2d: lambda m: _pool("avg-pool", m.kernel_size, m.stride, m.padding, 1, m.ceil_mode,
                                  divisor_override=m.divisor_override, count_include_pad=m.count_include_pad),
    nn.MaxPool1d: lambda m: _pool1d("max-pool", m),
    nn.AvgPool1d: lambda m: _pool1d("avg-pool", m),
    nn.AdaptiveAvgPool2d: lambda m: dict(kind="adaptive-avg-pool", size=_sides("output size", m.output_size)),
    nn.AdaptiveAvgPool1d: lambda m: dict(kind="adaptive-avg-pool", size=[1, _one(m.output_size)]),
    nn.ReLU: lambda m: dict(kind="relu"),
    nn.ReLU6: lambda m: dict(kind="relu6"),
    nn.ELU: lambda m: dict(kind="elu", alpha=m.alpha),
    nn.PReLU: lambda m: dict(kind="prelu", channels=m.num_parameters > 1),
    nn.Sigmoid: lambda m: dict(kind="sigmoid"),
    nn.Hardswish: lambda m: dict(kind="hard-swish"),
    nn.LeakyReLU: lambda m: dict(kind="leaky-relu", slope=m.negative_slope),
    nn.Tanh: lambda m: dict(kind="tanh"),
    nn.GELU: lambda m: _gelu(getattr(m, "approximate", "none")),
    nn.SiLU: lambda m: dict(kind="silu"),
    nn.Softplus: lambda m: _softplus(m.beta, m.threshold),
    nn.Dropout: lambda m: dict(kind="dropout", p=m.p),
}


def _leaky(negative_slope=0.01, inplace=False):
    return dict(kind="leaky-relu", slope=negative_slope)


def _of(kind):
    return lambda *_, **__: dict(kind=kind)


FUNCTIONS = {
    torch.relu: _of("relu"), F.relu: _of("relu"), "relu": _of("relu"), "relu_": _of("relu"),
    torch.sigmoid: _of("sigmoid"), F.sigmoid: _of("sigmoid"), "sigmoid": _of("sigmoid"),
    F.relu6: _of("relu6"), F.hardswish: _of("hard-swish"),
    F.adaptive_avg_pool2d: lambda size, *_, **__: dict(kind="adaptive-avg-pool", size=_sides("output size", size)),
    torch.tanh: _of("tanh"), F.tanh: _of("tanh"), "tanh": _of("tanh"),
    F.silu: _of("silu"), F.gelu: _gelu, F.softplus: _softplus, F.leaky_relu: _leaky,
    F.dropout: lambda p=0.5, *_, **__: dict(kind="dropout", p=p),
    F.max_pool2d: lambda *a, **k: _pool("max-pool", *a, **{("size" if n == "kernel_size" else n): v for n, v in k.items()}),
    F.avg_pool2d: lambda kernel_size, stride=None, padding=0, ceil_mode=False, *_, **k: _pool(
        "avg-pool", kernel_size, stride, padding, 1, ceil_mode, **k),
}
FUNCTIONS[torch.max_pool2d] = FUNCTIONS[F.max_pool2d]

#: What only changes shapes; flattening is told by what comes out.
SHAPES = {torch.flatten, torch.reshape, "flatten", "view", "reshape"}
ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
SAME = {"contiguous"}


class _Chain:
    """The layers of a module in the order in which inputs go through them."""

    def __init__(self, module, input_shape):
        self.input, self.module = input_shape, module
        try:
            traced = fx.symbolic_trace(module)
            parameter = next(module.parameters(), torch.zeros(0))
            ShapeProp(traced).propagate(torch.zeros(2, *input_shape, device=parameter.device))
        except Exception as e:
            raise _Unknown(f"a module that cannot be traced on inputs {list(input_shape)} ({type(e).__name__}: {e})") from e
        self.layers, self.at, self.tail = [], {}, None
        #: The way beside the present one from a place that both began at: that place, its layers, where it ended.
        self.beside = None
        for node in traced.graph.nodes:
            self._take(node)

    def _take(self, node):
        if node.op == "placeholder":
            if self.tail is not None:
                raise _Unknown("several inputs")
            self._moved(node)
        elif node.op == "output":
            if node.args[0] is not self.tail or self.beside is not None:
                raise _Unknown("several outputs")
        elif _shape(node) is not None:
            self._operation(node)

    def _moved(self, node):
        self.tail, self.at[node] = node, len(self.layers)

    def _operation(self, node):
        if node.op == "get_attr":
            raise _Unknown(f"the tensor {node.target} outside of a layer")
        if node.op != "call_module" and node.target in ADDITIONS:
            return self._residual(node)
        if node.args and node.args[0] is not self.tail and node.args[0] in self.at and self.beside is None:
            self._branch(node.args[0])
        if not node.args or node.args[0] is not self.tail:
            raise _Unknown(f"{node.target}, which does not take what comes before it alone")
        if node.op == "call_module":
            self._module(node.target)
        elif node.target in SHAPES:
            self._flatten(node)
        elif node.target in FUNCTIONS:
            self.layers.append(FUNCTIONS[node.target](*node.args[1:], **node.kwargs))
        elif node.target not in SAME:
            raise _Unknown(f"the operation {getattr(node.target, '__name__', node.target)}")
        self._moved(node)

    def _module(self, target):
        layer = self.module.get_submodule(target)
        kind = type(layer)
        if kind is nn.Identity:
            return
        if kind is nn.Flatten:
            self.layers.append(dict(kind="flatten"))
        elif kind in MODULES:
            made = MODULES[kind](layer)
            if any(True for _ in layer.parameters()):
                made["name"] = target
            self.layers.append(made)
        else:
            raise _Unknown(f"the layer {kind.__name__}")

    def _branch(self, start):
        """A second way from `start`, beside the one that was just followed."""
        first = self.at[start]
        self.beside = (first, self.layers[first:], self.tail)
        self.layers, self.tail = self.layers[:first], start
        self.at = {end: place for end, place in self.at.items() if place <= first}

    def _flatten(self, node):
        before, after = _shape(self.tail), _shape(node)
        if after == before:
            return
        if len(after) != 2 or after[0] != before[0]:
            raise _Unknown(f"a change of shape from {before} to {after}")
        self.layers.append(dict(kind="flatten"))

    def _residual(self, node):
        first, ways = self._ways(node)
        prefix = _common([layer["name"] for way in ways for layer in way if "name" in layer])
        within = [
            [{**layer, "name": layer["name"][len(prefix) + 1:]} if "name" in layer else layer for layer in way] for way in ways
        ]
        residual = dict(kind="residual", layers=within[0], **({"name": prefix} if prefix else {}))
        if within[1]:
            residual["shortcut"] = within[1]
        # Nodes within the branch cannot be returned to.
        self.at = {end: place for end, place in self.at.items() if place <= first}
        self.layers[first:] = [residual]
        self._moved(node)

    def _ways(self, node):
        """Where the two summands of an addition parted, and the layers of both ways, the longer first."""
        ends = [end for end in node.args if isinstance(end, fx.Node)]
        others = [end for end in ends if end is not self.tail]
        if len(ends) != 2 or len(others) != 1 or node.kwargs:
            raise _Unknown("an addition that is no residual connection")
        if self.beside is not None:
            first, main, end = self.beside
            ways = sorted([main, self.layers[first:]], key=len, reverse=True)
            self.beside = None
            if others[0] is not end or not all(ways):
                raise _Unknown("an addition that is no residual connection")
            return first, ways
        first = self.at.get(others[0], len(self.layers))
        if not self.layers[first:]:
            raise _Unknown("an addition that is no residual connection")
        return first, [self.layers[first:], []]

    def to_dict(self, name):
        """The architecture's dict."""
        return dict(name=name, input=list(self.input), layers=self.layers)


def _shape(node):
    meta = node.meta.get("tensor_meta")
    return list(meta.shape) if hasattr(meta, "shape") else None


def _common(names):
    """What dotted names have in common at their beginning; none of them is all of it."""
    if not names:
        return ""
    parts = [name.split(".")[:-1] for name in names]
    common = []
    for at in zip(*parts):
        if len(set(at)) != 1:
            break
        common.append(at[0])
    if not common:
        raise _Unknown(f"a residual connection around layers without a common name: {', '.join(names)}")
    return ".".join(common)


def _check_names(found, module):
    own = {name: list(v.shape) for name, v in module.state_dict().items() if v.is_floating_point() and v.numel() > 0}
    layout = found.layout
    if len(layout) != len(own) or any(own.get(name) != list(shape) for name, shape in layout):
        raise _Unknown("tensors that are used otherwise than once, each in its layer")


def _check_probe(found, module, input_shape):
    """Holds the engine's logits against the module's on a few rows."""
    from ._torch import classifier

    rows = np.random.default_rng(0).normal(size=(5, *input_shape)).astype(np.float32)
    state = module.state_dict()
    theta = np.concatenate([state[name].detach().float().cpu().numpy().ravel() for name, _ in found.layout])[None]
    theirs = classifier(module)(rows)
    ours = _core.logits(found, theta, rows.reshape(5, size(input_shape)), lambda *_: None)[0]
    if theirs.shape != ours.shape or not np.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * (1 + np.abs(theirs).max())):
        raise _Unknown("a module whose logits are not those of its layers in the engine")

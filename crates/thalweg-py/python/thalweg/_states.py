"""State dicts: layouts, prefixes, and flat vectors of weights."""
import os
from collections.abc import Mapping

import numpy as np

from . import _core
from ._arrays import to_numpy

#: What DataParallel and torch.compile put before all names.
WRAPPERS = ("module.", "_orig_mod.")


def size(shape):
    """Numbers in a tensor."""
    return int(np.prod(shape, dtype=np.int64))


def arrays(state):
    """The tensors of a state dict as arrays, by name, without what a wrapper put before all names."""
    if not isinstance(state, Mapping):
        raise TypeError(f"expected a state dict (names to tensors), found {type(state).__name__}")
    out = {str(name): to_numpy(value) for name, value in state.items() if hasattr(value, "shape")}
    stripped = True
    while stripped:
        stripped = False
        for prefix in WRAPPERS:
            if out and all(name.startswith(prefix) for name in out):
                out = {name[len(prefix):]: value for name, value in out.items()}
                stripped = True
    return out


def is_weights(array):
    """Whether a tensor is part of θ (floats) and no counter or mask."""
    return array.dtype.kind == "f" and array.size > 0


def views(theta, layout):
    """The tensors of one θ ``[P]`` by name: views, no copies."""
    out, offset = {}, 0
    for name, shape in layout:
        count = size(shape)
        out[name] = theta[offset:offset + count].reshape(shape)
        offset += count
    return out


def flat(state, layout):
    """θ ``[P]`` of a state dict by the names of a layout.

    Raises
    ------
    ValueError
        A tensor that is missing, of another shape, or one too many.
    """
    state = arrays(state)
    parts = []
    for name, shape in layout:
        if name not in state:
            raise ValueError(f"tensor {name}: expected shape {list(shape)}, found no such tensor")
        if tuple(state[name].shape) != tuple(shape):
            raise ValueError(f"tensor {name}: expected shape {list(shape)}, found {list(state[name].shape)}")
        parts.append(np.asarray(state[name], dtype=np.float32).ravel())
    known = {name for name, _ in layout}
    extra = [name for name, value in state.items() if name not in known and is_weights(value)]
    if extra:
        raise ValueError(f"tensor {extra[0]}: expected no such tensor")
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def layout_of(state):
    """Names and shapes of the weights of a state dict, in its order."""
    return [(name, list(value.shape)) for name, value in arrays(state).items() if is_weights(value)]


def buffers_of(state):
    """What θ does not hold of a state dict: counters, masks, empty tensors."""
    return {name: value for name, value in arrays(state).items() if not is_weights(value)}


def packed(state):
    """(name, type, shape, bytes) of each tensor, as the compiled half writes them into a file."""
    out = []
    for name, value in arrays(state).items():
        value = np.asarray(value, order="C")
        out.append((name, value.dtype.name, list(value.shape), value.tobytes()))
    return out


#: The file of counters and masks beside a zoo or a model that has some.
BUFFERS = "buffers.safetensors"


def write_buffers(folder, buffers):
    """Keeps counters and masks beside a zoo or model: a plain safetensors file, which the library passes over."""
    if buffers:
        _core.write_tensors(os.path.join(os.fspath(folder), BUFFERS), packed(buffers), None)


def read_buffers(folder):
    """Counters and masks that :func:`write_buffers` kept; none where there is no such file."""
    path = os.path.join(os.fspath(folder), BUFFERS)
    if not os.path.exists(path):
        return {}
    return {name: np.frombuffer(data, kind).reshape(shape) for name, kind, shape, data in _core.read_tensors(path)}

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


def is_state(value):
    """Whether `value` is a state dict, or a module that has one."""
    return isinstance(value, Mapping) or hasattr(value, "state_dict") and not isinstance(value, type)


def arrays(state):
    """The tensors of a state dict, or of a module, as arrays, by name, without what a wrapper put before all names."""
    if not is_state(state):
        raise TypeError(f"expected a state dict (names to tensors), found {type(state).__name__}")
    state = state if isinstance(state, Mapping) else state.state_dict()
    within = next((name for name, value in state.items() if isinstance(value, Mapping)), None)
    if within is not None and not any(hasattr(value, "shape") for value in state.values()):
        raise ValueError(f"expected a state dict (names to tensors), found a dict with another one under {within!r}: give that one")
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


def whole(weights, tied, buffers):
    """The state dict of one network: its weights, under all names of tied ones, and what θ does not hold."""
    return {**weights, **{name: weights[own] for name, own in tied.items()}, **buffers}


def flat(state, layout, known=()):
    """θ ``[P]`` of a state dict by the names of a layout; it may hold other tensors by the names `known`.

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
    known = {*known, *(name for name, _ in layout)}
    extra = [name for name, value in state.items() if name not in known and is_weights(value)]
    if extra:
        raise ValueError(f"tensor {extra[0]}: expected no such tensor")
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def layout_of(state):
    """Names and shapes of the weights of a state dict, in its order."""
    return [(name, list(value.shape)) for name, value in arrays(state).items() if is_weights(value)]


def packed(state):
    """(name, type, shape, bytes) of each tensor, as the compiled half writes them into a file."""
    out = []
    for name, value in arrays(state).items():
        value = np.asarray(value, order="C")
        out.append((name, value.dtype.name, list(value.shape), value.tobytes()))
    return out


#: The file in which earlier versions kept counters and masks beside a zoo or a model.
BUFFERS = "buffers.safetensors"


def read_buffers(folder):
    """Counters and masks that an earlier version kept; none where there is no such file."""
    path = os.path.join(os.fspath(folder), BUFFERS)
    return unpacked(_core.read_tensors(path)) if os.path.exists(path) else {}


def unpacked(tensors):
    """Arrays of (name, type, shape, bytes)."""
    return {name: np.frombuffer(data, kind).reshape(shape) for name, kind, shape, data in tensors}


def same_arrays(a, b):
    """Whether both hold the same arrays under the same names."""
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def is_bytes(array):
    """Whether a tensor holds more than one integer of 8 bits, which as weights would be refused."""
    return array.dtype.kind in "iu" and array.dtype.itemsize == 1 and array.size > 1

"""Arrays and tensors of all kinds as the C-contiguous NumPy arrays that the compiled half takes."""
import operator

import numpy as np


def is_tensor(value):
    """Whether `value` is a tensor of PyTorch, told without importing it."""
    return type(value).__module__.split(".")[0] == "torch" or hasattr(value, "detach")


def to_numpy(value):
    """An array of NumPy; tensors are brought to the CPU, bfloat16 becomes float32."""
    if is_tensor(value):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return value.numpy()
    return np.asarray(value)


def floats(what, value, wide=None):
    """`value` as float32 ``[N, D]``: further dimensions are flattened.

    Parameters
    ----------
    what : str
        The argument's name in errors.
    value : array_like
        ``[N, ...]``.
    wide : int, optional
        D, where it is known.
    """
    array = np.asarray(to_numpy(value))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what}: expected numbers, found {array.dtype}")
    if array.ndim == 1:
        array = array[:, None] if wide == 1 else array[None, :] if array.shape[0] == wide else array[:, None]
    if array.ndim == 0:
        raise ValueError(f"{what}: expected shape [N, {wide or 'D'}], found a number")
    array = np.ascontiguousarray(array.reshape(array.shape[0], int(np.prod(array.shape[1:]))), dtype=np.float32)
    if wide is not None and array.shape[1] != wide:
        raise ValueError(f"{what}: expected shape [N, {wide}], found {list(array.shape)}")
    return array


def count(what, value):
    """A whole number from 0, of Python or NumPy."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what}: expected a whole number, found {value!r}") from None
    if number < 0:
        raise ValueError(f"{what}: expected a whole number from 0, found {number}")
    return number


def as_rows(value):
    """`value` as a tensor of PyTorch, where it is one, or an array, ``[N, ...]``."""
    return value.detach() if is_tensor(value) else np.asarray(value)


def labels(value):
    """Labels as uint32 ``[N]``."""
    array = np.asarray(to_numpy(value))
    if array.ndim == 2 and array.shape[1] == 1:  # a column of a frame
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"labels: expected shape [N], found {list(array.shape)}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"labels: expected whole numbers from 0, found {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("labels: expected whole numbers from 0, found numbers that are not finite")
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise ValueError("labels: expected whole numbers from 0, found fractions")
    if array.size and array.min() < 0:
        raise ValueError(f"labels: expected whole numbers from 0, found {array.min()}")
    return np.ascontiguousarray(array, dtype=np.uint32)

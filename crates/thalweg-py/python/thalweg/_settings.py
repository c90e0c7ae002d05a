"""Settings that a user gives as keywords and dicts, laid over the libraries' defaults."""


def renamed(value, old, new):
    """The dict with `old` replaced by `new` in all keys, at every depth: Python's names are written with underscores."""
    if isinstance(value, dict):
        return {key.replace(old, new): renamed(inner, old, new) for key, inner in value.items()}
    return value


def laid_over(base, over, place=""):
    """`base` with what `over` says in its place, table by table; `place` is what comes before their keys in errors.

    A choice (one of several tables, as a method with its parameters) is replaced where another one is given.
    """
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            one_each = len(below) == 1 and len(value) == 1 and below.keys() != value.keys()
            out[key] = value if one_each else laid_over(below, value, f"{place}{key}.")
        else:
            out[key] = _like(below, value, place + key)
    return out


def _like(default, value, what):
    """The value, where it is of the kind that its default is of."""
    if value is None:
        return value
    whole = isinstance(default, int) and not isinstance(default, bool)
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)
    if whole and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError(f"{what}: expected a whole number from 0, found {value!r}")
    if isinstance(default, float) and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        raise ValueError(f"{what}: expected a number, found {value!r}")
    if isinstance(default, bool) and not isinstance(value, bool):
        raise ValueError(f"{what}: expected True or False, found {value!r}")
    return value


def plain(value):
    """`value` made of dicts, lists, strings and numbers: objects with a `to_dict` give theirs, numbers of NumPy become Python's."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value

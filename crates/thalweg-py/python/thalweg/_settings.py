"""Settings that a user gives as keywords and dicts, laid over the libraries' defaults."""


def renamed(value, old, new):
    """The dict with `old` replaced by `new` in all keys, at every depth: Python's names are written with underscores."""
    if isinstance(value, dict):
        return {key.replace(old, new): renamed(inner, old, new) for key, inner in value.items()}
    return value


def laid_over(base, over):
    """`base` with what `over` says in its place, table by table.

    A choice (one of several tables, as a method with its parameters) is replaced where another one is given.
    """
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            one_each = len(below) == 1 and len(value) == 1 and below.keys() != value.keys()
            out[key] = value if one_each else laid_over(below, value)
        else:
            out[key] = value
    return out


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

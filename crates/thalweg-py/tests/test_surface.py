"""Stubs, annotations and docstrings are those of what is there."""
import ast
import inspect
from pathlib import Path

import pytest
import thalweg as tw
from thalweg import _core

PACKAGE = Path(tw.__file__).parent


def parameters(node):
    return [a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs] if a.arg != "self"]


def test_the_stub_is_of_the_compiled_half():
    tree = ast.parse((PACKAGE / "_core.pyi").read_text())
    stub = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"}
    numbers = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id[0] != "_"}
    there = {name for name in dir(_core) if not name.startswith("_")}
    assert set(stub) | numbers == there and all(isinstance(getattr(_core, name), int) for name in numbers)
    for name, node in stub.items():
        real = getattr(_core, name)
        if isinstance(node, ast.FunctionDef):
            assert parameters(node) == list(inspect.signature(real).parameters), name
            continue
        methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
        assert set(methods) == {n for n in vars(real) if not n.startswith("_")}, name
        for method, stubbed in methods.items():
            if callable(getattr(real, method)):
                found = [p for p in inspect.signature(getattr(real, method)).parameters if p != "self"]
                assert parameters(stubbed) == found, f"{name}.{method}"


@pytest.mark.parametrize("module", [tw, tw.data, tw.latent, tw.metrics, tw.rewards, tw.shift], ids=lambda m: m.__name__)
def test_everything_public_is_annotated_and_documented(module):
    names = getattr(module, "__all__", None) or [
        n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__ and not n.startswith("_")
    ]
    assert names and (PACKAGE / "py.typed").exists()
    for name in names:
        value = getattr(module, name)
        if inspect.ismodule(value) or isinstance(value, str):
            continue
        assert value.__doc__, name
        members = [value] if inspect.isfunction(value) else [
            getattr(value, n) for n in vars(value) if not n.startswith("_") and callable(getattr(value, n))
        ]
        for member in members:
            assert member.__doc__, (name, member)
            try:
                signature = inspect.signature(member)
            except ValueError:
                continue
            if module is tw and member.__class__.__name__.startswith(("builtin", "method_desc")):
                continue
            for parameter in signature.parameters.values():
                typed = parameter.annotation is not parameter.empty
                assert typed or parameter.name in ("self", "theta"), (name, member, parameter)


def test_doctests_of_the_package():
    import doctest

    for module in (tw.zoo, tw.model, tw.metrics, tw.networks, tw.shift):
        failed, tried = doctest.testmod(module, extraglobs={"tw": tw})
        assert not failed
    assert doctest.testmod(tw.zoo, extraglobs={"tw": tw}).attempted > 3

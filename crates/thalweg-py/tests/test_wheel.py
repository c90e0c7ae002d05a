"""Wheels say which systems they are for (their tags are looked at in `.ci/run`, which builds one)."""
import sys
from pathlib import Path

import pytest

maturin = pytest.importorskip("maturin", reason="maturin is not installed")


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1]))
    monkeypatch.delenv("MATURIN_PEP517_ARGS", raising=False)
    sys.modules.pop("build_backend", None)
    import build_backend

    asked = []
    monkeypatch.setattr(maturin, "build_wheel", lambda folder, settings, metadata: asked.append(maturin.get_maturin_pep517_args(settings)))
    return build_backend, asked


def test_a_tag_is_asked_for_unless_the_caller_asks_for_one(backend):
    backend, asked = backend
    backend.build_wheel("wheels")
    backend.build_wheel("wheels", {"build-args": "--profile dev"})
    backend.build_wheel("wheels", {"maturin.build-args": "--compatibility linux"})
    backend.build_wheel("wheels", {"build-args": ["--compatibility=manylinux_2_28"]})
    assert asked == [
        ["--compatibility", "pypi"], ["--profile", "dev", "--compatibility", "pypi"], ["--compatibility", "linux"], ["--compatibility=manylinux_2_28"],
    ]
    assert backend.build_editable is maturin.build_editable and backend.build_sdist is maturin.build_sdist

"""Maturin as the build backend, with wheels that say which systems they are for.

Maturin gives wheels that `pip` builds the tag ``linux_x86_64``, which no index takes and which promises nothing. Here they get the lowest manylinux (or musllinux)
tag that what they link allows. A compatibility that the caller names counts: ``pip wheel . -C build-args="--compatibility linux"``.
"""
import maturin
from maturin import *  # noqa: F403 (every other hook is maturin's own)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    settings = dict(config_settings or {})
    name = "maturin.build-args" if "maturin.build-args" in settings else "build-args"
    given = maturin.get_maturin_pep517_args(config_settings)
    if not any(word.split("=")[0] in ("--compatibility", "--manylinux") for word in given):
        settings[name] = [*given, "--compatibility", "pypi"]
    return maturin.build_wheel(wheel_directory, settings, metadata_directory)

"""How long work is shown: nothing, a bar, or the caller's own function."""
from __future__ import annotations

import logging
import sys
from typing import Callable, Optional, Union

LOG = logging.getLogger("thalweg")

#: The argument `progress` of public functions.
Progress = Optional[Union[bool, Callable[[str, int, int], None]]]


class Observer:
    """What the compiled half calls, some twenty times a second: ``(what, done, total, notes)``.

    Notes (how names were read, how inputs are standardised, ...) go to the logger ``thalweg``.
    """

    def __init__(self, show, words=str):
        self.show, self.words = show, words

    def __call__(self, what, done, total, notes):
        for note in notes:
            LOG.info("%s", self.words(note))
        if what:
            self.show(what, done, total)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        close = getattr(self.show, "close", None)
        if close is not None:
            close()


class _Bars:
    """A bar of tqdm for every stage."""

    def __init__(self, tqdm):
        self.tqdm, self.bar, self.what = tqdm, None, None

    def __call__(self, what, done, total):
        if what != self.what:
            self.close()
            self.what, self.bar = what, self.tqdm(desc=what, total=total or None, leave=False)
        self.bar.total = total or None
        self.bar.update(done - self.bar.n)

    def close(self):
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class _Lines:
    """A line on stderr for every stage, where tqdm is not installed."""

    def __init__(self):
        self.what = None

    def __call__(self, what, done, total):
        if what != self.what:
            self.what = what
            print(f"thalweg: {what} ({total})" if total else f"thalweg: {what}", file=sys.stderr)


def observer(progress: Progress, words: Callable[[str], str] = str) -> Observer:
    """The observer for the argument ``progress`` of a public function.

    Parameters
    ----------
    progress : bool, callable or None
        False or None for none, True for a bar (tqdm's, where it is installed), or a function ``(what, done, total)``.
    words : callable
        What notes become before they are told.
    """
    if callable(progress):
        return Observer(progress, words)
    if not progress:
        return Observer(lambda *_: None, words)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return Observer(_Lines(), words)
    return Observer(_Bars(tqdm), words)

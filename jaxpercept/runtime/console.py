"""Prints the lines of long work on standard error. Imports no jax."""

from __future__ import annotations

import contextlib
import os
import sys

from jaxpercept.errors import printable


class Console:
    """The console of a run, used as a context manager. `speaks` is False in all processes but
    one."""

    def __init__(self, speaks: bool = True):
        self._speaks, self._live = speaks, ""

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._print("\n")

    def say(self, line: str, *, live: bool = False) -> None:
        """Prints a line, with control characters escaped. `live` lines replace each other on a
        terminal."""
        if self._speaks and sys.stderr is not None:
            with contextlib.suppress(ValueError):  # a closed stream
                line, before = printable(line), self._live
                self._live = line if live and sys.stderr.isatty() else ""
                start = _over(before) if self._live else "\n" if before else ""
                self._print(start + line + ("" if self._live else "\n"))

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, but the work goes on
            print(text, end="", file=sys.stderr, flush=True)


def _over(shown: str) -> str:
    """Returns what makes the next line replace the one that is `shown`, on all its rows."""
    columns = 0
    with contextlib.suppress(OSError, ValueError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    rows = (len(shown) - 1) // columns if shown and columns else 0
    return f"\x1b[{rows}A\r\x1b[J" if rows else "\r\x1b[K"

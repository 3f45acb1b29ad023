"""Prints a run's lines on standard error."""

from __future__ import annotations

import contextlib
import sys

from jaxpercept.errors import printable


class Console:
    """The console of a run, used as a context manager. `speaks` is False in all processes but
    one."""

    def __init__(self, speaks: bool):
        self._speaks, self._live = speaks, False

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
                before, self._live = self._live, live and sys.stderr.isatty()
                start = "\r\x1b[K" if self._live else "\n" if before else ""
                self._print(start + printable(line) + ("" if self._live else "\n"))

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, but training goes on
            print(text, end="", file=sys.stderr, flush=True)

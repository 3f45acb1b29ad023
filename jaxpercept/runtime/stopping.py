"""Ends a process on request: by Ctrl-C, SIGTERM (preemption) or SIGHUP (a lost connection).

A job that has work to save finishes the current step and saves (`requests`). Any other command
ends at once, and removes the file that it is writing (`interrupts`). Imports no jax.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Windows has no SIGHUP.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(KeyboardInterrupt):
    """Raised by `interrupts` when the signal `number` arrives."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interrupts() -> Iterator[None]:
    """Raises `Interrupted` in the main thread when one of `SIGNALS` arrives, so that files being
    written are removed. By default, SIGTERM and SIGHUP end the process without that. A signal that
    is already ignored stays ignored."""

    def handler(number: int, frame: Any) -> None:
        raise Interrupted(number)

    with _handled_by(handler):
        yield


def status(number: int) -> int:
    """Returns the exit status of a process that signal `number` ended, as shells give it."""
    return 128 + number


class Requests(list[int]):
    """The numbers of the signals that came. While `begun` is False, there is nothing to save, and
    each of them raises `Interrupted`."""

    begun = False

    def begin(self) -> None:
        """Says that from now on there is something to save. Raises `Interrupted` for a signal whose
        own exception was lost, as Python loses it in a callback of the garbage collector."""
        if self and not self.begun:
            raise Interrupted(self[0])
        self.begun = True


@contextmanager
def requests(said: str) -> Iterator[Requests]:
    """Yields a list to which each of `SIGNALS` adds its number. Call its `begin` when there is
    something to save: from then on, the first signal writes the line `said`, and a later Ctrl-C
    raises KeyboardInterrupt at once.

    A signal that is already ignored stays ignored (`nohup`). Outside the main thread, where Python
    allows no handlers, the list stays empty. Enter it before anything that takes time, so that no
    signal is lost."""
    seen = Requests()
    can_say = sys.stderr is not None  # otherwise descriptor 2 may be any file

    def handler(number: int, frame: Any) -> None:
        if not seen.begun:
            seen.append(number)
            raise Interrupted(number)
        if seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not seen and can_say:
            _say(f"\n{said}; press Ctrl-C again to stop at once, without saving\n")
        seen.append(number)

    with _handled_by(handler):
        yield seen


@contextmanager
def _handled_by(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Sets the handler of those `SIGNALS` that are not ignored, and restores the earlier ones."""
    before: dict[int, Any] = {}
    try:
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    except ValueError:  # only the main thread may set handlers
        pass
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _say(text: str) -> None:
    """Writes past Python's own buffer, because the signal may have interrupted a print()."""
    with suppress(OSError):  # the terminal is gone
        os.write(2, text.encode())

"""Ending a long job on request: Ctrl-C, SIGTERM (preemption) and SIGHUP (a lost connection) let it
finish the step at hand and save what it has. Imports no jax.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Windows has no SIGHUP.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def requests(said: str) -> Iterator[list[int]]:
    """A list to which each of `SIGNALS` adds its number. The first writes the line `said`; Ctrl-C
    after it raises KeyboardInterrupt at once.

    A signal that is ignored already stays ignored (`nohup`). Outside the main thread, where Python
    allows no handlers, the list stays empty. Enter it before anything that takes time: Python may
    lose the KeyboardInterrupt of its own handler in a callback of the garbage collector."""
    seen: list[int] = []
    can_say = sys.stderr is not None  # else descriptor 2 may be any file

    def handler(number: int, frame: Any) -> None:
        if seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not seen and can_say:
            _say(f"\n{said}; press Ctrl-C again to stop at once, without saving\n")
        seen.append(number)

    before: dict[int, Any] = {}
    try:
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread
        pass
    try:
        yield seen
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _say(text: str) -> None:
    """Past Python's own buffer: a print() may be what was interrupted."""
    with suppress(OSError):  # the terminal has gone
        os.write(2, text.encode())

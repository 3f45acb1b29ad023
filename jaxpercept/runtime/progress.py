"""How often long work tells of its progress. Imports no jax."""

from __future__ import annotations

import time
from collections.abc import Callable

SAID = 5.0  # seconds between lines of progress


def seldom(tell: Callable[[str], object]) -> Callable[[str], None]:
    """Returns `tell` as a function that passes on a line only if `SAID` seconds have gone by since
    the last one, or since now."""
    said = time.monotonic()

    def told(line: str) -> None:
        nonlocal said
        if time.monotonic() - said >= SAID:
            said = time.monotonic()
            tell(line)

    return told

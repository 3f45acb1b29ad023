"""Standard streams that a process may lack: `2>&-`, a service of Windows. Imports no jax."""

from __future__ import annotations

import os
import sys


def open_missing() -> None:
    """Opens /dev/null in the place of standard input, output or error where there is none. Else the
    next file opened would take its number, and what is printed would go into that file."""
    for number in range(3):  # in this order: the lowest free number is taken
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115

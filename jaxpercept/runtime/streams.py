"""Handles standard streams that a process may lack, as with `2>&-` or a Windows service. Imports no
jax.
"""

from __future__ import annotations

import io
import os
import sys

lacked_output = False  # whether `open_missing` replaced a missing standard output


def open_missing() -> None:
    """Opens /dev/null in place of a missing standard input, output or error. Otherwise the next
    opened file would take its number, and prints would go into that file. Standard output escapes
    the characters that its encoding lacks, such as the accents of credits under LANG=C."""
    global lacked_output
    for number in range(3):  # in this order, since the lowest free number is taken
        try:
            os.fstat(number)
        except OSError:
            lacked_output |= number == 1
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # notebooks replace it
        sys.stdout.reconfigure(errors="backslashreplace")

"""Tells glibc's malloc to keep the memory that XLA:CPU frees.

XLA allocates a program's scratch memory at every call. glibc maps blocks of that size from the
kernel and unmaps them afterwards, so each call faults in and zeroes every page again, which takes 5
to 12 % of a training step.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt(3)


def keep_freed_memory() -> None:
    """Makes all later malloc blocks come from one heap that never shrinks. Call it in a process of
    our own, before jax has a device. It has no effect if malloc is not glibc's or the user has
    tuned it."""
    tuned = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if not tuned and (mallopt := _glibc("mallopt")):
        mallopt(
            _ARENA_MAX, 1
        )  # a thread's heap is at most 64 MiB, so it maps larger blocks despite MMAP_MAX
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def release() -> None:
    """Returns kept, free memory to the system. Call it between parts of work on large images."""
    if trim := _glibc("malloc_trim"):
        trim(0)


def _glibc(name: str) -> Any:
    """Returns the function, or None if the C library is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

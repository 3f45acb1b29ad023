"""glibc's malloc, told to keep what XLA:CPU frees.

XLA takes the scratch memory of a program anew at every call. glibc maps blocks of that size from
the kernel and unmaps them after, so that each call faults in and zeroes every page again: 5 to 12 %
of a training step.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt(3)


def keep_freed_memory() -> None:
    """From here on all of malloc's blocks come from one heap, which never shrinks. For a process of
    our own, before jax has a device; without effect where malloc is not glibc's, or the user has
    tuned it."""
    tuned = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if not tuned and (mallopt := _glibc("mallopt")):
        mallopt(
            _ARENA_MAX, 1
        )  # a thread's own heap is at most 64 MiB, so it maps larger blocks whatever MMAP_MAX is
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def release() -> None:
    """Gives the system back what is kept and free now: between parts of work on something large."""
    if trim := _glibc("malloc_trim"):
        trim(0)


def _glibc(name: str) -> Any:
    """The function, or None where the C library is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

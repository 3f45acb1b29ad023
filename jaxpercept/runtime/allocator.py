"""Sets up glibc's malloc for the large blocks that XLA:CPU allocates and frees.

XLA allocates a program's scratch memory at every call. glibc maps blocks of that size from the
kernel and unmaps them afterwards, so each call faults in and zeroes every page again, which takes 5
to 20 % of a training step. Two settings avoid that:

- Freed memory is kept. This costs memory: once a small block lies where a scratch was, the next
  scratch needs new memory, so a training sometimes grows by a whole scratch.
- Huge pages are requested. There are 500 times fewer faults, and nothing has to be kept. But glibc
  reads this setting only from the environment, when a process starts. And every ten seconds the
  kernel (khugepaged) turns some of the heap into huge pages, with the freed parts between blocks,
  so that a training's memory would creep up for many minutes. A `Trimmer` gives those parts back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

_PERIOD = 10.0  # seconds; khugepaged's scan_sleep_millisecs
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt(3)
_VARIABLE, _HUGE_PAGES = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_huge_pages() -> None:
    """Restarts this program, with the same command line, so that glibc uses huge pages. The second
    call returns. Call it in a program of our own that trains, before it has done anything. Without
    huge pages in the system, freed memory is kept instead. If the user has tuned malloc, nothing
    happens."""
    if os.environ.get(_VARIABLE) == _HUGE_PAGES:
        del os.environ[_VARIABLE]  # glibc has read it, and child processes do not need it
        return
    if not _tuned() and _has_huge_pages():
        with contextlib.suppress(OSError):  # the interpreter has moved
            os.execve(sys.executable, sys.orig_argv, os.environ | {_VARIABLE: _HUGE_PAGES})
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Makes all later malloc blocks come from one heap that never shrinks. Call it in a process of
    our own, before jax has a device. It has no effect if malloc is not glibc's or the user has
    tuned it."""
    if not _tuned() and (mallopt := _glibc("mallopt")):
        mallopt(
            _ARENA_MAX, 1
        )  # a thread's heap is at most 64 MiB, so it maps larger blocks despite MMAP_MAX
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def release() -> None:
    """Returns kept, free memory to the system. Call it between parts of work on large images."""
    if trim := _glibc("malloc_trim"):
        trim(0)


class Trimmer:
    """Returns free memory to the system every ten seconds, so that long work's memory is flat."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self) -> None:
        """Call it after each step of the work."""
        if (now := time.monotonic()) - self._last >= _PERIOD:
            self._last = now
            release()


def _tuned() -> bool:
    return any(name == _VARIABLE or name.startswith("MALLOC_") for name in os.environ)


def _has_huge_pages() -> bool:
    """Returns whether glibc can request huge pages (from 2.35) and the kernel grants them."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION") or ""
        given = "[never]" not in _SETTING.read_text()
    except (AttributeError, OSError, ValueError):  # another system, or another C library
        return False
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", version)
    return given and found is not None and (int(found[1]), int(found[2])) >= (2, 35)


def _glibc(name: str) -> Any:
    """Returns the function, or None if the C library is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

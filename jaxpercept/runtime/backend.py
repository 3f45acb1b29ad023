"""Tells how much memory is left, and explains why jax cannot compute: its memory is full, or the
requested platform is missing on this machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jaxpercept.errors import InputError


def out_of_memory(error: Exception) -> bool:
    """Returns whether the memory did not suffice, by Python or by XLA."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def problem(error: Exception) -> InputError | None:
    """Returns what to tell the user if the memory did not suffice, or if $JAX_PLATFORMS names a
    platform that jax cannot start. Returns None for any other error."""
    if out_of_memory(error):
        why = " ".join(str(error).split())[:200] or "no more can be had"
        fixes = ["give smaller images", "give fewer at once (--batch-size)"]
        return InputError(f"not enough memory ({why})", fixes=fixes)
    if (jax := sys.modules.get("jax")) is None or not (asked := jax.config.jax_platforms):
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # jax 0.10 asserts if no plugin is installed
        return InputError(
            f"JAX_PLATFORMS={asked}: jax cannot start it here; unset JAX_PLATFORMS and jax takes "
            "what there is, or install jax for that device (pip install 'jaxpercept[cuda]')"
        )
    return None


def check_memory(what: str, needed: float, *fix: str) -> None:
    """Raises InputError if `what` needs more memory than is left. Linux would kill the process
    without a word. `fix` is what to give instead."""
    if needed > (left := memory_left()):
        raise InputError(
            f"{what} needs at least {needed / 1e9:.3g} GB of memory, and {left / 1e9:.3g} GB are "
            "left; give ",
            *fix,
        )


def memory_left() -> int:
    """Returns how many bytes this machine, or the accelerator, has left."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    info = Path("/proc/meminfo")
    lines = dict(line.split(":") for line in info.read_text().splitlines()) if info.exists() else {}
    if "MemAvailable" in lines:
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2

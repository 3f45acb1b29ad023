"""Describes the machine that figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Returns the processor, its cores, and the version of Python."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def load() -> str:
    """Returns the load averages of the last 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def _processor() -> str:
    """Returns the name of the machine's processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (s.partition(":")[2].strip() for s in lines if s.startswith("model name")),
        platform.machine(),
    )

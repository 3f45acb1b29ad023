"""The persistent compilation cache: a second start of the same program skips XLA's work."""

from __future__ import annotations

import os
from pathlib import Path

import jax

VARIABLE = "JAXPERCEPT_CACHE"


def folder() -> Path:
    """Where the user's cache is."""
    given = os.environ.get(VARIABLE)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given and given != "off" else home / "jaxpercept"


def enable() -> None:
    """Keeps compiled programs in $JAXPERCEPT_CACHE (default `~/.cache/jaxpercept`); "off" turns it
    off. A cache that was configured already stays as it is."""
    given = os.environ.get(VARIABLE)
    if given == "off" or jax.config.values["jax_compilation_cache_dir"]:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

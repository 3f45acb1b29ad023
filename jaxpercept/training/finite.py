"""Checks values before they are logged or saved: all must be finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxpercept.errors import some


def check(folder: Path, step: int, values: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
    """Raises a FloatingPointError, in every process, that names the arrays or numbers that are not
    finite. Each process keeps its part of the batch, `nonfinite_step_N.npz`."""
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    if not bad:
        return
    several = f"_process_{jax.process_index()}" if jax.process_count() > 1 else ""
    path = folder / f"nonfinite_step_{step}{several}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **batch)
        kept = f"its batch is in {path}"
    except OSError as e:
        kept = f"its batch could not be written ({e.strerror})"
    raise FloatingPointError(
        f"step {step}: {some(bad)} not finite; {kept}, and the last checkpoint is good. Try "
        "a smaller --learning-rate or smaller weights"
    )

"""Checkpoints of a training run: the only module that knows Orbax (its v1 API).

A checkpoint holds the whole training state (a pytree of arrays) and a JSON-able `about` dict (config, data position).
Saving runs in the background and becomes visible at once or not at all; the last `KEEP` are kept.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from jaxpercept.errors import InputError

KEEP = 3
log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints under one directory, by step."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._orbax = ocp.training.Checkpointer(
            directory.absolute(),
            preservation_policy=ocp.training.preservation_policies.LatestN(KEEP),
            cleanup_tmp_directories=True,
        )

    def save(self, step: int, state: Any, about: dict[str, Any]) -> None:
        """Starts saving `state` as of `step`; waits only for the save before it. A step already saved is kept."""
        self._orbax.wait()
        if step in {c.step for c in self._orbax.checkpoints}:
            return
        # A copy on the host: the next step donates the device's buffers.
        host = jax.tree.map(np.asarray, state)
        self._orbax.save_async(step, host, force=True, custom_metadata=about)

    def about(self) -> dict[str, Any] | None:
        """What the newest readable checkpoint says of itself; None without one."""
        for found in sorted(self._orbax.checkpoints, key=lambda c: -c.step):
            try:
                return dict(self._orbax.metadata(found.step).custom_metadata)
            except Exception as e:
                log.warning("checkpoint %s is damaged (%s); trying the one before", found.step, _first_line(e))
        return None

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest readable checkpoint as (state of NumPy arrays shaped `like`, about); None without any.

        A damaged one is named in a warning, and removed so that its step can be saved again. Raises InputError when
        there are checkpoints and none can be read."""
        host = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
        found = sorted(self._orbax.checkpoints, key=lambda c: -c.step)
        for one in found:
            try:
                about = dict(self._orbax.metadata(one.step).custom_metadata)
                return self._orbax.load(one.step, host), about
            except Exception as e:
                log.warning("checkpoint %s is damaged (%s); trying the one before", one.step, _first_line(e))
                self._orbax.delete(one.step)
        if found:
            raise InputError(f"{self._directory}: no checkpoint in it can be read; give another --out, or delete it")
        return None

    def close(self) -> None:
        """Waits for the last save."""
        self._orbax.wait()
        self._orbax.close()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:120] or type(error).__name__

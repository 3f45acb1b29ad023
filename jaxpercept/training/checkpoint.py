"""Checkpoints of a training run: the only module that knows Orbax (its v1 API).

A checkpoint holds the whole training state (a pytree of arrays) and a JSON-able `about` dict
(config, data position). Saving runs in the background and becomes visible at once or not at all;
the last `KEEP` are kept. With several processes all make the same calls, on a directory that they
share: Orbax has the first one write.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from jaxpercept import files
from jaxpercept.errors import InputError

KEEP = 3
_REASONS = (
    errno.ENOSPC,
    errno.EFBIG,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EIO,
)
log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints under one directory, by step. Use as a context manager: leaving it waits for
    the last save.

    A checkpoint that cannot be written (a full disk) is an InputError at the next call; the ones
    before it stay."""

    def __init__(self, directory: Path):
        self._quiet = contextlib.ExitStack()
        self._directory = directory
        self._saving: int | None = None
        self._orbax = ocp.training.Checkpointer(
            directory.absolute(),
            preservation_policy=ocp.training.preservation_policies.LatestN(KEEP),
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> Checkpoints:
        self._quiet.enter_context(_failed_saves_silenced())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            self.wait()
        except InputError as e:
            if kind is None:
                raise
            log.warning("%s", e)
        finally:
            with self._quiet, contextlib.suppress(Exception):  # of the save that failed, again
                self._orbax.close()

    @property
    def steps(self) -> list[int]:
        """Of the finished checkpoints, the newest last."""
        return sorted(c.step for c in self._orbax.checkpoints)

    def save(self, step: int, state: Any, about: dict[str, Any]) -> None:
        """Starts saving `state`, of NumPy arrays, as of `step`; waits only for the save before it.
        A step already saved is kept."""
        self.wait()
        if step in self.steps:
            return
        self._saving = step
        try:
            self._orbax.save_async(step, state, force=True, custom_metadata=about)
        except Exception as e:
            raise self._cannot_save(e) from e

    def wait(self) -> None:
        """Until the last save is on disk."""
        try:
            self._orbax.wait()
        except Exception as e:
            raise self._cannot_save(e) from e

    def _cannot_save(self, error: Exception) -> InputError:
        last = max((s for s in self.steps if s != self._saving), default=None)
        good = "there is none before it" if last is None else f"checkpoint {last} before it is good"
        number = next((n for n in _REASONS if os.strerror(n) in str(error)), None)
        reason = _first_line(error) if number is None else os.strerror(number)
        return InputError(
            f"{self._directory}: checkpoint {self._saving} could not be saved ({reason}); {good}. "
            f"To go on from there, {files.fix(number)} and give the same command again"
        )

    def restore(
        self, like: Any, check: Callable[[dict[str, Any]], None] = lambda about: None
    ) -> tuple[Any, dict[str, Any]] | None:
        """The newest readable checkpoint as (state of NumPy arrays shaped `like`, about); None
        without any. `check(about)` is called before the state is read, and may raise.

        A damaged one is named in a warning and, once one before it is read, removed so that its
        step can be saved again. Raises InputError when there are checkpoints and none can be read;
        then all are left as they are."""
        host = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
        failed: dict[int, str] = {}
        for step in reversed(self.steps):
            try:
                about = self._about(step)
            except Exception as e:
                self._note(failed, step, e)
                continue
            check(about)
            try:
                state = self._orbax.load(step, host)
            except Exception as e:
                self._note(failed, step, e)
                continue
            for damaged in failed:
                self._orbax.delete(damaged)
            return state, about
        if failed:
            newest, reason = next(iter(failed.items()))
            raise InputError(
                f"{self._directory}: no checkpoint in it can be read ({newest}: {reason}); give "
                "another --out, or delete it"
            )
        return None

    def _about(self, step: int) -> dict[str, Any]:
        found = self._orbax.metadata(step).custom_metadata
        if not found:  # Orbax reads an empty or cut file as none
            raise ValueError("its metadata is empty or cut")
        return dict(found)

    def _note(self, failed: dict[int, str], step: int, error: Exception) -> None:
        failed[step] = _first_line(error)
        log.warning("checkpoint %s is damaged (%s); trying the one before", step, failed[step])


@contextlib.contextmanager
def _failed_saves_silenced() -> Iterator[None]:
    """A save that fails is one InputError here. Orbax logs its traceback too, from several threads,
    asyncio those of the arrays after the first, and TensorStore one for every array that it can no
    longer report: hundreds, which would bury the line that says what to do."""

    def no_traceback(record: logging.LogRecord) -> bool:
        return not record.exc_info

    def hook(found: Any) -> None:
        if not (found.exc_type is RuntimeError and str(found.exc_value) == "Event loop is closed"):
            before(found)

    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    for logger in loggers:
        logger.addFilter(no_traceback)
    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        gc.collect()  # what of a failed save would be reported later
        sys.unraisablehook = before
        for logger in loggers:
            logger.removeFilter(no_traceback)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:120] or type(error).__name__

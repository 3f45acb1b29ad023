"""Checkpoints of a training run. No other module uses Orbax (its v1 API).

A checkpoint holds the whole training state (a pytree of arrays) and a JSON-able `about` dict
(config, data position). Saving runs in the background and becomes visible at once or not at all.
The last `KEEP` checkpoints are kept. With several processes all make the same calls, on a directory
that they share, and Orbax has the first one write.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from jaxpercept import files
from jaxpercept.errors import InputError, printable

KEEP = 3
_REASONS = (
    errno.ENOSPC,
    errno.EFBIG,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EIO,
)
_ODD = re.compile(r"[][*?\\\udc80-\udcff]")  # the last are bytes that are not UTF-8
log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints under one directory, by step. Use it as a context manager: leaving it waits
    for the last save.

    If a checkpoint cannot be written (a full disk), the next call raises InputError. Earlier
    checkpoints stay."""

    def __init__(self, directory: Path):
        self._quiet = contextlib.ExitStack()
        self._directory = directory
        self._saving: int | None = None
        self._failed = False
        self._orbax = ocp.training.Checkpointer(
            _reached(directory, self._quiet),
            preservation_policy=ocp.training.preservation_policies.LatestN(KEEP),
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> Checkpoints:
        self._quiet.enter_context(_failed_saves_silenced(lambda: self._failed))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            self.wait()
        except InputError as e:
            if kind is None:
                raise
            log.warning("%s", printable(str(e)))
        finally:
            with self._quiet, contextlib.suppress(Exception):  # of the save that failed, again
                self._orbax.close()

    @property
    def steps(self) -> list[int]:
        """Returns the steps of the finished checkpoints, the newest last."""
        return sorted(c.step for c in self._orbax.checkpoints)

    def save(self, step: int, state: Any, about: dict[str, Any]) -> None:
        """Starts saving `state`, which holds NumPy arrays, as of `step`. It waits only for the
        previous save. A step already saved is kept."""
        self.wait()
        if step in self.steps:
            return
        self._saving = step
        try:
            with files.scratch(self._directory):
                pass  # where Orbax cannot make a folder, its threads wait for five minutes
            self._orbax.save_async(step, state, force=True, custom_metadata=about)
        except Exception as e:
            raise self._cannot_save(e) from e

    def wait(self) -> None:
        """Waits until the last save is on disk."""
        try:
            self._orbax.wait()
        except Exception as e:
            raise self._cannot_save(e) from e

    def _cannot_save(self, error: Exception) -> InputError:
        self._failed = True
        last = max((s for s in self.steps if s != self._saving), default=None)
        good = (
            "there is no earlier one"
            if last is None
            else f"the previous checkpoint, {last}, is good"
        )
        number = next((n for n in _REASONS if os.strerror(n) in str(error)), None)
        reason = _first_line(error) if number is None else os.strerror(number)
        return InputError(
            f"{self._directory}: checkpoint {self._saving} could not be saved ({reason}); {good}. "
            f"To go on from there, {files.fix(number)} and give the same command again"
        )

    def restore(
        self, like: Any, check: Callable[[dict[str, Any]], None] = lambda about: None
    ) -> tuple[Any, dict[str, Any]] | None:
        """Returns the newest readable checkpoint as (state of NumPy arrays shaped `like`, about),
        or None if there is none. `check(about)` is called before the state is read. It may raise
        InputError; anything else that it raises means that the checkpoint is damaged.

        A warning names each damaged checkpoint. Once an earlier one is read, the damaged ones are
        removed so that their steps can be saved again. If there are checkpoints but none can be
        read, raises InputError and leaves them all."""
        host = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
        failed: dict[int, str] = {}
        for step in reversed(self.steps):
            try:
                about = self._about(step)
            except Exception as e:
                self._note(failed, step, e)
                continue
            try:
                check(about)
            except InputError:
                raise
            except Exception as e:  # its metadata can be read, but lacks what a run saves
                self._note(failed, step, e)
                continue
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
        if not found:  # Orbax takes an empty or cut file for none
            raise ValueError("its metadata is empty or cut")
        return dict(found)

    def _note(self, failed: dict[int, str], step: int, error: Exception) -> None:
        failed[step] = _first_line(error)
        said = f"checkpoint {step} is damaged ({failed[step]}); trying the previous one"
        log.warning("%s", printable(said))


def _reached(directory: Path, stack: contextlib.ExitStack) -> Path:
    """Returns an absolute path to the directory that Orbax can use: a link, if the directory's own
    path has characters that Orbax takes for a pattern or cannot pass on."""
    place = directory.absolute()
    if not _ODD.search(str(place)):
        return place
    with files.reported(directory):
        place.mkdir(parents=True, exist_ok=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jaxpercept-"))
        link = Path(folder, "checkpoints")
        link.symlink_to(place)
    return link


@contextlib.contextmanager
def _failed_saves_silenced(failed: Callable[[], bool]) -> Iterator[None]:
    """Silences the logs of a failed save, which is one InputError here. Orbax also logs its
    traceback from several threads, asyncio logs those of further arrays, and TensorStore logs a
    line for every array that it can no longer report. Hundreds of lines would bury the one that
    says what to do. Those threads go on until the process ends, and so does the silence if a save
    `failed`."""

    def hook(found: Any) -> None:
        if not (found.exc_type is RuntimeError and str(found.exc_value) == "Event loop is closed"):
            before(found)

    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    for logger in loggers:
        logger.addFilter(_is_not_of_a_save)
    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        if not failed():
            sys.unraisablehook = before
            for logger in loggers:
                logger.removeFilter(_is_not_of_a_save)


def _is_not_of_a_save(record: logging.LogRecord) -> bool:
    if record.exc_info:
        told = "".join(traceback.format_exception(*record.exc_info))
        return not re.search("orbax|tensorstore", told)
    return "Failed to json parse" not in record.getMessage()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:120] or type(error).__name__

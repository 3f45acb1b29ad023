"""Applies a net to many image files, for all commands.

Decoding and encoding overlap the net's work, and the waiting work is bounded. An error in one file
is recorded, and the other files are still processed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.files import STANDARD
from jaxpercept.inference import tiles, treatment
from jaxpercept.inference.batches import Batch, Batches
from jaxpercept.inference.file_jobs import Job, Writer, ahead, overlapping
from jaxpercept.inference.model import Net
from jaxpercept.inference.treatment import Treatment
from jaxpercept.runtime import backend


@dataclass(frozen=True)
class Task:
    """One file: the source of its image (a path or bytes), its name in messages, and its target: a
    path, or `-` for standard output in the format `suffix`. If `take` is given, it gets the
    finished picture, and nothing is written to `target`. `key` is what the job is told of the
    output."""

    source: images.Source
    name: str
    target: Path
    suffix: str = ".png"
    take: Callable[[images.Picture], object] | None = None
    key: Any = None


@dataclass(frozen=True)
class _Begun:
    """A task, and the side of the tiles that it needs (0 for none)."""

    task: Task
    tile: int


def process(
    files: Iterable[Task],
    how: Treatment,
    model: Net,
    job: Job | None = None,
    *,
    batch_size: int = 1,
    skip_existing: bool = False,
    alone: bool = False,
) -> Job:
    """Applies `model` to every file as `how` says. Returns `job` (a new one by default), which
    lists what was written, skipped and failed. `batch_size` is the number of images of equal size
    that the net sees at once. With `skip_existing`, existing outputs are left alone. With
    `alone`, what does not fill a batch is done image by image (see `Batches`): for one of many jobs
    in one process."""
    if job is None:
        files = list(files)
        job = Job(len(files))
    skip = job.skip if skip_existing else lambda path: False
    todo = (f for f in files if f.target == STANDARD or not skip(f.target))
    batches = Batches(batch_size, alone=alone)
    with overlapping(job) as (readers, writer):
        apply = partial(_apply, how, model, job, writer)
        for begun, reading in ahead(readers, _readings(todo, how, model, job)):
            try:
                picture, seen = reading.result()
            except Exception as error:
                job.fail(failure(begun.task.name, error), begun.task.key)
                continue
            job.note(begun.task.name, notes(how, begun.task, picture))
            if begun.tile:
                apply(
                    [(begun.task, picture)],
                    partial(_in_tiles, model, seen, begun.tile, picture, job.progress),
                )
            else:
                for batch in batches.add((begun.task, picture), seen):
                    _apply_batch(apply, model, batch)
        for batch in batches.rest():
            _apply_batch(apply, model, batch)
    return job


def _readings(
    files: Iterable[Task], how: Treatment, model: Net, job: Job
) -> Iterator[tuple[_Begun, Callable[[], Any], int]]:
    """Yields what `ahead` reads. Files whose headers show that they will fail are recorded and left
    out."""
    for task in files:
        try:
            sizes = treatment.checked_sizes(how, model, task.source, task.name)
        except Exception as error:
            job.fail(failure(task.name, error), task.key)
            continue
        height, width = sizes.picture
        tile = tiles.choose(model, *sizes.seen, how.tile)
        small = bool(tile) and model.config.scale == 1
        read = partial(treatment.read, how, model, task.source, task.name, sizes, uint8=small)
        call = partial(job.timed, "decode", read)
        cost = max(height * width * model.config.scale**2, sizes.file[0] * sizes.file[1])
        yield _Begun(task, tile), call, cost


def notes(how: Treatment, task: Task, picture: images.Picture) -> tuple[str, ...]:
    """Returns what a picture loses: what reading left out, what its new file cannot hold, and
    size."""
    own = task.target.suffix.lower() in images.WRITE_SUFFIXES
    suffix = task.target.suffix if own else task.suffix
    notes = picture.notes if how.strip else (*picture.notes, *images.lost(picture.about, suffix))
    if how.width is not None and how.width < (wide := picture.pixels.shape[1]):
        notes += (f"is {wide} pixels wide already, and becomes smaller",)
    return notes


def _in_tiles(
    model: Net,
    seen: NDArray[Any],
    tile: int,
    picture: images.Picture,
    progress: Callable[[str], None],
) -> list[NDArray[Any]]:
    deep = picture.bits > 8 and seen.dtype != np.uint8
    return [tiles.run(model, seen, tile, deep=deep, progress=progress)]


def _apply_batch(apply: Callable[..., bool], model: Net, batch: Batch) -> None:
    """Runs a batch. If that fails, it runs the images one by one, since each may still fit
    alone."""
    if not apply(batch.keys, partial(batch.run, model), alone=len(batch.keys) == 1):
        for one in batch.alone():
            apply(one.keys, partial(one.run, model))


def _apply(
    how: Treatment,
    model: Net,
    job: Job,
    writer: Writer,
    keys: Sequence[tuple[Task, images.Picture]],
    run: Callable[[], Sequence[NDArray[Any]]],
    *,
    alone: bool = True,
) -> bool:
    """Runs the net and begins to write its outputs; returns False if it fails. The failure is
    recorded only if `alone`."""
    try:
        outputs = job.timed("net", run)
    except Exception as error:
        for task, _ in keys if alone else ():
            job.fail(failure(task.name, error), task.key)
        return False
    for (task, picture), output in zip(keys, outputs, strict=True):
        if model.config.scale > 1 and picture.bits == 8:
            output = images.to_uint8(output)  # needs a quarter of the memory
        call = partial(job.timed, "encode", save, how, picture, output, task)
        cost = max(x.shape[0] * x.shape[1] for x in (output, picture.pixels))
        writer.write(call, cost, task.key)
    return True


def save(how: Treatment, picture: images.Picture, output: NDArray[Any], task: Task) -> Path:
    """Finishes and writes the `output` made for a picture. Raises InputError if that fails."""
    try:
        finished = treatment.finish(how, picture, output)
        if task.take is not None:
            task.take(finished)
            return task.target
        return treatment.write(how, finished, task.target, task.suffix)
    except Exception as error:
        raise failure(str(task.target), error) from error


def failure(name: str, error: Exception) -> InputError:
    """Returns the one line that says what failed and what to do."""
    if isinstance(error, InputError):
        return error
    reason = " ".join(str(error).split()) or type(error).__name__
    if backend.out_of_memory(error):
        fixes = ["shrink it", "give a smaller --size", "give smaller --sizes", "give --tile"]
        return InputError(f"{name}: too large for memory", fixes=fixes)
    return InputError(
        f"{name}: failed ({type(error).__name__}: {reason[:300]}); try it as a PNG, or report it"
    )

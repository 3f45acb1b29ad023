"""Makes films of films: opens each, applies a net to its frames, and writes the result whole or not
at all. A stopped film goes on where it was.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from jaxpercept import files, images
from jaxpercept.errors import InputError
from jaxpercept.files.parts import Parts
from jaxpercept.images import animations
from jaxpercept.images.frames import ANIMATION_SUFFIXES, Film, Frame
from jaxpercept.inference import containers, encoding, film_progress, film_reading, segments
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.film_frames import Making, Pools, outputs
from jaxpercept.inference.flow import Task, failure
from jaxpercept.inference.model import Net
from jaxpercept.inference.segments import Kept
from jaxpercept.inference.smoothing import Smoother
from jaxpercept.inference.stills import Stills
from jaxpercept.inference.treatment import Treatment

READ_SUFFIXES = (*containers.READ_SUFFIXES, ".gif", ".apng")  # the suffixes searched for in folders
WRITE_SUFFIXES = (*encoding.WRITE_SUFFIXES, *ANIMATION_SUFFIXES)
_LONGEST_PIXEL = Fraction(4)  # the greatest width of a pixel over its height that is believed


def process(
    tasks: Sequence[Task],
    how: Treatment,
    model: Net,
    job: Job,
    making: Making = Making(),
    *,
    skip_existing: bool = False,
) -> Job:
    """Applies `model` to the frames of every film as `how` and `making` say. Returns `job`, which
    lists what was written, skipped and failed. The source of each task is a path."""
    for task in tasks:
        if skip_existing and job.skip(task.target):
            continue
        try:
            film = _made(task, how, model, job, making)
        except Exception as error:
            job.fail(failure(task.name, error), task.key)
            continue
        job.note(task.name, film.notes)
        job.done(task.target, task.key)
        if film.damage:
            line = f"{task.name}: {film.damage}; {task.target} holds the frames before it"
            job.damaged(line, task.key)
        elif film.flawed:
            job.damaged(f"{task.name}: {film.flawed}; so is {task.target}", task.key)
    return job


def open_film(path: Path, start: Fraction = Fraction(0), end: Fraction | None = None) -> Film:
    """Opens the film in a file; only its frames from `start` to `end` are wanted. Raises InputError
    if the file holds none."""
    if path.suffix.lower() in ANIMATION_SUFFIXES:
        return animations.read(files.regular(path, "a film"))
    return film_reading.read(files.regular(path, "a film"), start, end)


def written_suffix(path: Path) -> str:
    """Returns the suffix of what is made of a film: its own, or `.mp4` if we cannot write that."""
    return path.suffix if path.suffix.lower() in WRITE_SUFFIXES else ".mp4"


def width(path: Path) -> int:
    """Returns the width of a film's frames. Raises InputError for a file without any."""
    film = open_film(path)
    try:
        if (first := next(film.frames, None)) is None:
            raise InputError(f"{path}: has no frames")
        return first.pixels.shape[1]
    finally:
        film.close()


def _made(task: Task, how: Treatment, model: Net, job: Job, making: Making) -> Film:
    """Reads, stylizes and writes one film, whole or not at all."""
    film = open_film(Path(str(task.source)), making.cut.start, making.cut.end)
    if making.cut.fps is not None:
        film.rate = making.cut.fps
        film.time_base = 1 / making.cut.fps
    with contextlib.closing(film), contextlib.ExitStack() as stack:
        suffix = task.target.suffix.lower()
        if how.quality is not None and suffix != ".webp":
            film.notes.append(f"--quality does nothing for {suffix} here; animated WebP has it")
        if suffix in ANIMATION_SUFFIXES:
            kept = None
            if making.encoding != encoding.Encoding():
                film.notes.append("--codec and --crf do nothing for an animation")
        else:
            key = segments.key(film.path, task.target, model, (how, making))
            kept = segments.Kept(stack.enter_context(Parts(task.target, key)))
            if kept.done:
                job.progress(f"{task.name}: goes on after {kept.done} frames of a stopped run")
        _run(task, film, how, model, job, making, kept)
    return film


def _length(film: Film, making: Making) -> str:
    """Returns how long a film is that has no frames in the part asked for, if that is known."""
    if not film.count or film.loop is not None or making.cut.fps is not None:
        return ""
    return f" of its {float(film.count / film.rate):.1f} seconds"


def _run(
    task: Task, film: Film, how: Treatment, model: Net, job: Job, making: Making, kept: Kept | None
) -> None:
    """Makes and writes the frames that are not kept."""
    done, stills = (kept.done, kept.stills) if kept else (0, Stills())
    smoother = Smoother(making.smooth, done, kept.trail if kept else None)
    with contextlib.ExitStack() as stack:
        # A generator cannot be closed while a thread runs it, so the threads end first.
        pools = Pools(*(stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3)))
        frames = outputs(film, how, model, making, pools, smoother, done)
        frames = film_progress.told(frames, film, making.cut, done, partial(_say, job, task.name))
        if making.still:
            frames = stills.watched(frames)
        try:
            first = next(frames, None)
            if first is None and not done:
                if film.damage:
                    raise InputError(f"{task.name}: {film.damage}; give another copy")
                about = _length(film, making)
                raise InputError(
                    f"{task.name}: has no frames between --from and --to{about}; give a longer part"
                )
            frames = itertools.chain(() if first is None else [first], frames)
            suffix = task.target.suffix.lower()
            if kept is None or not encoding.keeps_aspect(suffix, making.encoding):
                frames = map(partial(_square, film), frames)
            if kept is None:
                with files.replacing(task.target) as file:
                    animations.write(file, suffix, frames, film.loop, how.quality)
            else:
                opaque = map(_opaque, frames)
                segments.write(task.target, opaque, film, making.encoding, making.cut, kept)
        finally:
            for pool in pools:
                pool.shutdown(wait=True, cancel_futures=True)
    if making.still:
        job.progress(str(stills.save(task.target)))


def _say(job: Job, name: str, line: str) -> None:
    job.progress(f"{name}: {line}")


def _square(film: Film, frame: Frame) -> Frame:
    """Returns the frame with square pixels, for formats that have no others: the longer side of a
    pixel decides. A shape that no camera makes is taken as a fault of the file."""
    if film.aspect == 1 or not 1 / _LONGEST_PIXEL <= film.aspect <= _LONGEST_PIXEL:
        return frame
    height, width = frame.pixels.shape[:2]
    size = max(height, round(height / film.aspect)), max(width, round(width * film.aspect))
    alpha = None if frame.alpha is None else images.resize(frame.alpha, size)
    return replace(frame, image=images.resize(frame.pixels, size), alpha=alpha)


def _opaque(frame: Frame) -> Frame:
    """Composites the frame over white, for formats without transparency."""
    if frame.alpha is None:
        return frame
    rgb = images.over_white(images.to_float(frame.pixels), images.to_float(frame.alpha))
    return replace(frame, image=images.to_uint8(rgb), alpha=None)

"""Applies a net to the frames of films. Decoding, the net and encoding overlap, waiting frames are
bounded, and all frames of a film go through one compiled program.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from jaxpercept import files, images
from jaxpercept.errors import InputError
from jaxpercept.files.parts import Parts
from jaxpercept.images import animations
from jaxpercept.images.frames import ANIMATION_SUFFIXES, Cut, Film, Frame, side_by_side
from jaxpercept.inference import containers, encoding, segments, tiles, treatment
from jaxpercept.inference.batches import BATCH_PIXELS, Batch
from jaxpercept.inference.encoding import Encoding
from jaxpercept.inference.file_jobs import PIXELS, Job, ahead
from jaxpercept.inference.flow import Task, failure
from jaxpercept.inference.model import Net
from jaxpercept.inference.segments import Kept
from jaxpercept.inference.smoothing import Smoother
from jaxpercept.inference.stills import Stills
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import geometry

READ_SUFFIXES = (*containers.READ_SUFFIXES, ".gif", ".apng")  # the suffixes searched for in folders
WRITE_SUFFIXES = (*encoding.WRITE_SUFFIXES, *ANIMATION_SUFFIXES)
SAID = 5.0  # seconds between lines of progress


@dataclass(frozen=True, kw_only=True)
class Making:
    """How a film is made, besides its frames' `Treatment`: `cut` is the part to take, `encoding`
    how it is written, and `batch` the number of frames at once. `compare` puts each frame beside
    its result, and `still` also writes a contact sheet. `smooth` is the share of the last picture
    that is blended into each, see `smoothing`; it is for nets of scale 1."""

    cut: Cut = field(default_factory=Cut)
    encoding: Encoding = field(default_factory=Encoding)
    batch: int = 4
    compare: bool = False
    still: bool = False
    smooth: float = 0.0


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
    return job


def open_film(path: Path, start: Fraction = Fraction(0)) -> Film:
    """Opens the film in a file. Raises InputError if the file holds none."""
    if path.suffix.lower() in ANIMATION_SUFFIXES:
        return animations.read(files.regular(path, "a film"))
    return containers.read(files.regular(path, "a film"), start)


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
    film = open_film(Path(str(task.source)), making.cut.start)
    if making.cut.fps is not None:
        film.rate = making.cut.fps
        film.time_base = 1 / making.cut.fps
    with contextlib.closing(film), contextlib.ExitStack() as stack:
        if task.target.suffix.lower() in ANIMATION_SUFFIXES:
            kept = None
        else:
            key = segments.key(film.path, task.target, model, (how, making))
            kept = segments.Kept(stack.enter_context(Parts(task.target, key)))
            if kept.done:
                job.progress(f"{task.name}: goes on after {kept.done} frames of a stopped run")
        _run(task, film, how, model, job, making, kept)
    return film


def _run(
    task: Task, film: Film, how: Treatment, model: Net, job: Job, making: Making, kept: Kept | None
) -> None:
    """Makes and writes the frames that are not kept."""
    done, stills = (kept.done, kept.stills) if kept else (0, Stills())
    smoother = Smoother(making.smooth, done, kept.trail if kept else None)
    with contextlib.ExitStack() as stack:
        # A generator cannot be closed while a thread runs it, so the threads end first.
        pools = _Pools(*(stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3)))
        frames = _outputs(film, how, model, making, pools, smoother, done)
        frames = _told(frames, film, making.cut, done, partial(_say, job, task.name))
        if making.still:
            frames = stills.watched(frames)
        try:
            first = next(frames, None)
            if first is None and not done:
                raise InputError(
                    f"{task.name}: has no frames between --from and --to; give a longer part"
                )
            frames = itertools.chain(() if first is None else [first], frames)
            if kept is None:
                with files.replacing(task.target) as file:
                    suffix = task.target.suffix.lower()
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


class _Pools(NamedTuple):
    """A thread each that decodes ahead, runs the net, and makes frames of its outputs."""

    reader: ThreadPoolExecutor
    runner: ThreadPoolExecutor
    finisher: ThreadPoolExecutor


def _outputs(
    film: Film,
    how: Treatment,
    model: Net,
    making: Making,
    pools: _Pools,
    smoother: Smoother,
    done: int,
) -> Iterator[Frame]:
    """Yields the finished frames after the first `done`, in order. The encoder asks for frames and
    runs while later batches are computed."""
    waiting: deque[Future[list[Frame]]] = deque()
    for batch in _batches(film, how, model, making, pools.reader, done):
        running = pools.runner.submit(_run_net, batch, how, model)
        waiting.append(
            pools.finisher.submit(_finished, batch, running, how, making.compare, smoother)
        )
        if len(waiting) > 2:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _batches(
    film: Film,
    how: Treatment,
    model: Net,
    making: Making,
    reader: ThreadPoolExecutor,
    done: int,
) -> Iterator[Batch]:
    """Yields frames as the net sees them, in batches of one length, the last one filled up."""
    source = (_scaled(f, how) for f in itertools.islice(making.cut.applied(film), done, None))
    first = reader.submit(next, source, None).result()
    if first is None:
        return
    _check_size(film.path, first, how, model)
    pixels = first.pixels.shape[0] * first.pixels.shape[1]
    length = max(1, min(making.batch, BATCH_PIXELS // pixels))
    calls = ((None, partial(next, source, None), pixels) for _ in itertools.count())
    taken: list[Frame] = [first]
    for _, reading in ahead(reader, calls, max(PIXELS, 2 * length * pixels)):
        if (frame := reading.result()) is None:
            break
        if len(taken) == length:
            yield _batch(taken, how, length)
            taken = []
        taken.append(frame)
    yield _batch(taken, how, length)


def _batch(frames: list[Frame], how: Treatment, length: int) -> Batch:
    seen = [images.grain(frame.pixels, how.grain or 0) for frame in frames]
    return Batch(list(frames), seen, length)


def _scaled(frame: Frame, how: Treatment) -> Frame:
    """Returns the frame in the size that the net sees."""
    if not how.size:
        return replace(frame, image=frame.pixels)
    pixels = images.resize(frame.pixels, how.size, "long")
    alpha = None if frame.alpha is None else images.resize(frame.alpha, how.size, "long")
    return replace(frame, image=pixels, alpha=alpha)


def _check_size(path: Path, frame: Frame, how: Treatment, model: Net) -> None:
    height, width = frame.pixels.shape[:2]
    scale = model.config.scale
    smaller, larger = (
        ("give a smaller --size", ", or enlarge it with --size")
        if scale == 1
        else ("shrink it", "")
    )
    if height * width * scale**2 > how.max_pixels:
        raise InputError(
            f"{path}: its frames become {width * scale}x{height * scale}, more than the limit of "
            f"{how.max_pixels:,} pixels; {smaller} or raise --max-pixels"
        )
    if min(height, width) < (least := geometry.least_side(model.config)):
        raise InputError(
            f"{path}: {width}x{height} is too small; give at least {least} pixels per side{larger}"
        )


def _run_net(batch: Batch, how: Treatment, model: Net) -> Sequence[NDArray[Any]]:
    height, width = batch.images[0].shape[:2]
    if side := tiles.choose(model, height, width, how.tile):
        return [tiles.run(model, image, side) for image in batch.images]
    seen = [images.to_float(image) for image in batch.images]
    return list(Batch(batch.keys, seen, batch.length).run(model))


def _finished(
    batch: Batch,
    running: Future[Sequence[NDArray[Any]]],
    how: Treatment,
    compare: bool,
    smoother: Smoother,
) -> list[Frame]:
    """Makes frames of the net's outputs."""
    outputs = running.result()
    made = []
    for frame, output in zip(batch.keys, outputs, strict=True):
        finished = finish(frame, smoother(frame.pixels, output), how, compare)
        ends = smoother.count % segments.LENGTH == 0  # this frame ends a segment
        made.append(replace(finished, trail=smoother.last if ends else None))
    return made


def finish(frame: Frame, output: NDArray[Any], how: Treatment, compare: bool = False) -> Frame:
    """Returns the finished frame for a net's output, or both frames side by side."""
    alpha = None if frame.alpha is None else images.to_float(frame.alpha)
    picture = images.Picture(images.to_float(frame.pixels), alpha)
    made = treatment.finish(how, picture, output)
    pixels, below = images.to_uint8(made.pixels), made.alpha
    opacity = None if below is None else images.to_uint8(below)
    if compare:
        before = images.to_uint8(
            treatment.enlarged(picture.pixels, len(pixels) // len(picture.pixels))
        )
        pixels = side_by_side(before, pixels)
        opacity = None if opacity is None else side_by_side(opacity, opacity)
    return Frame(pixels, frame.start, frame.duration, opacity)


def _opaque(frame: Frame) -> Frame:
    """Composites the frame over white, for formats without transparency."""
    if frame.alpha is None:
        return frame
    rgb = images.over_white(images.to_float(frame.pixels), images.to_float(frame.alpha))
    return replace(frame, image=images.to_uint8(rgb), alpha=None)


def _told(
    frames: Iterator[Frame], film: Film, cut: Cut, before: int, say: Callable[[str], None]
) -> Iterator[Frame]:
    """Yields the same frames, which follow the first `before`, and prints a line of progress every
    few seconds."""
    begun = said = time.monotonic()
    count = _expected(film, cut)
    for done, frame in enumerate(frames, before + 1):
        yield frame
        if (now := time.monotonic()) - said >= SAID:
            said = now
            rate = (done - before) / (now - begun)
            left = ""
            if count:
                rest = max(0, round((count - done) / rate))
                left = f" of {count}, {rest // 60}:{rest % 60:02} left"
            say(f"{done} frames{left}, {rate:.2f} frames/s")


def _expected(film: Film, cut: Cut) -> int:
    """Returns about how many frames will be made, or 0 if that is unknown."""
    if not film.count:
        return 0
    if cut == Cut():
        return film.count
    rate = cut.fps or film.rate
    if film.loop is not None:  # an animation's rate is not known
        return 0
    # With --fps, the film's `rate` is that already, and its own length is lost.
    if cut.end is None:
        return 0
    return round((cut.end - cut.start) * rate)

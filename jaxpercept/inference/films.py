"""Applies a net to the frames of films. Decoding, the net and encoding overlap, waiting frames are
bounded, and all frames of a film go through one compiled program.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import files, images
from jaxpercept.errors import InputError
from jaxpercept.images import animations
from jaxpercept.images.frames import ANIMATION_SUFFIXES, Cut, Film, Frame, side_by_side
from jaxpercept.inference import containers, tiles, treatment
from jaxpercept.inference.batches import BATCH_PIXELS, Batch
from jaxpercept.inference.containers import Encoding
from jaxpercept.inference.file_jobs import PIXELS, Job, ahead
from jaxpercept.inference.flow import Task, failure
from jaxpercept.inference.model import Net
from jaxpercept.inference.smoothing import Smoother
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import geometry

READ_SUFFIXES = (*containers.READ_SUFFIXES, ".gif", ".apng")  # the suffixes searched for in folders
WRITE_SUFFIXES = (*containers.WRITE_SUFFIXES, *ANIMATION_SUFFIXES)
SAID = 5.0  # seconds between lines of progress
STILLS = 12  # the most frames of a contact sheet


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
            job.fail(failure(task.name, error))
            continue
        job.note(task.name, film.notes)
        job.done(task.target)
        if film.damage:
            job.damaged(f"{task.name}: {film.damage}; {task.target} holds the frames before it")
    return job


def open_film(path: Path, start: Fraction = Fraction(0)) -> Film:
    """Opens the film in a file. Raises InputError if the file holds none."""
    if path.suffix.lower() in ANIMATION_SUFFIXES:
        return animations.read(files.regular(path, "a film"))
    return containers.read(files.regular(path, "a film"), start)


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
    suffix = task.target.suffix.lower()
    film = open_film(Path(str(task.source)), making.cut.start)
    if making.cut.fps is not None:
        film.rate = making.cut.fps
        film.time_base = 1 / making.cut.fps
    stills = _Stills(task.target) if making.still else None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as finisher:
        # A generator cannot be closed while a thread runs it, so the threads end first.
        frames = _outputs(film, how, model, making, reader, finisher)
        frames = _told(frames, film, making.cut, partial(_say, job, task.name))
        if stills is not None:
            frames = stills.watched(frames)
        try:
            first = next(frames, None)
            if first is None:
                raise InputError(
                    f"{task.name}: has no frames between --from and --to; give a longer part"
                )
            frames = itertools.chain([first], frames)
            with files.replacing(task.target) as file:
                if suffix in ANIMATION_SUFFIXES:
                    animations.write(file, suffix, frames, film.loop, how.quality)
                else:
                    opaque = map(_opaque, frames)
                    containers.write(file.name, suffix, opaque, film, making.encoding, making.cut)
        finally:
            for pool in (reader, finisher):
                pool.shutdown(wait=True, cancel_futures=True)
            film.close()
    if stills is not None:
        job.progress(str(stills.save()))
    return film


def _say(job: Job, name: str, line: str) -> None:
    job.progress(f"{name}: {line}")


def _outputs(
    film: Film,
    how: Treatment,
    model: Net,
    making: Making,
    reader: ThreadPoolExecutor,
    finisher: ThreadPoolExecutor,
) -> Iterator[Frame]:
    """Yields the finished frames, in order. `reader` decodes ahead, and `finisher` turns the net's
    outputs into frames. The encoder asks for frames and runs while the next batch is computed."""
    waiting: deque[Future[list[Frame]]] = deque()
    smoother = Smoother(making.smooth)  # `finisher` is one thread: pictures come in order
    for batch in _batches(film, how, model, making, reader):
        waiting.append(finisher.submit(_finished, batch, how, model, making.compare, smoother))
        if len(waiting) > 2:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _batches(
    film: Film, how: Treatment, model: Net, making: Making, reader: ThreadPoolExecutor
) -> Iterator[Batch]:
    """Yields frames as the net sees them, in batches of one length, the last one filled up."""
    source = (_scaled(frame, how) for frame in making.cut.applied(film))
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
    """Scales the frame to the size that the net sees."""
    if not how.size:
        return frame
    pixels = images.resize(frame.pixels, how.size, "long")
    alpha = None if frame.alpha is None else images.resize(frame.alpha, how.size, "long")
    return Frame(pixels, frame.start, frame.duration, alpha)


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


def _finished(
    batch: Batch, how: Treatment, model: Net, compare: bool, smoother: Smoother
) -> list[Frame]:
    """Runs the net and makes frames of its outputs."""
    height, width = batch.images[0].shape[:2]
    outputs: Sequence[NDArray[Any]]
    if side := tiles.choose(model, height, width, how.tile):
        outputs = [tiles.run(model, image, side) for image in batch.images]
    else:
        seen = [images.to_float(image) for image in batch.images]
        outputs = list(Batch(batch.keys, seen, batch.length).run(model))
    return [
        _finish(frame, smoother(frame.pixels, output), how, compare)
        for frame, output in zip(batch.keys, outputs, strict=True)
    ]


def _finish(frame: Frame, output: NDArray[Any], how: Treatment, compare: bool) -> Frame:
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
    return Frame(images.to_uint8(rgb), frame.start, frame.duration)


def _told(
    frames: Iterator[Frame], film: Film, cut: Cut, say: Callable[[str], None]
) -> Iterator[Frame]:
    """Yields the same frames and prints a line of progress every few seconds."""
    begun = said = time.monotonic()
    count = _expected(film, cut)
    for done, frame in enumerate(frames, 1):
        yield frame
        if (now := time.monotonic()) - said >= SAID:
            said = now
            rate = done / (now - begun)
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


class _Stills:
    """Keeps up to STILLS frames, evenly spread over a film of unknown length. It keeps every n-th
    frame. Whenever it has too many, it drops every second one and doubles n."""

    def __init__(self, target: Path):
        self.path = target.with_name(f"{target.stem}_stills.jpg")
        self.step, self.kept = 1, list[tuple[Fraction, NDArray[np.uint8]]]()

    def watched(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yields the same frames."""
        for index, frame in enumerate(frames):
            if index % self.step == 0:
                if len(self.kept) == STILLS:
                    del self.kept[1::2]
                    self.step *= 2
                if index % self.step == 0:
                    small = images.resize(frame.pixels, 384, "long")
                    self.kept.append((frame.start, small))
            yield frame

    def save(self) -> Path:
        """Writes the sheet."""
        rows = [self.kept[i : i + 4] for i in range(0, len(self.kept), 4)]
        labels = [", ".join(f"{float(t):.2f} s" for t, _ in row) for row in rows]
        sheet = images.contact_sheet([[x for _, x in row] for row in rows], row_labels=labels)
        return images.save_image(self.path, sheet)

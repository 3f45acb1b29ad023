"""Applies a net to the frames of one film. Decoding, the net and the finishing of frames overlap,
waiting frames are bounded, and all frames of a film go through one compiled program.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.config import BATCH
from jaxpercept.errors import InputError
from jaxpercept.images.frames import Cut, Film, Frame, side_by_side
from jaxpercept.inference import segments, smoothing, steadying, tiles, treatment
from jaxpercept.inference.batches import BATCH_PIXELS, Batch
from jaxpercept.inference.encoding import Encoding
from jaxpercept.inference.file_jobs import PIXELS, ahead
from jaxpercept.inference.model import Net
from jaxpercept.inference.smoothing import Smoother
from jaxpercept.inference.steadying import Steadier, View
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import geometry


@dataclass(frozen=True, kw_only=True)
class Making:
    """How a film is made, besides its frames' `Treatment`: `cut` is the part to take, `encoding`
    how it is written, and `batch` the number of frames at once. `compare` puts each frame beside
    its result, and `still` also writes a contact sheet. `smooth` is the share of the last picture
    that is blended into each, see `smoothing`, and `steady` the share of the last frames in what
    the net sees, see `steadying`; both are for nets of scale 1. Raises InputError for a share that
    is not allowed."""

    cut: Cut = field(default_factory=Cut)
    encoding: Encoding = field(default_factory=Encoding)
    batch: int = BATCH
    compare: bool = False
    still: bool = False
    smooth: float = 0.0
    steady: float = 0.0

    def __post_init__(self) -> None:
        for name in ("smooth", "steady"):
            smoothing.check(name, getattr(self, name))


class Shown(NamedTuple):
    """A frame of the film, and what the net sees of it."""

    frame: Frame
    view: View


class Pools(NamedTuple):
    """A thread each that decodes ahead, runs the net, and makes frames of its outputs."""

    reader: ThreadPoolExecutor
    runner: ThreadPoolExecutor
    finisher: ThreadPoolExecutor


def outputs(
    film: Film,
    how: Treatment,
    model: Net,
    making: Making,
    pools: Pools,
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
    source = _shown(film, how, model, making, done)
    first = reader.submit(next, source, None).result()
    if first is None:
        return
    _check_size(film.path, first.frame, how, model)
    amount = steadying.grain(model, making.steady, how.grain)
    pixels = first.view.image.shape[0] * first.view.image.shape[1]
    length = max(1, min(making.batch, BATCH_PIXELS // pixels))
    calls = ((None, partial(next, source, None), pixels) for _ in itertools.count())
    taken: list[Shown] = [first]
    for _, reading in ahead(reader, calls, max(PIXELS, 2 * length * pixels)):
        if (shown := reading.result()) is None:
            break
        if len(taken) == length:
            yield _batch(taken, amount, length)
            taken = []
        taken.append(shown)
    yield _batch(taken, amount, length)


def _shown(film: Film, how: Treatment, model: Net, making: Making, done: int) -> Iterator[Shown]:
    """Yields the frames after the first `done`. A steadied frame depends on all before it."""
    unseen = 0 if making.steady else done
    frames = (_scaled(f, how) for f in itertools.islice(making.cut.applied(film), unseen, None))
    steadier = Steadier(making.steady, geometry.multiple(model.config))
    shown = (Shown(frame, steadier(frame.pixels)) for frame in frames)
    return itertools.islice(shown, done - unseen, None)


def _batch(shown: list[Shown], grain: float, length: int) -> Batch:
    return Batch(list(shown), [one.view.grained(grain) for one in shown], length)


def _scaled(frame: Frame, how: Treatment) -> Frame:
    """Returns the frame in the size that the net sees."""
    if not how.size:
        return replace(frame, image=frame.pixels)
    pixels = images.resize(frame.pixels, how.size, "long")
    alpha = None if frame.alpha is None else images.resize(frame.alpha, how.size, "long")
    return replace(frame, image=pixels, alpha=alpha)


def _check_size(path: Path, frame: Frame, how: Treatment, model: Net) -> None:
    height, width = frame.pixels.shape[:2]
    treatment.check_pixels(how, model, str(path), height, width)
    treatment.check_factor(how, model, str(path), height, width)
    if min(height, width) < (least := model.config.least_side):
        larger = ", or enlarge it with --size" if model.config.scale == 1 else ""
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
    for (frame, view), output in zip(batch.keys, outputs, strict=True):
        picture = smoother(frame.pixels, view.restored(output))
        finished = finish(frame, picture, how, compare)
        ends = smoother.count % segments.LENGTH == 0  # this frame ends a segment
        made.append(replace(finished, trail=smoother.last if ends else None))
    return made


def finish(frame: Frame, output: NDArray[Any], how: Treatment, compare: bool = False) -> Frame:
    """Returns the finished frame for a net's output, or both frames side by side."""
    alpha = None if frame.alpha is None else images.to_float(frame.alpha)
    picture = images.Picture(frame.pixels, alpha)
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

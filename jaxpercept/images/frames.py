"""The contents of a film as values. Readers return them and writers take them, whatever
the format.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pillow reads and writes these without the extra.
ANIMATION_SUFFIXES = (".gif", ".webp", ".apng", ".png")


@dataclass(frozen=True)
class Frame:
    """An upright frame in sRGB: its `image`, its start in seconds from the film's beginning, its
    duration in seconds (0 if unknown), and its opacity (H, W) uint8 or None.

    image: (H, W, 3) uint8, or a function that returns it. Frames that nobody looks at then cost
    nothing but their decoding.
    trail: what smoothing the next frame needs of this one, see `smoothing`."""

    image: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
    start: Fraction
    duration: Fraction
    alpha: NDArray[np.uint8] | None = None
    trail: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The pixels (H, W, 3) uint8."""
        return self.image() if callable(self.image) else self.image

    @property
    def end(self) -> Fraction:
        """The time at which the next frame is due."""
        return self.start + self.duration


@dataclass
class Film:
    """A film that is being read. `frames` can be iterated once.

    count: the number of frames by the header, or 0 if it does not say.
    rate: the average number of frames per second.
    time_base: the unit of the frames' times, in seconds.
    loop: how many times an animation is shown, 0 for an endless loop, None if the format has none.
    colorspace: the matrix of the written film, 1 for BT.709 or 5 for BT.601 (ITU-T H.273).
    primaries, transfer: those of its colours (H.273), or 0 for those that belong to its matrix.
    aspect: the width of a pixel over its height.
    notes: what reading changed, one line each.
    damage: what ended the film early.
    flawed: where the decoder found the first damaged frame, although the film goes on."""

    path: Path
    frames: Iterator[Frame] = field(default_factory=lambda: iter(()))
    count: int = 0
    rate: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 1000)
    loop: int | None = None
    colorspace: int | None = None
    primaries: int = 0
    transfer: int = 0
    aspect: Fraction = Fraction(1)
    notes: list[str] = field(default_factory=list)
    damage: str | None = None
    flawed: str | None = None

    def close(self) -> None:
        """Closes the file. No frame may be in the middle of being read."""
        if isinstance(self.frames, Generator):
            self.frames.close()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The part of a film to take: from `start` up to `end` seconds (None for the film's end), at
    `fps` frames per second (None for the film's own frames)."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    fps: Fraction | None = None

    def applied(self, film: Film) -> Iterator[Frame]:
        """Yields the frames of this part, with times that begin at 0."""
        part = self._part(film.frames)
        return part if self.fps is None else self._resampled(part, self.fps)

    def _part(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        before: Frame | None = None  # the last frame that begins before the part
        for frame in frames:
            if self.start > 0 and frame.start < self.start:
                before = frame
                continue
            if before is not None and frame.start > self.start:  # it is shown until this one
                yield self._cut(replace(before, duration=frame.start - before.start))
            before = None
            if self.end is not None and frame.start >= self.end:
                return
            yield self._cut(frame)
        if before is not None and before.end > self.start:
            yield self._cut(before)

    def _cut(self, frame: Frame) -> Frame:
        """Returns the part of a frame, with a time that begins at 0."""
        start = max(frame.start, self.start) if self.start > 0 else frame.start
        end = frame.end if self.end is None else min(frame.end, self.end)
        return _moved(frame, start - self.start, max(end - start, Fraction(0)))

    def _resampled(self, frames: Iterator[Frame], fps: Fraction) -> Iterator[Frame]:
        """Yields, for each time k / fps, the frame that is shown then."""
        shown, k = None, 0
        for frame in frames:
            while shown is not None and Fraction(k) / fps < frame.start:
                yield _moved(shown, k / fps, 1 / fps)
                k += 1
            shown = frame
        if shown is not None:
            end = max(shown.end, shown.start + Fraction(1, 1000))  # its duration may be unknown
            while k == 0 or k / fps < end:
                yield _moved(shown, k / fps, 1 / fps)
                k += 1


def _moved(frame: Frame, start: Fraction, duration: Fraction | None = None) -> Frame:
    return replace(frame, start=start, duration=frame.duration if duration is None else duration)


def side_by_side(left: Any, right: NDArray[Any]) -> NDArray[np.uint8]:
    """Joins two frames of one size, the first on the left."""
    return np.concatenate([left, right], axis=1)

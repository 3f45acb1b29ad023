"""Reads film files with PyAV (the extra `video`): frames with their times. `encoding` and `muxing`
write them. No other module imports av.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

from jaxpercept.errors import InputError
from jaxpercept.images import hdr
from jaxpercept.images.frames import Film, Frame
from jaxpercept.inference.film_colour import BT601, BT709, BT2020, alpha_of, matrix, upright

READ_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv"),
)
LONGEST = 3600  # seconds that a frame may last; a longer one comes of broken times


def library() -> Any:
    """Returns the module `av`. Raises InputError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise InputError(
            "films need the extra `video`, which is not installed; "
            "pip install 'jaxpercept[video]' (GIF, WebP and PNG animations work without it)"
        ) from error
    av.logging.set_level(None)
    return av


def read(path: Path, start: Fraction = Fraction(0), end: Fraction | None = None) -> Film:
    """Opens the film in a file; frames that end long before `start` seconds, or begin after `end`,
    may be left out. Raises InputError if the file is not a film."""
    av = library()
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a film ({_reason(error)}); give a film, or another copy"
        ) from error
    still = container.format.name == "image2" or container.format.name.endswith("_pipe")
    if still or not container.streams.video:
        container.close()
        what = "is a picture; use stylize, or" if still else "has no video stream;"
        raise InputError(f"{path}: {what} give a film")
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    base = stream.time_base or Fraction(1, 90000)
    film = Film(path, count=stream.frames, rate=Fraction(rate), time_base=Fraction(base))
    film.aspect = Fraction(stream.sample_aspect_ratio or 1)
    film.frames = _Decoding(container, stream, film, start, end).frames()
    return film


class _Decoding:
    """One pass over the frames of a film."""

    def __init__(
        self, container: Any, stream: Any, film: Film, start: Fraction, end: Fraction | None
    ):
        self.container, self.stream, self.film = container, stream, film
        self.start, self.end = start, end
        self.begin = Fraction(container.start_time or 0, 1_000_000)
        self.step = 1 / film.rate
        self.length = Fraction(stream.duration or 0) * film.time_base
        self.promised = _promised(container, stream) - self.begin  # from time 0
        self.reformatter = library().video.reformatter.VideoReformatter()
        self.due: Fraction | None = None  # the time of the next frame
        self.last: Fraction | None = None

    def frames(self) -> Iterator[Frame]:
        """Yields frames in the order in which they are shown."""
        av, film, count, shape = library(), self.film, 0, None
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: self.container.close())  # `_decoded` may open another
            decoded = self._decoded()
            while True:
                try:
                    frame = next(decoded)
                except StopIteration:
                    break
                except (OSError, av.FFmpegError) as error:
                    if not count:
                        raise InputError(
                            f"{film.path}: cannot be decoded ({_reason(error)}); give another copy"
                        ) from error
                    film.damage = f"damaged after {_seconds(self.due)} ({_reason(error)})"
                    return
                size = (frame.width, frame.height)
                at, length = self.time(frame)
                if self.end is not None and at >= self.end and count:
                    return
                if shape not in (None, size):
                    raise InputError(
                        f"{film.path}: its size changes from {shape[0]}x{shape[1]} to {size[0]}x"
                        f"{size[1]} at {math.floor(1000 * at) / 1000:.3f} s; cut it there with "
                        "--to and --from"
                    )
                if frame.is_corrupt and film.flawed is None and at >= self.start:
                    film.flawed = f"damaged near {_seconds(at)}"
                if shape is None:
                    self._first(frame)
                shape = size
                count += 1
                alpha = alpha_of(frame, self.reformatter)
                pixels = cache(partial(upright, frame, self.reformatter, alpha))
                yield Frame(pixels, at, length, alpha)
        if not count:
            raise InputError(f"{film.path}: has no frames; give another copy")
        if self.start == 0 and count < film.count - 2 and not self._all_shown():
            film.damage = f"cut short after {count} of {film.count} frames"
        elif not film.damage and self.promised - (self.due or 0) > max(Fraction(1), 2 * self.step):
            film.damage = f"cut short after {_seconds(self.due)} of {_seconds(self.promised)}"

    def _decoded(self) -> Iterator[Any]:
        """Returns decoded frames, from one at `start` or before. In a transport stream, seeking may
        end after the time that it was given."""
        av = library()
        self.stream.thread_type = "AUTO"
        for back in (0, 1, 10):
            if (at := self.start - back) <= 0:
                break
            with contextlib.suppress(OSError, av.FFmpegError, StopIteration):
                self.container.seek(
                    int((at + self.begin) / self.film.time_base), stream=self.stream
                )
                decoded = self.container.decode(self.stream)
                first = next(decoded)
                if first.pts is not None and self._shown(first) <= self.start:
                    return itertools.chain([first], decoded)
        if self.start > 0:
            self.container.close()
            self.container = av.open(str(self.film.path))
            self.stream = self.container.streams.video[0]
            self.stream.thread_type = "AUTO"
        return iter(self.container.decode(self.stream))

    def _shown(self, frame: Any) -> Fraction:
        return frame.pts * Fraction(frame.time_base or self.film.time_base) - self.begin

    def _all_shown(self) -> bool:
        """Returns whether the frames last as long as the header says. AVI files also count empty
        frames, which repeat the last one."""
        return bool(self.length and self.due and self.due >= self.length - 2 * self.step)

    def _first(self, frame: Any) -> None:
        film, notes = self.film, self.film.notes
        if frame.rotation % 180:
            film.aspect = 1 / film.aspect
        film.colorspace = BT709 if matrix(frame) in (BT709, BT2020) else BT601
        depth = max((c.bits for c in frame.format.components), default=8)
        if transfer := hdr.NAMES.get(int(frame.color_trc)):
            film.colorspace = BT709
            notes.append(f"high dynamic range ({transfer}) is converted to the standard range")
        elif depth > 8:
            notes.append(f"{depth} bits are converted to 8")
        if self.stream.metadata.get("alpha_mode") == "1":  # of WebM, beside the pictures
            notes.append("its transparency cannot be read; for that, convert it to .mov with qtrle")

    def time(self, frame: Any) -> tuple[Fraction, Fraction]:
        """Returns a frame's time and duration, with an estimate if the file does not give them."""
        at = None
        if frame.pts is not None:
            at = self._shown(frame)
        broken = at is None or (self.last is not None and not 0 < at - self.last <= LONGEST)
        if at is None or broken:
            note = "broken times of frames are replaced by those of a constant rate"
            if note not in self.film.notes:
                self.film.notes.append(note)
            at = Fraction(0) if self.due is None else self.due
        length = frame.duration * Fraction(frame.time_base) if frame.duration else self.step
        length = min(length, Fraction(LONGEST))
        self.last, self.due = at, at + length
        return at, length


def _promised(container: Any, stream: Any) -> Fraction:
    """Returns how long the pictures last by the header of a file that counts no frames (Matroska),
    in seconds; 0 if it does not say."""
    if stream.frames or stream.duration:
        return Fraction(0)
    if found := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = found.groups()
        return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
    alone = len(container.streams) == 1  # sound may last longer than the pictures
    return Fraction(container.duration or 0, 1_000_000) if alone else Fraction(0)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def _seconds(time: Fraction | None) -> str:
    return f"{float(time or 0):.2f} s"

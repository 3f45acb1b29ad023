"""Reads film files: frames with their times, upright and in sRGB."""

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
from jaxpercept.inference.containers import LONGEST, chosen, decoded, library, opened, reason
from jaxpercept.inference.deinterlacing import deinterlaced
from jaxpercept.inference.film_colour import (
    BT601,
    BT709,
    BT2020,
    alpha_of,
    beyond_standard,
    has_alpha,
    lies,
    matrix,
    tags,
    upright,
)


def read(path: Path, start: Fraction = Fraction(0), end: Fraction | None = None) -> Film:
    """Opens the film in a file; frames that end long before `start` seconds, or begin after `end`,
    may be left out. Raises InputError if the file is not a film."""
    av = library()
    try:
        container = opened(path)
    except (OSError, av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a film ({reason(error)}); give a film, or another copy"
        ) from error
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        container.close()
        raise InputError(f"{path}: is a picture; use stylize, or give a film")
    if (stream := chosen(container.streams.video)) is None:
        unknown = any(s.codec_context is None for s in container.streams.video)
        container.close()
        if unknown:
            raise InputError(f"{path}: its video is in an unknown format; convert it to H.264")
        raise InputError(f"{path}: has no video stream; give a film")
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
        self.container, self.stream, self.film, self.index = container, stream, film, stream.index
        self.start, self.end = start, end
        self.begin = Fraction(container.start_time or 0, 1_000_000)
        self.step = 1 / film.rate
        self.length = Fraction(stream.duration or 0) * film.time_base
        self.promised = _promised(container, stream) - self.begin  # from time 0
        self.reformatter = library().video.reformatter.VideoReformatter()
        self.due: Fraction | None = None  # the time of the next frame
        self.last: Fraction | None = None
        # AVI gives the order of decoding, and FFmpeg makes up times that ignore frames held back.
        self.made_up = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        self.delay: Fraction | None = None  # by which such frames come later from the decoder
        self.failure: Exception | None = None  # of the first picture that cannot be decoded

    def frames(self) -> Iterator[Frame]:
        """Yields frames in the order in which they are shown."""
        av, film, count, shape = library(), self.film, 0, None
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: self.container.close())  # `_found` may open another
            found = self._found()
            while True:
                try:
                    frame = next(found)
                except StopIteration:
                    break
                except (OSError, av.FFmpegError) as error:
                    if not count:
                        self.failure = error
                        break
                    film.damage = f"damaged after {_seconds(self.due)} ({reason(error)})"
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
            what = "has no frames"
            if self.failure:
                what = f"cannot be decoded ({reason(self.failure)})"
            raise InputError(f"{film.path}: {what}; give another copy") from self.failure
        if self.start == 0 and count < film.count - 2 and not self._all_shown():
            film.damage = f"cut short after {count} of {film.count} frames"
        elif not film.damage and self.promised - (self.due or 0) > max(Fraction(1), 2 * self.step):
            film.damage = f"cut short after {_seconds(self.due)} of {_seconds(self.promised)}"

    def _found(self) -> Iterator[Any]:
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
                frames = self._decoded()
                first = next(frames)
                pts = None if self.made_up else first.pts
                if pts is not None and self._shown(first, pts) <= self.start:
                    return itertools.chain([first], frames)
        if self.start > 0:
            self.container.close()
            self.container = opened(self.film.path)
            self.stream = self.container.streams[self.index]
            self.stream.thread_type = "AUTO"
        return self._decoded()

    def _decoded(self) -> Iterator[Any]:
        base = self.film.time_base
        frames = decoded(self.container, self.stream, self._failed)
        return deinterlaced(
            frames, base, lambda: self._note("it is interlaced, and is deinterlaced")
        )

    def _note(self, text: str) -> None:
        if text not in self.film.notes:
            self.film.notes.append(text)

    def _failed(self, error: Exception) -> None:
        """Is told of a picture that cannot be decoded."""
        self.failure = self.failure or error
        if (self.due or 0) >= self.start and self.film.flawed is None:
            self.film.flawed = f"damaged near {_seconds(self.due)}"

    def _shown(self, frame: Any, ticks: int) -> Fraction:
        return ticks * Fraction(frame.time_base or self.film.time_base) - self.begin

    def _given(self, frame: Any) -> Fraction | None:
        """Returns the time that the file gives a frame."""
        if not self.made_up:
            return None if frame.pts is None else self._shown(frame, frame.pts)
        if frame.dts is None:  # it comes at the end, after all packets
            return self.due
        at = self._shown(frame, frame.dts)
        self.delay = at if self.delay is None else self.delay
        return at - self.delay

    def _all_shown(self) -> bool:
        """Returns whether the frames last as long as the header says. AVI files also count empty
        frames, which repeat the last one."""
        return bool(self.length and self.due and self.due >= self.length - 2 * self.step)

    def _first(self, frame: Any) -> None:
        film, notes = self.film, self.film.notes
        if lies(frame):
            film.aspect = 1 / film.aspect
        film.colorspace = BT709 if matrix(frame) in (BT709, BT2020) else BT601
        depth = max((c.bits for c in frame.format.components), default=8)
        film.primaries, film.transfer = tags(frame)
        if beyond := beyond_standard(frame):
            film.colorspace, film.primaries, film.transfer = BT709, 0, 0
        if beyond in hdr.NAMES.values():
            notes.append(f"high dynamic range ({beyond}) is converted to the standard range")
        elif depth > 8:
            notes.append(f"{depth} bits are converted to 8")
        if beyond == hdr.WIDE:
            notes.append("the wide colours of BT.2020 are converted to those of BT.709")
        if self.stream.metadata.get("alpha_mode") == "1" and not has_alpha(frame):
            notes.append("its transparency cannot be read; for that, convert it to .mov with qtrle")

    def time(self, frame: Any) -> tuple[Fraction, Fraction]:
        """Returns a frame's time and duration, with an estimate if the file does not give them."""
        at = self._given(frame)
        if at is not None and self.last is not None:
            if self.last - self.step < at <= self.last:
                at = self.last + self.step / 2  # of frames of one time, each is shown
            elif not self.last < at <= self.last + LONGEST:
                at = None
        if at is None:
            self._note("broken times of frames are replaced by those of a constant rate")
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


def _seconds(time: Fraction | None) -> str:
    return f"{float(time or 0):.2f} s"

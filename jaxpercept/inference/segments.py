"""Makes film files in segments. Finished segments are kept beside the output until the film is
complete, and a later run of the same command goes on after them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from jaxpercept import __version__, files
from jaxpercept.files.parts import Parts
from jaxpercept.images.frames import Cut, Film, Frame
from jaxpercept.inference import containers, encoding, muxing, segment_file
from jaxpercept.inference.encoding import Encoding, Segment
from jaxpercept.inference.model import Net, digest, in_jax
from jaxpercept.inference.segment_file import Stored
from jaxpercept.inference.stills import Stills

LENGTH = 120  # frames; a stopped run loses no more than these


class Kept:
    """The finished segments of a film.

    done: the number of frames in them.
    last: the time of the last one, in units of the film's time base.
    trail: what smoothing the next frame needs of it.
    stills: the frames seen so far, for the contact sheet."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.done, self.last = parts, 0, -1
        self.trail: Any = None
        self.stills = Stills()
        for index in range(parts.count):
            try:
                stored = segment_file.from_bytes(parts.read(index))
            except (OSError, ValueError):
                parts.drop(index)
                return
            self._count(stored.segment)
            self.trail, self.stills = stored.trail, stored.stills

    def add(self, segment: Segment, trail: Any) -> None:
        """Keeps a segment."""
        self.parts.add(segment_file.to_bytes(Stored(segment, trail, self.stills)))
        self._count(segment)

    def segments(self) -> Iterator[Segment]:
        """Yields them in order."""
        for index in range(self.parts.count):
            yield segment_file.from_bytes(self.parts.read(index)).segment

    def _count(self, segment: Segment) -> None:
        self.done += len(segment.packets)
        self.last = max(packet.pts for packet in segment.packets)


def key(path: Path, target: Path, net: Net, settings: object) -> str:
    """Returns a text that differs for all runs that may make different frames. `settings` is
    anything whose `repr` tells all."""
    about = os.stat(path)
    identity = [os.path.realpath(path), about.st_size, about.st_mtime_ns]
    code = [__version__, containers.library().__version__, LENGTH]
    return repr([code, identity, target.suffix, _described(net), settings])


def _described(net: Net) -> list[object]:
    """Returns what a net is, with its numbers. A net of the caller's own has no numbers to tell, so
    no run goes on from another's segments."""
    if (inner := getattr(net, "model", None)) is not None:
        return [type(net).__name__, *_described(inner)]
    if (model := in_jax(net)) is None:
        return [os.urandom(16).hex()]
    loaded = getattr(net, "loaded", None)
    return [getattr(loaded, "about", "jax"), str(model.dtype), digest(model)]


def write(
    target: Path, frames: Iterator[Frame], film: Film, how: Encoding, cut: Cut, kept: Kept
) -> None:
    """Encodes `frames`, which follow those that are kept, and writes the whole film to `target`."""
    suffix, rest = target.suffix.lower(), list[Segment]()
    while (made := _encoded(target, frames, film, how, kept.last)) is not None:
        segment, trail = made
        if len(segment.packets) < LENGTH:
            rest.append(segment)
            break
        kept.add(segment, trail)
    with files.replacing(target, kept.parts.after) as file:
        muxing.write(file.name, suffix, _all(kept, rest), film, how, cut)


def _encoded(
    target: Path, frames: Iterator[Frame], film: Film, how: Encoding, last: int
) -> tuple[Segment, Any] | None:
    """Encodes the next segment. Returns it, and its last frame's trail, or None at the end."""
    encoder, trail = None, None
    for frame in islice(frames, LENGTH):
        with _reported(target):
            if encoder is None:
                encoder = encoding.Encoder(target.suffix.lower(), frame, film, how, last)
            encoder.add(frame)
        trail = frame.trail
    if encoder is None:
        return None
    with _reported(target):
        return encoder.finish(), trail


@contextlib.contextmanager
def _reported(target: Path) -> Iterator[None]:
    with files.reported(target), encoding.reported():
        yield


def _all(kept: Kept, rest: list[Segment]) -> Iterator[Segment]:
    yield from kept.segments()
    yield from rest

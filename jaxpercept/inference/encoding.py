"""Encodes frames to segments of a film, each by an encoder of its own, so that any segment can be
decoded without the others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.images.frames import Film, Frame
from jaxpercept.inference import containers
from jaxpercept.inference.film_colour import BT709, EXACT, FULL, LIMITED, usual_matrix

# The suffixes that we write, with the muxer and its codec.
MUXERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
WRITE_SUFFIXES = tuple(MUXERS)
_NAMES = {"h264": "libx264", "h265": "libx265", "hevc": "libx265", "vp9": "libvpx-vp9"}
_NAMES |= {"av1": "libsvtav1"}
CODECS = tuple(_NAMES)
_CRF = {"libx264": 17, "libx265": 19, "libvpx-vp9": 28, "libsvtav1": 28}  # equal quality to the eye


_TELLING_ASPECT = ("libx264", "libx265")
_GLOBAL_HEADER = 1 << 22  # headers beside the packets, as every format of ours has them


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a film is written: `codec`, one of CODECS, and `crf`, its constant rate factor. None
    chooses what suits the file's suffix."""

    codec: str | None = None
    crf: int | None = None


class Packet(NamedTuple):
    """A coded picture: when it is shown, when it is decoded and how long it is shown, in units of
    the film's time base; whether it can be decoded alone; its bytes."""

    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes


@dataclass(frozen=True)
class Segment:
    """Coded frames (height, width), in the order of decoding, and the time in seconds at which the
    next frame is due."""

    packets: list[Packet]
    height: int
    width: int
    end: Fraction


def codec(suffix: str, how: Encoding) -> str:
    """Returns FFmpeg's name of the encoder. Raises InputError if there is none, or if the format of
    `suffix` cannot hold what it makes."""
    name = _NAMES[how.codec] if how.codec else MUXERS[suffix][1]
    if name not in containers.library().codecs_available:
        raise InputError(
            f"--codec {how.codec or name}: this build of PyAV has no encoder {name}; give "
            f"another of {', '.join(CODECS)}"
        )
    if suffix == (".mov" if name in ("libvpx-vp9", "libsvtav1") else ".webm"):
        raise InputError(f"--codec {how.codec}: {suffix} cannot hold it; give another or .mp4")
    return name


def rate(film: Film) -> Fraction:
    """Returns the frames per second that an encoder is told."""
    return film.rate.limit_denominator(100_000)


def keeps_aspect(suffix: str, how: Encoding) -> bool:
    """Returns whether a written film tells the shape of its pixels. In Matroska only the codec's
    own header does, and VP9 and AV1 have no place for it."""
    return MUXERS[suffix][0] not in ("matroska", "webm") or codec(suffix, how) in _TELLING_ASPECT


def configure(
    context: Any, suffix: str, height: int, width: int, film: Film, how: Encoding
) -> None:
    """Sets up an encoder for frames (height, width). Equal arguments make equal encoders."""
    name = codec(suffix, how)
    if name == "libx265" and width < 64:
        raise InputError(f"--codec h265: {width} pixels are too narrow for it; give another")
    context.framerate, context.time_base = rate(film), film.time_base
    options = {"crf": str(_CRF[name] if how.crf is None else how.crf)}
    if name == "libvpx-vp9":
        options |= {"b": "0", "row-mt": "1", "cpu-used": "4", "deadline": "good"}
    elif name == "libx264":
        options |= {"preset": "faster"}  # half of the time of "medium" for the same size
        options |= {"x264-params": "chroma-qp-offset=-4"}  # keeps saturated colours right
    elif name == "libx265":
        options |= {"x265-params": "log-level=none"}
    else:
        os.environ.setdefault("SVT_LOG", "1")  # only errors
        context.framerate = min(context.framerate, Fraction(240))  # its limit; frames keep times
    if film.loop is not None and name in ("libx264", "libx265"):
        options["bf"] = "0"  # reordering makes MP4 lose the last frame's time
    context.options = options
    context.width, context.height = width + width % 2, height + height % 2
    context.pix_fmt = "yuv420p"
    if keeps_aspect(suffix, how):
        context.sample_aspect_ratio = film.aspect.limit_denominator(1000)
    context.colorspace = 1 if matrix(film, height, width) == BT709 else 6  # H.273
    context.color_primaries = film.primaries or context.colorspace
    context.color_trc = film.transfer or context.colorspace
    context.color_range = LIMITED
    context.flags |= _GLOBAL_HEADER
    if name == "libx265" and suffix in (".mp4", ".m4v", ".mov"):
        context.codec_tag = "hvc1"  # Apple's players need it


def matrix(film: Film, height: int, width: int) -> int:
    """Returns the matrix of a written film, in swscale's numbers."""
    return film.colorspace or usual_matrix(height, width)


class Encoder:
    """Encodes one segment. `last` is the time of the last frame of the segment before it, in units
    of the film's time base."""

    def __init__(self, suffix: str, first: Frame, film: Film, how: Encoding, last: int = -1):
        av = containers.library()
        self.base, self.last = film.time_base, last
        self.height, self.width = first.pixels.shape[:2]
        self.context = av.CodecContext.create(codec(suffix, how), "w")
        configure(self.context, suffix, self.height, self.width, film, how)
        self.matrix = matrix(film, self.height, self.width)
        self.reformatter = av.video.reformatter.VideoReformatter()
        self.end, self.packets = Fraction(0), list[Packet]()
        self.lengths: dict[int, int] = {}  # encoders lose the frames' durations

    def add(self, frame: Frame) -> None:
        """Encodes a frame."""
        self.take(self.converted(frame))

    def converted(self, frame: Frame) -> Any:
        """Returns the frame as the codec takes it. Frames come in order."""
        rgb, odd = frame.pixels, (self.height % 2, self.width % 2)
        if any(odd):
            rgb = np.pad(rgb, ((0, odd[0]), (0, odd[1]), (0, 0)), "edge")
        made = containers.library().VideoFrame.from_ndarray(
            np.ascontiguousarray(rgb), format="rgb24"
        )
        made = self.reformatter.reformat(
            made,
            format="yuv420p",
            src_color_range=FULL,
            dst_color_range=LIMITED,
            dst_colorspace=self.matrix,
            interpolation=EXACT,
        )
        made.time_base = self.base
        made.pts = self.last = max(round(frame.start / self.base), self.last + 1)
        made.duration = self.lengths[self.last] = max(1, round(frame.duration / self.base))
        self.end = frame.end
        return made

    def finish(self) -> Segment:
        """Returns the segment."""
        self.take(None)
        return Segment(self.packets, self.height, self.width, self.end)

    def take(self, frame: Any) -> None:
        """Encodes a converted frame, or for None what is left."""
        for packet in self.context.encode(frame):
            length = self.lengths.pop(packet.pts, packet.duration)
            self.packets.append(
                Packet(packet.pts, packet.dts, length, packet.is_keyframe, bytes(packet))
            )


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turns FFmpeg's errors into OSErrors."""
    try:
        yield
    except containers.library().FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error

"""Reads and writes film files with PyAV (the extra `video`): frames with their times, and the
source's sound. No other module imports av.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.errors import InputError
from jaxpercept.images.frames import Cut, Film, Frame

READ_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv"),
)
# The suffixes that we write, with the muxer and its codec.
_MUXERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
WRITE_SUFFIXES = tuple(_MUXERS)
_NAMES = {"h264": "libx264", "h265": "libx265", "hevc": "libx265", "vp9": "libvpx-vp9"}
_NAMES |= {"av1": "libsvtav1"}
CODECS = tuple(_NAMES)
_CRF = {"libx264": 17, "libx265": 19, "libvpx-vp9": 28, "libsvtav1": 28}  # equal quality to the eye
BT709, BT601, BT2020, LIMITED, FULL = 1, 5, 9, 1, 2  # PyAV's and swscale's numbers
# swscale's bicubic needs exact rounding: its default is off by 2 in 255 for full range.
_EXACT = 4 | 0x40000 | 0x2000 | 0x4000
_HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError(
            "films need the extra `video`, which is not installed; "
            "pip install 'jaxpercept[video]' (GIF, WebP and PNG animations work without it)"
        ) from error
    av.logging.set_level(None)
    return av


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a film is written: `codec`, one of CODECS, and `crf`, its constant rate factor. None
    chooses what suits the file's suffix."""

    codec: str | None = None
    crf: int | None = None


def read(path: Path, start: Fraction = Fraction(0)) -> Film:
    """Opens the film in a file; frames that end long before `start` seconds may be left out. Raises
    InputError if the file is not a film."""
    av = _av()
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a film ({_reason(error)}); give a film, or another copy"
        ) from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{path}: has no video stream; give a film")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    base = stream.time_base or Fraction(1, 90000)
    film = Film(path, count=stream.frames, rate=Fraction(rate), time_base=Fraction(base))
    film.aspect = Fraction(stream.sample_aspect_ratio or 1)
    film.frames = _Decoding(container, stream, film, start).frames()
    return film


class _Decoding:
    """One pass over the frames of a film."""

    def __init__(self, container: Any, stream: Any, film: Film, start: Fraction):
        self.container, self.stream, self.film, self.start = container, stream, film, start
        self.begin = Fraction(container.start_time or 0, 1_000_000)
        self.step = 1 / film.rate
        self.due: Fraction | None = None  # the time of the next frame
        self.last: Fraction | None = None

    def frames(self) -> Iterator[Frame]:
        """Yields frames in the order in which they are shown."""
        av, film, count, shape = _av(), self.film, 0, None
        with self.container:
            if self.start > 0:
                at = int((self.start + self.begin) / film.time_base)
                with contextlib.suppress(av.FFmpegError):
                    self.container.seek(at, stream=self.stream)
            decoded = self.container.decode(self.stream)
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
                if shape not in (None, size):
                    raise InputError(
                        f"{film.path}: its size changes from {shape[0]}x{shape[1]} to {size[0]}x"
                        f"{size[1]} after {_seconds(self.due)}; cut it there with --to and --from"
                    )
                if shape is None:
                    self._first(frame)
                shape = size
                count += 1
                yield Frame(_upright(frame), *self.time(frame))
        if not count:
            raise InputError(f"{film.path}: has no frames; give another copy")
        if self.start == 0 and count < film.count - 2:
            film.damage = f"cut short after {count} of {film.count} frames"

    def _first(self, frame: Any) -> None:
        film, notes = self.film, self.film.notes
        if frame.rotation % 180:
            film.aspect = 1 / film.aspect
        film.colorspace = BT709 if _matrix(frame) in (BT709, BT2020) else BT601
        depth = max((c.bits for c in frame.format.components), default=8)
        if transfer := _HDR.get(int(frame.color_trc)):
            film.colorspace = BT709
            notes.append(f"high dynamic range ({transfer}) is converted to the standard range")
        elif depth > 8:
            notes.append(f"{depth} bits are converted to 8")

    def time(self, frame: Any) -> tuple[Fraction, Fraction]:
        """Returns a frame's time and duration, with an estimate if the file does not give them."""
        at = None
        if frame.pts is not None:
            at = frame.pts * Fraction(frame.time_base or self.film.time_base) - self.begin
        if at is None or (self.last is not None and at <= self.last):
            note = "broken times of frames are replaced by those of a constant rate"
            if note not in self.film.notes:
                self.film.notes.append(note)
            at = Fraction(0) if self.due is None else self.due
        length = frame.duration * Fraction(frame.time_base) if frame.duration else self.step
        self.last, self.due = at, at + length
        return at, length


def _matrix(frame: Any) -> int:
    """Returns the matrix of the frame's YUV. If the file does not name it, the frame's size
    decides, as in players."""
    space = int(frame.colorspace)
    if space in (BT709, 9, 10):
        return BT709 if space == BT709 else BT2020
    if space in (5, 6, 4, 7):
        return BT601
    return BT709 if frame.height >= 720 or frame.width >= 1280 else BT601


def _upright(frame: Any) -> NDArray[np.uint8]:
    """Returns the frame as (H, W, 3) in sRGB."""
    space = {"src_colorspace": _matrix(frame), "dst_color_range": FULL, "interpolation": _EXACT}
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    if not frame.format.is_rgb:
        space["src_color_range"] = FULL if full else LIMITED
    transfer = int(frame.color_trc)
    if transfer in _HDR:
        from jaxpercept.images.hdr import to_standard

        deep = frame.reformat(format="rgb48le", **space).to_ndarray()
        rgb = to_standard(deep, _HDR[transfer])
    else:
        rgb = frame.reformat(format="rgb24", **space).to_ndarray()
    quarter = round(frame.rotation / 90) % 4  # counterclockwise, as np.rot90
    return np.ascontiguousarray(np.rot90(rgb, quarter))


def write(
    target: str, suffix: str, frames: Iterable[Frame], film: Film, how: Encoding, cut: Cut
) -> None:
    """Writes `frames`, and the sound of `film.path` if it has any, to the file `target` in the
    format of `suffix`. Notes on the sound are added to `film.notes`. Raises OSError if the file
    cannot be written."""
    av = _av()
    muxer = _MUXERS[suffix][0]
    options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
    try:
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(av.open(target, "w", format=muxer, options=options))
            picture = None
            for frame in frames:
                if picture is None:
                    picture = _Picture(out, suffix, frame, film, how)
                    sound = stack.enter_context(_Sound(out, muxer, film, cut))
                sound.up_to(frame.start)
                picture.add(frame)
            if picture is None:
                return
            picture.finish()
            sound.up_to(None if cut.end is None and not film.damage else picture.end)
            sound.finish()
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


class _Picture:
    """The video stream of an output."""

    def __init__(self, out: Any, suffix: str, first: Frame, film: Film, how: Encoding):
        av = _av()
        self.out, self.base = out, film.time_base
        codec = _MUXERS[suffix][1]
        codec = _NAMES[how.codec] if how.codec else codec
        if codec not in av.codecs_available:
            raise InputError(
                f"--codec {how.codec or codec}: this build of PyAV has no encoder {codec}; give "
                f"another of {', '.join(CODECS)}"
            )
        if codec == "libx264" and suffix == ".webm":
            raise InputError("--codec h264: WebM cannot hold it; give vp9 or av1, or an .mp4")
        options = {"crf": str(_CRF[codec] if how.crf is None else how.crf)}
        if codec == "libvpx-vp9":
            options |= {"b": "0", "row-mt": "1", "cpu-used": "4", "deadline": "good"}
        elif codec == "libx264":
            options |= {"x264-params": "chroma-qp-offset=-4"}  # keeps saturated colours right
        elif codec == "libx265":
            options |= {"x265-params": "log-level=none"}
        if film.loop is not None and codec in ("libx264", "libx265"):
            options["bf"] = "0"  # reordering makes MP4 lose the last frame's time
        rate = film.rate.limit_denominator(100_000)
        self.stream = out.add_stream(codec, rate=rate, options=options)
        height, width = first.pixels.shape[:2]
        context = self.stream.codec_context
        context.width, context.height = width + width % 2, height + height % 2
        if width % 2 or height % 2:
            film.notes.append(
                f"{width}x{height} is odd: the last row or column is repeated, for yuv420p needs "
                "even sides"
            )
        context.pix_fmt, context.time_base = "yuv420p", self.base
        context.sample_aspect_ratio = film.aspect.limit_denominator(1000)
        default = BT709 if height >= 720 or width >= 1280 else BT601
        self.matrix = film.colorspace or default
        context.colorspace = 1 if self.matrix == BT709 else 6  # H.273: 1 BT.709, 6 SMPTE 170M
        context.color_primaries = context.color_trc = 1 if self.matrix == BT709 else 6
        context.color_range = LIMITED
        if codec == "libx265" and suffix in (".mp4", ".m4v", ".mov"):
            context.codec_tag = "hvc1"  # Apple's players need it
        self.end, self.last = Fraction(0), -1
        self.lengths: dict[int, int] = {}  # encoders lose the frames' durations

    def add(self, frame: Frame) -> None:
        """Encodes a frame."""
        av = _av()
        rgb = frame.pixels
        height, width = rgb.shape[:2]
        if width % 2 or height % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        made = made.reformat(
            format="yuv420p",
            src_color_range=FULL,
            dst_color_range=LIMITED,
            dst_colorspace=self.matrix,
            interpolation=_EXACT,
        )
        made.time_base = self.base
        made.pts = self.last = max(round(frame.start / self.base), self.last + 1)
        made.duration = self.lengths[self.last] = max(1, round(frame.duration / self.base))
        self.end = frame.end
        self._mux(made)

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        self._mux(None)

    def _mux(self, frame: Any) -> None:
        for packet in self.stream.encode(frame):
            packet.duration = self.lengths.pop(packet.pts, packet.duration)
            self.out.mux(packet)


class _Sound:
    """The first sound stream of a film. It is copied packet by packet, or re-encoded if the
    container cannot hold it. Without sound, every method does nothing."""

    def __init__(self, out: Any, muxer: str, film: Film, cut: Cut):
        av = _av()
        self.out, self.cut, self.copied = out, cut, True
        self.source: Any = None
        self.packets: Iterator[Any] = iter(())
        self.waiting: Any = None
        if film.loop is not None:
            return
        self.source = av.open(str(film.path))
        if not self.source.streams.audio:
            return
        stream = self.source.streams.audio[0]
        self.offset = cut.start + Fraction(self.source.start_time or 0, 1_000_000)
        name = stream.codec_context.name
        self.copied = _holds(out, muxer, name)
        if self.copied:
            self.stream = out.add_stream_from_template(stream)
        else:
            codec = "libopus" if muxer == "webm" else "aac"
            film.notes.append(
                f"{muxer} cannot hold the sound ({name}): it is re-encoded as {codec}"
            )
            rate = 48000 if codec == "libopus" else stream.codec_context.sample_rate
            self.stream = out.add_stream(codec, rate=rate)
            layout = stream.codec_context.layout
            if "channels" in layout.name:  # PCM files may leave the layout out
                layout = "mono" if layout.nb_channels == 1 else "stereo"
            self.stream.codec_context.layout = layout
        if cut.start > 0:
            with contextlib.suppress(av.FFmpegError):
                self.source.seek(int(self.offset / stream.time_base), stream=stream)
        self.packets = self._items(stream)

    def __enter__(self) -> _Sound:
        return self

    def __exit__(self, *_: object) -> None:
        if self.source is not None:
            self.source.close()

    def _items(self, stream: Any) -> Iterator[Any]:
        """Yields packets, or frames to re-encode, from the cut's beginning up to any damage."""
        av = _av()
        items = self.source.demux(stream) if self.copied else self.source.decode(stream)
        with contextlib.suppress(OSError, av.FFmpegError):
            for item in items:
                # a packet without a time ends the stream
                if item.pts is None or (self.copied and item.dts is None):
                    continue
                base = Fraction(item.time_base)
                if self.cut.start > 0 and item.pts * base < self.offset:
                    continue
                item.pts = item.pts - round(self.offset / base)
                if self.copied:
                    item.dts = item.dts - round(self.offset / base)
                yield item

    def up_to(self, time: Fraction | None) -> None:
        """Writes the sound until `time` seconds, or all of it for None."""
        while True:
            if self.waiting is None:
                self.waiting = next(self.packets, None)
            item = self.waiting
            if item is None:
                return
            if time is not None and item.pts * Fraction(item.time_base) >= time:
                return
            self.waiting = None
            if self.copied:
                item.stream = self.stream
                self.out.mux(item)
            else:
                self.out.mux(self.stream.encode(item))

    def finish(self) -> None:
        """Writes what an encoder still holds."""
        if not self.copied:
            self.out.mux(self.stream.encode(None))


def _holds(out: Any, muxer: str, codec: str) -> bool:
    if muxer in ("mp4", "mov") and codec in ("vorbis", "opus", "flac"):
        return codec == "opus" and muxer == "mp4"  # allowed, but hardly any player supports it
    if muxer == "mp4" and codec.startswith("pcm_"):
        return False
    return codec in out.supported_codecs


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def _seconds(time: Fraction | None) -> str:
    return f"{float(time or 0):.2f} s"

"""The sound of a written film: the source's, copied packet by packet, or encoded anew if the
container cannot hold it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from jaxpercept.images.frames import Cut, Film
from jaxpercept.inference import containers


class Sound:
    """The sound of a film that players choose. Without sound, every method does nothing. What
    happens to the sound, other than copying, is added to the film's notes."""

    def __init__(self, out: Any, muxer: str, film: Film, cut: Cut):
        self.out, self.cut, self.film, self.copied = out, cut, film, True
        self.source: Any = None
        self.packets: Iterator[Any] = iter(())
        self.lead = Fraction(0)  # seconds before the beginning that are written too
        self.waiting: Any = None
        if film.loop is not None:
            return
        self.source = containers.opened(film.path)
        sounds = self.source.streams.audio
        # a broadcast may name sound that it does not send, and then nobody knows its rate
        known = [s for s in sounds if s.codec_context is not None and s.codec_context.sample_rate]
        if (stream := containers.chosen(known)) is None:
            if sounds:
                film.notes.append("the sound is in an unknown format, and is left out")
            return
        self.offset = cut.start + Fraction(self.source.start_time or 0, 1_000_000)
        name = stream.codec_context.name
        if _holds(muxer, stream):
            self.stream = out.add_stream_from_template(stream)
        else:
            codec = "libopus" if muxer == "webm" else "aac"
            if (found := _fitting(codec, stream.codec_context)) is None:
                film.notes.append(f"{muxer} cannot hold the sound ({name}): it is left out")
                return
            film.notes.append(
                f"{muxer} cannot hold the sound ({name}): it is re-encoded as {codec}"
            )
            self.copied, (rate, layout) = False, found
            self.stream = out.add_stream(codec, rate=rate)
            self.stream.codec_context.layout = layout
        if cut.start > 0:
            with contextlib.suppress(containers.library().FFmpegError):
                self.source.seek(int(self.offset / stream.time_base), stream=stream)
        # What an encoder puts before the first sample has times below 0. Matroska has none, and
        # would move all streams, except for what its header tells to leave out.
        mp4 = self.source.format.name.startswith("mov,")
        self.primed = not (self.copied and muxer == "matroska" and mp4)
        left_out = getattr(stream.codec_context, "initial_padding", 0)  # copied since PyAV 19
        if not self.primed:
            self.lead = Fraction(left_out, stream.codec_context.sample_rate)
        self.packets = self._items(stream)

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        if self.source is not None:
            self.source.close()

    def _items(self, stream: Any) -> Iterator[Any]:
        """Yields packets, or frames to re-encode, from the cut's beginning up to any damage. What
        cannot be decoded is left out: a stream that was cut begins with such a piece."""
        av = containers.library()
        items = self.source.demux(stream)
        if not self.copied:
            items = containers.decoded(self.source, stream, lambda error: None)
        due: Fraction | None = None
        last: int | None = None  # the time of the packet before, in ticks
        with contextlib.suppress(OSError, av.FFmpegError):
            for item in items:
                # a packet without a time ends the stream
                if item.pts is None or (self.copied and item.dts is None):
                    continue
                base = Fraction(item.time_base)
                if self.copied and not item.duration and last is not None:
                    item.duration = max(0, item.pts - last)  # Matroska does not say it of ALAC
                last = item.pts
                if due is None and self.cut.start > 0 and item.pts * base < self.offset - self.lead:
                    continue
                at = item.pts * base - self.offset
                if due is not None and not -TOLERANCE <= at - due <= containers.LONGEST:
                    at = due  # the times begin anew, or jump
                if not self.primed and at + _length(item) <= -self.lead:
                    continue
                item.pts = round(at / base)
                if self.copied:
                    item.dts = item.pts
                due = at + _length(item)
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


TOLERANCE = Fraction(1, 10)  # seconds by which a packet may begin before the end of the last


def _length(item: Any) -> Fraction:
    """Returns the seconds that a packet or a frame of sound lasts."""
    if samples := getattr(item, "samples", 0):
        return Fraction(samples, item.sample_rate)
    return Fraction(item.duration or 0) * Fraction(item.time_base)


def _holds(muxer: str, stream: Any) -> bool:
    """Returns whether a format can hold a stream. Only its writer knows, since some codecs are
    allowed at some rates."""
    av, codec = containers.library(), stream.codec_context.name
    if muxer in ("mp4", "mov") and codec in ("vorbis", "opus", "flac"):
        return codec == "opus" and muxer == "mp4"  # allowed, but hardly any player supports it
    if muxer == "mp4" and codec.startswith("pcm_"):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (OSError, av.FFmpegError, ValueError):
        return False
    return True


def _fitting(codec: str, source: Any) -> tuple[int, str] | None:
    """Returns the rate and the channels, nearest to the source's, that an encoder takes, or None if
    it takes none."""
    layout = source.layout.name
    if "channels" in layout:  # PCM files may leave the layout out
        layout = "mono" if source.layout.nb_channels == 1 else "stereo"
    rate = 48000 if codec == "libopus" else source.sample_rate
    for one in ((rate, layout), (48000, layout), (48000, "stereo")):
        if _opens(codec, *one):
            return one
    return None


def _opens(codec: str, rate: int, layout: str) -> bool:
    av = containers.library()
    try:
        context = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout = rate, layout
        context.format = context.codec.audio_formats[0]
        context.time_base = Fraction(1, rate)
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True

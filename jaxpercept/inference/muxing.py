"""Joins a film's encoded segments, and the source's sound, to a file. Nothing is encoded again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from jaxpercept.images.frames import Cut, Film
from jaxpercept.inference import containers, encoding
from jaxpercept.inference.encoding import Encoding, Packet, Segment


def write(
    target: str, suffix: str, segments: Iterable[Segment], film: Film, how: Encoding, cut: Cut
) -> None:
    """Writes `segments`, and the sound of `film.path` if it has any, to the file `target` in the
    format of `suffix`. Notes on the sound are added to `film.notes`. Raises OSError if the file
    cannot be written."""
    av = containers.library()
    muxer = encoding.MUXERS[suffix][0]
    options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
    picture, end = None, Fraction(0)
    with encoding.reported(), contextlib.ExitStack() as stack:
        out = stack.enter_context(av.open(target, "w", format=muxer, options=options))
        for segment in segments:
            if picture is None:
                picture = _Picture(out, suffix, segment, film, how)
                sound = stack.enter_context(_Sound(out, muxer, film, cut))
            for packet in picture.timed(segment.packets):
                sound.up_to(packet.pts * film.time_base)
                picture.add(packet)
            end = segment.end
        if picture is not None:
            sound.up_to(None if cut.end is None and not film.damage else end)
            sound.finish()


class _Picture:
    """The video stream of an output. It takes packets of an encoder like its own."""

    def __init__(self, out: Any, suffix: str, first: Segment, film: Film, how: Encoding):
        self.out, self.base = out, film.time_base
        codec = encoding.codec(suffix, how)
        self.stream = out.add_stream(codec, rate=encoding.rate(film))
        encoding.configure(self.stream.codec_context, suffix, first.height, first.width, film, how)
        if first.width % 2 or first.height % 2:
            film.notes.append(
                f"{first.width}x{first.height} is odd: the last row or column is repeated, for "
                "yuv420p needs even sides"
            )
        self.shown: list[int] = []  # the times of the last pictures, as many as the encoder delays

    def timed(self, packets: Sequence[Packet]) -> Iterator[Packet]:
        """Yields a segment's packets with the times of decoding that one encoder would have given
        them. Each segment's encoder begins anew, and where the frames' rate varies, it would begin
        before the end of the last segment."""
        times = sorted(packet.pts for packet in packets)
        if not self.shown:  # packets are decoded as many places before they are shown
            delay = sum(packet.dts < times[0] for packet in packets)
            self.shown = [packet.dts for packet in packets[:delay]]
        times = [*self.shown, *times]
        self.shown = times[len(packets) :]
        for packet, time in zip(packets, times, strict=False):
            yield packet._replace(dts=time)

    def add(self, packet: Packet) -> None:
        """Writes a packet."""
        made = containers.library().Packet(packet.data)
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.time_base, made.is_keyframe = self.base, packet.key
        made.stream = self.stream
        self.out.mux(made)


class _Sound:
    """The first sound stream of a film. It is copied packet by packet, or re-encoded if the
    container cannot hold it. Without sound, every method does nothing."""

    def __init__(self, out: Any, muxer: str, film: Film, cut: Cut):
        av = containers.library()
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
        av = containers.library()
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

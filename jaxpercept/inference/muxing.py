"""Joins a film's encoded segments, and the source's sound, to a file. Nothing is encoded again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from jaxpercept.images.frames import Cut, Film
from jaxpercept.inference import containers, encoding
from jaxpercept.inference.encoding import Encoding, Packet, Segment
from jaxpercept.inference.sound import Sound


def write(
    target: str, suffix: str, segments: Iterable[Segment], film: Film, how: Encoding, cut: Cut
) -> None:
    """Writes `segments`, and the sound of `film.path` if it has any, to the file `target` in the
    format of `suffix`. Notes on the sound are added to `film.notes`. Raises OSError if the file
    cannot be written."""
    av = containers.library()
    muxer = encoding.MUXERS[suffix][0]
    options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
    place = containers.location(target)
    picture, end = None, Fraction(0)
    with encoding.reported(), contextlib.ExitStack() as stack:
        out = stack.enter_context(av.open(place, "w", format=muxer, options=options))
        for segment in segments:
            if picture is None:
                picture = _Picture(out, suffix, segment, film, how)
                sound = stack.enter_context(Sound(out, muxer, film, cut))
            for packet in picture.timed(segment.packets):
                sound.up_to(packet.pts * film.time_base)
                picture.add(packet)
            end = segment.end
        if picture is not None:
            whole = None if cut.end is None else cut.end - cut.start
            sound.up_to(end if film.damage else whole)
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

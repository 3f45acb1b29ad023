"""Reads animated GIFs frame by frame, and composes the frames as browsers do. Pillow decodes the
pixels, but composes otherwise: where a frame is taken away, it shows a colour if the first frame is
opaque, and it takes frames away that are to stay if one before them was not.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CLEAR, _BEFORE = 2, 3  # disposal methods
_TABLE = 0x80  # the flag of a table of colours


class _Part(NamedTuple):
    """A frame's own part: its place, what happens to it after `delay` hundredths of a second, and a
    GIF of it alone."""

    left: int
    top: int
    disposal: int
    delay: int
    still: bytes


def frames(file: BinaryIO, width: int, height: int) -> Iterator[tuple[NDArray[np.uint8], Fraction]]:
    """Yields each frame (H, W, 4) and its duration in seconds. What lies beyond the edge is left
    out. Raises OSError, ValueError or SyntaxError for a broken file."""
    canvas = np.zeros((height, width, 4), np.uint8)
    for part in _parts(file):
        with Image.open(io.BytesIO(part.still)) as image:
            pixels = np.asarray(image.convert("RGBA"))
        place = canvas[part.top :, part.left :][: len(pixels), : pixels.shape[1]]
        pixels = pixels[: len(place), : place.shape[1]]
        before = place.copy()
        opaque = pixels[..., 3] > 0
        place[opaque] = pixels[opaque]
        yield canvas.copy(), Fraction(part.delay, 100)
        if part.disposal == _CLEAR:
            place[:] = 0
        elif part.disposal == _BEFORE:
            place[:] = before


def _parts(file: BinaryIO) -> Iterator[_Part]:
    """Yields the parts of the file, after GIF89a, sections 17 to 27."""
    _read(file, 6)
    _, _, flags, background, aspect = struct.unpack("<2H3B", _read(file, 7))
    colours = _table(file, flags)
    control = bytes(4)  # flags, delay and transparent colour
    while (kind := file.read(1)) not in (b"", b";"):
        if kind == b"!":
            label, blocks = _read(file, 1), _blocks(file)
            if label == b"\xf9" and len(blocks) >= 5:
                control = blocks[1:5]
        elif kind == b",":
            left, top, *size, how = struct.unpack("<4HB", _read(file, 9))
            own = _table(file, how)
            data = _read(file, 1) + _blocks(file)
            head = b"GIF89a" + struct.pack("<2H3B", *size, flags, background, aspect) + colours
            head += b"!\xf9\4" + control + b"\0," + struct.pack("<4HB", 0, 0, *size, how) + own
            delay = int.from_bytes(control[1:3], "little")
            yield _Part(left, top, control[0] >> 2 & 7, delay, head + data + b";")
            control = bytes(4)


def _read(file: BinaryIO, count: int) -> bytes:
    if len(data := file.read(count)) < count:
        raise ValueError("the file ends")
    return data


def _table(file: BinaryIO, flags: int) -> bytes:
    """Returns the table of colours that the flags announce."""
    return _read(file, 3 << (flags & 7) + 1) if flags & _TABLE else b""


def _blocks(file: BinaryIO) -> bytes:
    """Returns the blocks up to their end, with their lengths."""
    blocks = []
    while length := _read(file, 1)[0]:
        blocks.append(bytes([length]) + _read(file, length))
    return b"".join(blocks) + b"\0"

"""Reads animated PNG files frame by frame, and composes the frames as the standard says (third
edition, section 11.3.6). Pillow decodes the pixels, but composes wrongly: it mixes the opacities of
frames that are blended, and does not take them away again.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxpercept.images import png

_CLEAR, _BEFORE, _OVER = 1, 2, 1  # of fcTL: two of dispose_op, and one of blend_op
_SHARED = (b"PLTE", b"tRNS")  # what the pixels of every frame need


class _Control(NamedTuple):
    """A chunk fcTL."""

    sequence: int
    width: int
    height: int
    left: int
    top: int
    numerator: int
    denominator: int
    disposal: int
    blending: int


def frames(file: BinaryIO) -> Iterator[tuple[NDArray[np.uint8], Fraction]]:
    """Yields each frame (H, W, 4) and its duration in seconds. The still picture for other readers,
    if it is no frame, is left out. Raises OSError, ValueError or SyntaxError for a broken file."""
    file.seek(16)
    head = file.read(13)  # IHDR comes first
    width, height = struct.unpack(">II", head[:8])
    canvas = np.zeros((height, width, 4), np.uint8)
    for control, body in _parts(file):
        right, bottom = control.left + control.width, control.top + control.height
        if right > width or bottom > height:
            raise ValueError("it lies beyond the edge")
        pixels = _pixels(head, control, body)
        place = np.s_[control.top : bottom, control.left : right]
        before = canvas[place].copy()
        canvas[place] = _over(pixels, before) if control.blending == _OVER else pixels
        yield canvas.copy(), Fraction(control.numerator, control.denominator or 100)
        if control.disposal == _CLEAR:
            canvas[place] = 0
        elif control.disposal == _BEFORE:
            canvas[place] = before


def _parts(file: BinaryIO) -> Iterator[tuple[_Control, bytes]]:
    """Yields each frame's control and its chunks, those that all share first."""
    shared, control = b"", None
    body: list[bytes] = []
    for name, size in png.chunks(file):
        if name in _SHARED:
            shared += _chunk(name, file.read(size))
        elif name == b"fcTL":
            if control is not None:
                yield control, shared + _chunk(b"IDAT", b"".join(body))
            if len(data := file.read(26)) < 26:
                raise ValueError("the file ends")
            control, body = _Control(*struct.unpack(">5I2H2B", data)), []
        elif name == b"IDAT" and control is not None:
            body.append(file.read(size))
        elif name == b"fdAT":
            body.append(file.read(size)[4:])  # after the number of the chunk
    if control is not None:
        yield control, shared + _chunk(b"IDAT", b"".join(body))


def _pixels(head: bytes, control: _Control, body: bytes) -> NDArray[np.uint8]:
    """Decodes a frame's part (H, W, 4) as a file of its own."""
    size = struct.pack(">II", control.width, control.height)
    whole = _chunk(b"IHDR", size + head[8:]) + body + _chunk(b"IEND", b"")
    with Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + whole)) as image:
        png.key_of_8_bits(image)
        image.load()
        return np.asarray(_rgba(image))


def _chunk(name: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode != "I;16":
        return image.convert("RGBA")
    deep, key = np.asarray(image), image.info.get("transparency")  # Pillow would clip 16 bits
    made = Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGBA")
    made.putalpha(Image.fromarray(np.where(deep == key, 0, 255).astype(np.uint8)))
    return made


def _over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lays one picture (H, W, 4) over another."""
    share = above[..., 3:].astype(np.float32)
    rest = below[..., 3:].astype(np.float32) * (1 - share / 255)
    alpha = share + rest
    rgb = (above[..., :3] * share + below[..., :3] * rest) / np.maximum(alpha, 1e-6)
    return np.rint(np.concatenate([rgb, alpha], -1)).astype(np.uint8)

"""Tells lossless WebP files from lossy ones, which Pillow does not.

A lossy WebP holds colours at half the resolution. The layout is that of RFC 9649, section 2.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

_FRAME = 16  # bytes of an ANMF chunk before the chunks of its picture


def is_lossless(source: str | os.PathLike[str] | bytes) -> bool:
    """Returns whether a WebP file (its path or its bytes) stores its first picture without loss."""
    if isinstance(source, bytes):
        return _is_lossless(io.BytesIO(source))
    with open(source, "rb") as file:
        return _is_lossless(file)


def _is_lossless(file: BinaryIO) -> bool:
    at = 12  # after RIFF, the size and WEBP
    while True:
        file.seek(at)
        name, length = file.read(4), file.read(4)
        if len(length) < 4 or name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L" and len(length) == 4
        size = int.from_bytes(length, "little")
        at += 8 + (_FRAME if name == b"ANMF" else size + size % 2)

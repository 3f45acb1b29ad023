"""Reads the colours in the boxes of AVIF and JPEG 2000 files that Pillow does not interpret.

The layouts are those of ISO/IEC 14496-12 (boxes), 23000-22 (colr in AVIF) and 15444-1, annex I
(JPEG 2000).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from jaxpercept.images import cicp

PATHS = {  # of the boxes with colours, by Pillow's names of the formats
    "AVIF": (b"meta", b"iprp", b"ipco", b"colr"),
    "JPEG2000": (b"jp2h", b"colr"),
}
_MOST = 1000  # boxes beside each other; a picture has few


def implied_profile(image: Image.Image, grey: bool) -> tuple[bytes | None, tuple[str, ...]]:
    """Returns the colour profile of an open AVIF or JPEG 2000 file, or None for sRGB, and notes on
    what cannot be used. An AVIF's profile comes before its numbers of H.273."""
    profile, file = image.info.get("icc_profile"), getattr(image, "fp", None)
    if file is None:  # its pixels are decoded
        return profile, ()
    before = file.tell()
    try:
        found = list(_found(file, PATHS[image.format or ""], 0, file.seek(0, io.SEEK_END)))
    finally:
        file.seek(before)
    if image.format == "JPEG2000":
        return (found[0][3:] if found and found[0][:1] in (b"\2", b"\3") else None), ()
    codes = next((box[4:8] for box in found if box[:4] == b"nclx" and len(box) >= 8), b"")
    primaries, transfer = int.from_bytes(codes[:2]), int.from_bytes(codes[2:])
    notes = cicp.range_note(transfer, profile)
    return profile or cicp.profile(primaries, transfer, grey), notes


def _found(file: BinaryIO, path: tuple[bytes, ...], at: int, end: int) -> Iterator[bytes]:
    """Yields the contents of the boxes at the end of a path of names."""
    for name, start, stop in _boxes(file, at, end):
        if name == path[0] and len(path) > 1:
            yield from _found(file, path[1:], start + 4 * (name == b"meta"), stop)
        elif name == path[0]:
            file.seek(start)
            yield file.read(stop - start)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields the name of each box between two places, and where its contents begin and end."""
    for _ in range(_MOST):
        file.seek(at)
        size, name, start = int.from_bytes(file.read(4)), file.read(4), at + 8
        if size == 1:
            size, start = int.from_bytes(file.read(8)), at + 16
        stop = end if size == 0 else at + size
        if len(name) < 4 or not start <= stop <= end:
            return
        yield name, start, stop
        at = stop

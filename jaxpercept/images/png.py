"""Reads the chunks of PNG files that Pillow does not interpret: colours told in other ways than by
a profile, and transparent colours of 16 bits. Sections are of the third edition of the standard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from jaxpercept.images import cicp, icc

_USUAL = 1 / 2.2  # the gamma of sRGB files for readers that know no sRGB, section 11.3.2.5
_NEAR = 0.002  # below the rounding of the files' writers


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields the name and length of a PNG's chunks. `file` stands at the chunk's data each time,
    and goes back to where it stood at the end."""
    before, at = file.tell(), 8
    try:
        while True:
            file.seek(at)
            length, name = file.read(4), file.read(4)
            if len(name) < 4 or name == b"IEND":
                return
            size = int.from_bytes(length)
            yield name, size
            at += 12 + size
    finally:
        file.seek(before)


def has_exif(image: Image.Image) -> bool:
    """Returns whether any chunk of an open PNG may hold Exif, judged by the chunks' names."""
    file = _file(image)
    if file is None or "exif" in image.info or "Raw profile type exif" in image.info:
        return True
    return any(
        name == b"eXIf" or (name[1:] in (b"EXt", b"TXt") and b"exif" in file.read(40))
        for name, _ in chunks(file)
    )


def implied_profile(image: Image.Image, grey: bool) -> tuple[bytes | None, tuple[str, ...]]:
    """Returns the profile that an open PNG implies by its cICP, or by its gAMA and cHRM chunks, or
    None for sRGB, and notes on what cannot be used. cICP comes before an embedded profile, and
    that before the others (section 4.3)."""
    profile = image.info.get("icc_profile")
    if code := _cicp(image):
        if notes := cicp.range_note(code[1], profile):
            return profile, notes
        if cicp.is_known(*code):
            return cicp.profile(*code, grey), ()
    if profile:
        return profile, ()
    gamma = image.info.get("gamma")
    if "srgb" in image.info or not gamma or not 0.01 < gamma < 10:
        return None, ()
    usual = abs(gamma - _USUAL) < _NEAR
    curve = cicp.SRGB_CURVE if usual else cicp.LEVELS ** (1 / gamma)
    found = [float(v) for v in image.info.get("chromaticity") or ()]
    pairs = list(zip(found[::2], found[1::2], strict=True)) if len(found) == 8 else []
    known = [cicp.SRGB[0], *cicp.SRGB[1]]
    if not pairs or (grey or np.abs(np.subtract(pairs, known)).max() < _NEAR):
        pairs = known
        if usual:
            return None, ()
    try:
        return icc.of_grey(curve) if grey else icc.of_rgb(pairs[0], pairs[1:], curve), ()
    except ValueError as error:
        return None, (f"its colours cannot be used ({error}); taken as sRGB",)


def key_of_8_bits(image: Image.Image) -> None:
    """Scales the transparent colour of an open PNG of 16 bits per colour, or of 2 or 4 bits of
    grey, as Pillow scales the pixels, so that they can be equal."""
    key, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    if isinstance(key, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    elif key and raw in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw == "L;2" else 17)


def _cicp(image: Image.Image) -> tuple[int, int] | None:
    """Returns the numbers of the primaries and the transfer function in a cICP chunk for RGB of the
    full range (section 11.3.2.6), if there is one before the pixels."""
    if (file := _file(image)) is None:
        return None
    for name, size in chunks(file):
        if name == b"IDAT":
            break
        if name == b"cICP" and size == 4:
            primaries, transfer, matrix, full = file.read(4)
            return (primaries, transfer) if (matrix, full) == (0, 1) else None
    return None


def _file(image: Image.Image) -> BinaryIO | None:
    """Returns the open file, or None once the pixels are decoded."""
    return getattr(image, "fp", None)

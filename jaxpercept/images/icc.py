"""Makes ICC profiles (version 2) from primaries and a tone curve, because Pillow makes none but
sRGB's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

XY = tuple[float, float]  # a chromaticity
Curve = NDArray[np.float64]  # linear light of equally spaced values in [0, 1]
_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of every profile
# Bradford's cone responses, ICC.1:2022, annex E
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def of_rgb(white: XY, primaries: Sequence[XY], curve: Curve) -> bytes:
    """Returns the profile of a display with these chromaticities of white, red, green and blue.
    Raises ValueError if they make no display."""
    columns = np.stack([_xyz(xy) for xy in primaries], axis=1)
    try:
        columns = columns * np.linalg.solve(columns, _xyz(white))
        adapt = np.linalg.solve(_CONES, np.diag((_CONES @ _D50) / (_CONES @ _xyz(white))) @ _CONES)
    except np.linalg.LinAlgError as error:
        raise ValueError("chromaticities in a line") from error
    tags = {b"wtpt": _xyz_tag(_D50)}
    for name, column in zip((b"r", b"g", b"b"), (adapt @ columns).T, strict=True):
        tags |= {name + b"XYZ": _xyz_tag(column), name + b"TRC": _curve_tag(curve)}
    return _profile(b"RGB ", tags)


def of_grey(curve: Curve) -> bytes:
    """Returns the profile of a grey channel."""
    return _profile(b"GRAY", {b"wtpt": _xyz_tag(_D50), b"kTRC": _curve_tag(curve)})


def _xyz(xy: XY) -> NDArray[np.float64]:
    x, y = xy
    if not y > 0:
        raise ValueError("a chromaticity without light")
    return np.array([x / y, 1, (1 - x - y) / y])


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    fixed = [round(float(v) * 65536) for v in values]
    if max(map(abs, fixed)) >= 2**31:
        raise ValueError("a chromaticity out of range")
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *fixed)


def _curve_tag(curve: Curve) -> bytes:
    levels = np.rint(np.clip(curve, 0, 1) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(levels)) + levels.tobytes()


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Returns a display's profile, ICC.1:2001-04, clause 6."""
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"none\0" + bytes(78)
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none\0", **tags}
    at, table, data = 132 + 12 * len(tags), b"", b""
    for tag, value in tags.items():
        value += bytes(-len(value) % 4)
        table += tag + struct.pack(">II", at + len(data), len(value))
        data += value
    head = struct.pack(">I4sI", at + len(data), b"none", 0x02400000) + b"mntr" + space + b"XYZ "
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz_tag(_D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data

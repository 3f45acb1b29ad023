"""Makes colour profiles by hand, because no library here makes any but sRGB's."""

import struct

import numpy as np

DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Returns an ICC profile, version 2."""
    tags = {b"desc": _text(b"desc"), b"cprt": _text(b"text"), **tags}
    at, table, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += name + struct.pack(">II", at + len(data), len(value))
        data += value
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"none", 0x02400000, kind, space, pcs)
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28
    head += struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _text(kind: bytes) -> bytes:
    if kind == b"text":
        return b"text\0\0\0\0none\0"
    return b"desc\0\0\0\0" + struct.pack(">I", 5) + b"none\0" + b"\0" * 78


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb(primaries=DISPLAY_P3, gamma: float = 2.2) -> bytes:
    """Returns a display's profile: XYZ (D50) of its red, green and blue, and its gamma."""
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249))}
    for name, column in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": _gamma(gamma)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey(gamma: float) -> bytes:
    """Returns a profile of one channel."""
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"kTRC": _gamma(gamma)}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk() -> bytes:
    """Returns the profile of a printer with dull inks: Lab of all 16 overprints, linear in
    between."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(16, 4)
    c, m, y, k = corners.T
    light = (1 - 0.35 * c - 0.4 * m - 0.1 * y).clip(0.15) * (1 - 0.85 * k)
    lab = np.stack([255 * light, 128 + 60 * m * (1 - k) - 30 * c, 128 + 70 * y - 40 * c], -1)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    lut += ramp * 4 + lab.clip(0, 255).astype(np.uint8).tobytes() + ramp * 3
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"A2B0": lut}
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)

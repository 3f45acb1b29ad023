"""A film's frame as a picture: its matrix, range, rotation and transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.images import hdr
from jaxpercept.images.bleeding import bled

BT709, BT601, BT2020, LIMITED, FULL = 1, 5, 9, 1, 2  # PyAV's and swscale's numbers
_MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}  # by H.273's numbers
_BT2020_PRIMARIES, _UNKNOWN = 9, (0, 2, 3)  # of H.273
# swscale's bicubic needs exact rounding: its default is off by 2 in 255 for full range.
EXACT = 4 | 0x40000 | 0x2000 | 0x4000


def usual_matrix(height: int, width: int) -> int:
    """Returns the matrix that players take for a film of this size which names none."""
    return BT709 if height >= 720 or width >= 1280 else BT601


def matrix(frame: Any) -> int:
    """Returns the matrix of the frame's YUV. If the file does not name it, the frame's size
    decides, as in players."""
    return _MATRICES.get(int(frame.colorspace)) or usual_matrix(frame.height, frame.width)


def tags(frame: Any) -> tuple[int, int]:
    """Returns the frame's primaries and transfer function as numbers of H.273, or 0 for unknown."""
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    return 0 if primaries in _UNKNOWN else primaries, 0 if transfer in _UNKNOWN else transfer


def beyond_standard(frame: Any) -> str | None:
    """Returns what the frame's colours must be converted from, as `hdr.to_standard` takes it."""
    wide = int(frame.color_primaries) == _BT2020_PRIMARIES
    return hdr.NAMES.get(int(frame.color_trc)) or (hdr.WIDE if wide else None)


def _range(frame: Any) -> int:
    """Returns the range of the frame's YUV or grey. If the file does not name it, YUV is limited
    and grey is full, as in FFmpeg."""
    named = int(frame.color_range)
    if frame.format.name.startswith("yuvj"):
        return FULL
    if named in (LIMITED, FULL):
        return named
    return FULL if len(frame.format.components) < 3 else LIMITED


def has_alpha(frame: Any) -> bool:
    """Returns whether the frame's format can hold transparency."""
    return frame.format.has_palette or any(c.is_alpha for c in frame.format.components)


def alpha_of(frame: Any, reformatter: Any) -> NDArray[np.uint8] | None:
    """Returns the opacity (H, W) of the upright frame, or None if all of it is opaque."""
    if not has_alpha(frame):
        return None
    rgba = reformatter.reformat(frame, format="rgba").to_ndarray()
    alpha = np.ascontiguousarray(turned(rgba[..., 3:], frame)[..., 0])
    return None if alpha.min() == 255 else alpha


def upright(
    frame: Any, reformatter: Any, alpha: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Returns the frame as (H, W, 3) in sRGB."""
    space = {"src_colorspace": matrix(frame), "dst_color_range": FULL, "interpolation": EXACT}
    if not frame.format.is_rgb:
        space["src_color_range"] = _range(frame)
    if beyond := beyond_standard(frame):
        deep = reformatter.reformat(frame, format="rgb48le", **space).to_ndarray()
        rgb = hdr.to_standard(deep, beyond)
    else:
        rgb = reformatter.reformat(frame, format="rgb24", **space).to_ndarray()
    shown = np.ascontiguousarray(turned(rgb, frame))
    return shown if alpha is None else bled(shown, alpha)


def lies(frame: Any) -> bool:
    """Returns whether the display matrix turns the frame by a quarter."""
    return turned(np.zeros((1, 2, 3), np.uint8), frame).shape[0] == 2


def turned(rgb: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """Returns the picture as its display matrix asks: turned by quarters, mirrored, or both. A
    point (x, y) is shown at (a x + c y, b x + d y), with y downwards (ISO/IEC 14496-12, 6.2.2)."""
    if (side := frame.side_data.get("DISPLAYMATRIX")) is not None:
        a, b, _, c, d = np.frombuffer(bytes(side)[:20], "<i4").astype(np.int64)
        if abs(b) + abs(c) > abs(a) + abs(d):
            return rgb.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
        return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.rot90(rgb, round(frame.rotation / 90) % 4)  # counterclockwise

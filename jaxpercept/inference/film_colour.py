"""A film's frame as a picture: its matrix, range, rotation and transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.images import hdr
from jaxpercept.images.bleeding import bled

BT709, BT601, BT2020, LIMITED, FULL = 1, 5, 9, 1, 2  # PyAV's and swscale's numbers
# swscale's bicubic needs exact rounding: its default is off by 2 in 255 for full range.
EXACT = 4 | 0x40000 | 0x2000 | 0x4000


def usual_matrix(height: int, width: int) -> int:
    """Returns the matrix that players take for a film of this size which names none."""
    return BT709 if height >= 720 or width >= 1280 else BT601


def matrix(frame: Any) -> int:
    """Returns the matrix of the frame's YUV. If the file does not name it, the frame's size
    decides, as in players."""
    space = int(frame.colorspace)
    if space in (BT709, 9, 10):
        return BT709 if space == BT709 else BT2020
    if space in (5, 6, 4, 7):
        return BT601
    return usual_matrix(frame.height, frame.width)


def alpha_of(frame: Any, reformatter: Any) -> NDArray[np.uint8] | None:
    """Returns the opacity (H, W) of the upright frame, or None if all of it is opaque."""
    if not (frame.format.has_palette or any(c.is_alpha for c in frame.format.components)):
        return None
    rgba = reformatter.reformat(frame, format="rgba").to_ndarray()
    alpha = np.ascontiguousarray(turned(rgba[..., 3:], frame)[..., 0])
    return None if alpha.min() == 255 else alpha


def upright(
    frame: Any, reformatter: Any, alpha: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Returns the frame as (H, W, 3) in sRGB."""
    space = {"src_colorspace": matrix(frame), "dst_color_range": FULL, "interpolation": EXACT}
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    if not frame.format.is_rgb:
        space["src_color_range"] = FULL if full else LIMITED
    transfer = int(frame.color_trc)
    if transfer in hdr.NAMES:
        deep = reformatter.reformat(frame, format="rgb48le", **space).to_ndarray()
        rgb = hdr.to_standard(deep, hdr.NAMES[transfer])
    else:
        rgb = reformatter.reformat(frame, format="rgb24", **space).to_ndarray()
    shown = np.ascontiguousarray(turned(rgb, frame))
    return shown if alpha is None else bled(shown, alpha)


def turned(rgb: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """Returns the picture as its display matrix asks: turned by quarters, mirrored, or both. A
    point (x, y) is shown at (a x + c y, b x + d y), with y downwards (ISO/IEC 14496-12, 6.2.2)."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(side)[:20], "<i4").astype(np.int64)
            if abs(b) + abs(c) > abs(a) + abs(d):
                return rgb.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
            return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.rot90(rgb, round(frame.rotation / 90) % 4)  # counterclockwise

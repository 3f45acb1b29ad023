"""Changes sizes and ranges of image arrays: (H, W, 3) or (H, W), float in [0, 1] or uint8."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxpercept.errors import InputError

Float = NDArray[np.float32]
_METHODS = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}


def check_pixels(name: str, height: int, width: int, most: int, smaller: str = "shrink it") -> None:
    """Raises InputError for an image of more than `most` pixels. `smaller` is how to get less."""
    if (count := height * width) > most:
        raise InputError(
            f"{name}: {width}x{height} is {count:,} pixels, more than the limit of {most:,}",
            fixes=[smaller, "raise --max-pixels"],
        )


def to_uint8(x: NDArray[Any]) -> NDArray[np.uint8]:
    """Converts [0, 1] to 0..255, rounded to nearest and clipped. uint8 passes through."""
    return (
        x
        if x.dtype == np.uint8
        else (np.clip(x, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    )


def to_float(x: NDArray[Any]) -> Float:
    """Converts uint8 0..255 to [0, 1]. Float passes through."""
    if np.issubdtype(x.dtype, np.floating):
        return x
    return x.astype(np.float32) / np.float32(255)


def fit(
    height: int, width: int, size: int, how: Literal["short", "long"] = "short"
) -> tuple[int, int]:
    """Scales (height, width) in proportion so that the short or the long side is `size`. No side
    gets below 1. Raises InputError for a size below 1."""
    if how not in ("short", "long"):
        raise ValueError(f"how={how!r}, expected 'short' or 'long'")
    if size < 1:
        raise InputError(f"size {size}: an image needs at least 1 pixel per side")
    side = min(height, width) if how == "short" else max(height, width)
    return max(1, round(height * size / side)), max(1, round(width * size / side))


def resize(
    x: NDArray[Any],
    size: int | tuple[int, int],
    how: Literal["short", "long"] = "short",
    *,
    method: Literal["lanczos", "bicubic"] = "lanczos",
) -> NDArray[Any]:
    """Resizes (H, W, 3) or (H, W), float in [0, 1] or uint8, in proportion to a side of `size`, or
    exactly to `size=(h, w)`.

    It uses Pillow's antialiased filters, computed in float for float images. The result is clipped
    to [0, 1] and keeps its dtype. Raises InputError for a side below 1."""
    height, width = size if isinstance(size, tuple) else fit(x.shape[0], x.shape[1], size, how)
    if height < 1 or width < 1:
        raise InputError(f"size {height}x{width}: an image needs at least 1 pixel per side")
    if (height, width) == x.shape[:2]:
        return x.copy()
    if x.dtype == np.uint8:
        return np.array(Image.fromarray(x).resize((width, height), _METHODS[method]))
    planes = np.moveaxis(np.atleast_3d(x).astype(np.float32), -1, 0)
    small = [
        np.asarray(Image.fromarray(p).resize((width, height), _METHODS[method])) for p in planes
    ]
    out = np.clip(np.stack(small, axis=-1), 0, 1).astype(x.dtype)
    return out if x.ndim == 3 else out[..., 0]


def square(x: NDArray[Any], size: int) -> NDArray[Any]:
    """Resizes the short side of (H, W, 3) to `size` and crops the middle (size, size, 3)."""
    x = resize(x, size, "short")
    top, left = (x.shape[0] - size) // 2, (x.shape[1] - size) // 2
    return x[top : top + size, left : left + size]
